//! Members that are added and removed.

use ferretcd_tests::members::history::Workload;
use ferretcd_tests::members::{Members, Setup};
use ferretcd_tests::{Program, on_every_program};
use tonic::Code;

use super::support::{get, judge, put, put_at_last};

/// A member that has lost its disk is replaced by a new one.
async fn replaced<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    put(&cluster.clients(0), "before", "v").await.expect("every member takes puts");
    let (leader, dead) = (cluster.leader().await, cluster.follower().await);
    let other = cluster.running().into_iter().find(|&number| number != leader && number != dead);
    let other = other.expect("three members");
    cluster.kill9(dead).await;
    cluster.wipe(dead);
    cluster.remove(leader, dead).await;
    let new = cluster.grow(other).await;
    let found = get(&cluster.clients(new), "before", false).await.expect("the new member takes reads");
    assert_eq!(found.as_deref(), Some("v"));
    // It counts: the quorum needs it while another member is dead.
    cluster.kill9(other).await;
    put_at_last(&cluster.clients(new), "after", "v").await;
    cluster.restart(other).await;
    cluster.assert_equal().await;
}

/// From one to five members and back to one, under load, with a kill on the way.
async fn grows_and_shrinks<P: Program>() {
    // Without the strict check, which delays each change until the last one has settled; other tests cover it.
    let setup = Setup::of(1).with(&["--strict-reconfig-check=false"]);
    let mut cluster = Members::<P>::start(&setup).await;
    let load = Workload::default().begin(&cluster.client_urls(&[0]));
    for count in 2..=5 {
        load.changes(20).await;
        let through = cluster.running()[count % cluster.running().len()];
        let new = cluster.grow(through).await;
        assert_eq!(cluster.list(new).await.expect("the new member lists").len(), count);
    }
    let dead = cluster.running().into_iter().rfind(|&number| number != 0).expect("five members");
    cluster.kill9(dead).await;
    load.changes(20).await;
    for leaving in (1..5).rev() {
        cluster.remove(0, leaving).await;
        if leaving != dead {
            let status = cluster.exited(leaving).await;
            assert!(status.success(), "m{leaving} was removed and ends in peace: {status}");
        }
        load.changes(20).await;
    }
    assert_eq!(cluster.list(0).await.expect("it lists itself").len(), 1);
    // The one member that is left has the whole history.
    let history = load.finish().await;
    judge(&cluster, &history, "growing and shrinking").await;
}

/// A removed member ends, and cannot start again with its old data.
async fn removed<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let leader = cluster.leader().await;
    let gone = cluster.follower().await;
    put(&cluster.clients(gone), "before", "v").await.expect("every member takes puts");
    cluster.remove(leader, gone).await;
    let status = cluster.exited(gone).await;
    assert!(status.success(), "a removed member ends in peace: {status}");
    put(&cluster.clients(leader), "after", "v").await.expect("two members go on");

    cluster.spawn(gone);
    let status = cluster.exited(gone).await;
    let log = cluster.logs(gone);
    assert!(
        log.contains("the member has been permanently removed from the cluster"),
        "{status}\nThe log:\n{log}"
    );
    let listed = cluster.list(leader).await.expect("every member lists");
    assert!(listed.iter().all(|member| member.id != cluster.id(gone)), "{listed:?}");
    let again = ferretcd_api_proto::etcdserverpb::MemberRemoveRequest { id: cluster.id(gone) };
    let again = cluster.clients(leader).cluster.member_remove(again).await;
    assert_eq!(again.expect_err("it is gone").code(), Code::NotFound);
    cluster.assert_equal().await;
}

on_every_program! {
    a_member_is_replaced => replaced(),
    a_cluster_grows_and_shrinks => grows_and_shrinks(),
    a_removed_member_stays_away => removed(),
}
