//! The leader, and transfers of the leadership.

use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, ELECTION, Members, Retrying, Setup, until};
use ferretcd_tests::{Program, on_every_program, report};
use tonic::Code;

use super::support::{assert_rejected, put};

async fn moves<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(3)).await;
    let (mut leader, mut term) = cluster.leader_and_term().await;
    let follower = cluster.follower().await;
    let move_to = async |through: usize, target_id| {
        cluster.clients(through).maintenance.move_leader(pb::MoveLeaderRequest { target_id }).await
    };
    let not_leader = "etcdserver: not leader";
    assert_rejected(move_to(follower, cluster.id(follower)).await, Code::FailedPrecondition, not_leader);
    let bad = "etcdserver: bad leader transferee";
    assert_rejected(move_to(leader, 1).await, Code::FailedPrecondition, bad);
    move_to(leader, cluster.id(leader)).await.expect("it leads already");
    assert_eq!(cluster.leader_and_term().await, (leader, term));
    for target in [(leader + 1) % 3, (leader + 2) % 3, leader] {
        let sent = Instant::now();
        move_to(leader, cluster.id(target)).await.expect("a follower that is up to date takes over");
        let took = sent.elapsed();
        // The third member may not know the new leader yet.
        let found = cluster.leader_after(&[0, 1, 2], term).await;
        assert_eq!(found, (target, term + 1));
        assert!(took < ELECTION, "it took {took:?}");
        (leader, term) = found;
        put(&cluster.clients(leader), "key", "value").await.expect("the new leader takes puts");
    }
    cluster.assert_equal().await;
}

/// A leader that is terminated transfers the leadership first.
async fn transfers<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let mut times = Vec::new();
    for _ in 0..3 {
        let (leader, term) = cluster.leader_and_term().await;
        let others: Vec<_> = (0..3).filter(|&number| number != leader).collect();
        let mut client = Retrying::new(&cluster.client_urls(&others), Duration::from_millis(200), DEADLINE);
        client.put("before", "v").await.expect("a member responds");
        let sent = Instant::now();
        cluster.terminate(leader);
        let new = until("there is a next term", DEADLINE, async || {
            let status = cluster.status(others[0]).await?;
            let is_new = status.raft_term > term && status.leader != 0;
            is_new.then_some(status.raft_term).ok_or_else(|| format!("term {}", status.raft_term))
        })
        .await;
        let took = sent.elapsed();
        client.put("after", "v").await.expect("a member responds");
        times.push((took, sent.elapsed()));
        assert_eq!(new, term + 1, "one election is enough");
        assert!(took < ELECTION, "the next term took {took:?}");
        cluster.exited(leader).await;
        cluster.restart(leader).await;
    }
    report::measured(
        &format!("next term, next write after SIGTERM of the leader on {}", P::KIND.name),
        &format!("{times:?}"),
    );
    cluster.assert_equal().await;
}

on_every_program! {
    leadership_is_moved => moves(),
    a_terminated_leader_transfers_leadership => transfers(),
}
