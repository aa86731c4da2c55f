//! Members that do not vote yet.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Program, on_every_program};
use tonic::Code;

use super::support::{assert_rejected, get, put, put_at_last};

const NO_RPC: &str = "etcdserver: rpc not supported for learner";

async fn rules<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    put(&cluster.clients(0), "before", "v").await.expect("every member takes puts");
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    let learner = cluster.add(follower, true).await;
    let id = cluster.id(learner);
    // A learner that never started is not in sync, a voter is no learner, an unknown id is not found.
    let through = cluster.clients(follower);
    let promote = async |id| through.cluster.clone().member_promote(pb::MemberPromoteRequest { id }).await;
    let not_ready = "etcdserver: can only promote a learner member which is in sync with leader";
    assert_rejected(promote(id).await, Code::FailedPrecondition, not_ready);
    let not_learner = "etcdserver: can only promote a learner member";
    assert_rejected(promote(cluster.id(leader)).await, Code::FailedPrecondition, not_learner);
    assert_rejected(promote(1).await, Code::NotFound, "etcdserver: member not found");
    let second = pb::MemberAddRequest { peer_urls: vec!["http://127.0.0.1:1".to_owned()], is_learner: true };
    let too_many = "etcdserver: too many learner members in cluster";
    let rejected = cluster.clients(follower).cluster.member_add(second).await;
    assert_rejected(rejected, Code::FailedPrecondition, too_many);

    cluster.restart(learner).await;
    let status = cluster.status(learner).await.expect("learners have a status");
    assert!(status.is_learner);
    let listed = cluster.list(follower).await.expect("every member lists");
    assert!(listed.iter().all(|member| member.is_learner == (member.id == id)), "{listed:?}");

    // It serves serializable reads and its own status, and rejects the rest.
    put(&cluster.clients(leader), "during", "v").await.expect("every member takes puts");
    let clients = cluster.clients(learner);
    until("the learner has it", DEADLINE, async || {
        let found = get(&clients, "during", true).await.map_err(|status| status.to_string())?;
        found.ok_or_else(|| "not yet".to_owned())
    })
    .await;
    assert_rejected(get(&clients, "during", false).await, Code::FailedPrecondition, NO_RPC);
    assert_rejected(put(&clients, "no", "v").await, Code::FailedPrecondition, NO_RPC);
    let list = clients.cluster.clone().member_list(pb::MemberListRequest { linearizable: false }).await;
    assert_rejected(list, Code::FailedPrecondition, NO_RPC);
    let granted = clients.lease.clone().lease_grant(pb::LeaseGrantRequest { id: 1, ttl: 60 }).await;
    assert_rejected(granted, Code::FailedPrecondition, NO_RPC);
    let moved = pb::MoveLeaderRequest { target_id: id };
    let moved = cluster.clients(leader).maintenance.move_leader(moved).await;
    assert_rejected(moved, Code::FailedPrecondition, "etcdserver: bad leader transferee");

    // Promoted through a follower, it votes and serves.
    cluster.promote(follower, learner).await;
    assert_rejected(promote(id).await, Code::FailedPrecondition, not_learner);
    cluster.serves(learner).await;
    assert!(!cluster.status(learner).await.expect("every member has a status").is_learner);
    put_at_last(&clients, "after", "v").await;
    cluster.kill9(leader).await;
    put_at_last(&clients, "without", "v").await;
    cluster.restart(leader).await;
    cluster.assert_equal().await;
}

/// A learner does not count for the quorum: its death and its removal do not affect the others.
async fn does_not_count<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(1)).await;
    let learner = cluster.add(0, true).await;
    put(&cluster.clients(0), "a", "v").await.expect("one voter is enough");
    cluster.restart(learner).await;
    cluster.kill9(learner).await;
    put(&cluster.clients(0), "b", "v").await.expect("one voter is enough");
    cluster.restart(learner).await;
    cluster.remove(0, learner).await;
    assert!(cluster.exited(learner).await.success(), "a removed member ends in peace");
    put(&cluster.clients(0), "c", "v").await.expect("one voter is enough");
    cluster.assert_equal().await;
}

/// A learner that serves has caught up: its first promotion succeeds, however rare the leader's heartbeats are.
async fn promoted_at_once<P: Program>() {
    let rare = Setup::of(1).with(&["--heartbeat-interval=1000", "--election-timeout=5000"]);
    let mut cluster = Members::<P>::start(&rare).await;
    for _ in 0..100 {
        put(&cluster.clients(0), "a", "v").await.expect("one voter is enough");
    }
    let learner = cluster.add(0, true).await;
    cluster.restart(learner).await;
    let promotion = pb::MemberPromoteRequest { id: cluster.id(learner) };
    let promoted = cluster.clients(0).cluster.member_promote(promotion).await;
    promoted.expect("a learner that is ready is in sync");
    cluster.serves(learner).await;
    cluster.assert_equal().await;
}

on_every_program! {
    learners_that_serve_are_promoted_at_once => promoted_at_once(),
    learners_serve_what_etcds_learners_serve => rules(),
    learners_do_not_count_for_the_quorum => does_not_count(),
}
