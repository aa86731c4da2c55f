//! Members that don't belong to the cluster.

use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Program, on_every_program};

use super::support::{put, put_at_last};

/// Two members have the same flags for a new cluster; the third has another token, or another set of members.
async fn other_cluster<P: Program>() {
    let mut cluster = Members::<P>::prepare(&Setup::of(3)).await.unwrap_or_else(|error| panic!("{error}"));
    cluster.pretend(2, &[0, 1, 2], true, "another-token");
    for number in 0..3 {
        cluster.spawn(number);
    }
    cluster.ready(0).await;
    cluster.ready(1).await;
    put(&cluster.clients(0), "a", "v").await.expect("two of three go on");
    until("the third member is rejected", DEADLINE, async || {
        let logs = (0..3).map(|number| cluster.logs(number)).collect::<String>();
        let is_logged = logs.contains("cluster ID mismatch");
        is_logged.then_some(()).ok_or_else(|| "no member logs that cluster ids differ".to_owned())
    })
    .await;
    put_at_last(&cluster.clients(1), "b", "v").await;
    cluster.kill9(2).await;
    cluster.assert_equal().await;
}

/// A start that cannot succeed ends with status 1 and logs the reason.
async fn ends<P: Program>(cluster: &mut Members<P>, number: usize, why: &str) {
    cluster.spawn(number);
    let status = cluster.exited(number).await;
    let log = cluster.logs(number);
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(why), "no `{why}` in:\n{log}");
}

/// A member that was not added cannot join, nor can one that has lost its data start again under its old id.
async fn not_added<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let uninvited = cluster.room().await;
    ends(&mut cluster, uninvited, "member count is unequal").await;
    cluster.forget(uninvited);

    let forgetful = cluster.follower().await;
    cluster.kill9(forgetful).await;
    cluster.wipe(forgetful);
    ends(&mut cluster, forgetful, "has already been bootstrapped").await;
    put_at_last(&cluster.clients(cluster.leader().await), "a", "v").await;
    cluster.assert_equal().await;
}

/// No member of the cluster that it should join responds.
async fn unreachable_cluster<P: Program>() {
    let mut cluster = Members::<P>::prepare(&Setup::of(2)).await.unwrap_or_else(|error| panic!("{error}"));
    cluster.pretend(0, &[0, 1], false, "token");
    ends(&mut cluster, 0, "cannot fetch cluster info from peer urls").await;
}

on_every_program! {
    a_member_of_another_cluster_is_rejected => other_cluster(),
    joining_without_being_added_is_rejected => not_added(),
    joining_an_unreachable_cluster_fails => unreachable_cluster(),
}
