//! Members that don't belong to the cluster.

use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Program, on_every_program};

use super::support::{put, put_at_last};

/// Two members agree on their cluster; the third was told another token, or another set of members.
async fn strangers<P: Program>() {
    let mut cluster = Members::<P>::prepare(&Setup::of(3)).await.unwrap_or_else(|error| panic!("{error}"));
    cluster.pretend(2, &[0, 1, 2], true, "another-token");
    for number in 0..3 {
        cluster.spawn(number);
    }
    cluster.ready(0).await;
    cluster.ready(1).await;
    put(&cluster.clients(0), "a", "v").await.expect("two of three go on");
    until("the stranger is refused", DEADLINE, async || {
        let logs = (0..3).map(|number| cluster.logs(number)).collect::<String>();
        let is_told = logs.contains("cluster ID mismatch");
        is_told.then_some(()).ok_or_else(|| "nobody says that cluster ids differ".to_owned())
    })
    .await;
    put_at_last(&cluster.clients(1), "b", "v").await;
    cluster.kill9(2).await;
    cluster.assert_equal().await;
}

/// A start that cannot lead anywhere ends with status 1 and says why.
async fn ends<P: Program>(cluster: &mut Members<P>, number: usize, why: &str) {
    cluster.spawn(number);
    let status = cluster.exited(number).await;
    let log = cluster.logs(number);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(why), "no `{why}` in:\n{log}");
}

/// Nobody joins who was not added, and nobody who has lost its data begins anew under its old id.
async fn uninvited<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let stranger = cluster.room().await;
    ends(&mut cluster, stranger, "member count is unequal").await;
    cluster.forget(stranger);

    let forgetful = cluster.follower().await;
    cluster.kill9(forgetful).await;
    cluster.wipe(forgetful);
    ends(&mut cluster, forgetful, "has already been bootstrapped").await;
    put_at_last(&cluster.clients(cluster.leader().await), "a", "v").await;
    cluster.assert_equal().await;
}

/// Nobody answers who could tell about the cluster.
async fn alone<P: Program>() {
    let mut cluster = Members::<P>::prepare(&Setup::of(2)).await.unwrap_or_else(|error| panic!("{error}"));
    cluster.pretend(0, &[0, 1], false, "token");
    ends(&mut cluster, 0, "cannot fetch cluster info from peer urls").await;
}

on_every_program! {
    another_cluster_is_refused => strangers(),
    who_was_not_added_is_refused => uninvited(),
    nobody_is_joined => alone(),
}
