//! Disks that freeze for a while, see `Setup::with_disks`, and slow disks, see `Setup::with_slow_disk`.

use std::time::Duration;

use ferretcd_tests::members::history::Workload;
use ferretcd_tests::members::{DEADLINE, ELECTION, Members, Retrying, Setup};
use ferretcd_tests::{Metrics, Program, on_every_program};

use super::mixed::lead;
use super::support::{get, judge, put};

/// Long enough for several elections.
const STALL: Duration = Duration::from_secs(3);

/// The other members serve requests while the leader's disk is frozen; nothing is lost when it goes on.
async fn frozen_leader<P: Program>() {
    let Some(setup) = Setup::of(3).with_disks::<P>("the stalled disk of a leader") else { return };
    let cluster = Members::<P>::start(&setup).await;
    let load = Workload::default().begin(&cluster.client_urls(&[0, 1, 2]));
    load.changes(50).await;
    let leader = cluster.leader().await;
    let others: Vec<_> = (0..3).filter(|&number| number != leader).collect();
    cluster.freeze(leader);
    let mut client = Retrying::new(&cluster.client_urls(&others), ELECTION, DEADLINE);
    let stalled = tokio::time::timeout(STALL, async {
        let mut count = 0;
        while count < 20 {
            client.put("stalled", &count.to_string()).await.expect("two disks are enough");
            count += 1;
        }
    });
    let is_served = stalled.await.is_ok();
    cluster.thaw(leader);
    assert!(is_served, "two members take no writes while the leader's disk stands still");
    load.changes(50).await;
    cluster.leader().await;
    let history = load.finish().await;
    judge(&cluster, &history, "the stalled disk of a leader").await;
}

/// A frozen disk of a follower does not affect the other members.
async fn frozen_follower<P: Program>() {
    let Some(setup) = Setup::of(3).with_disks::<P>("the stalled disk of a follower") else { return };
    let cluster = Members::<P>::start(&setup).await;
    let (leader, term) = cluster.leader_and_term().await;
    let follower = cluster.follower().await;
    let others: Vec<_> = (0..3).filter(|&number| number != follower).collect();
    let load = Workload { patience: Duration::from_secs(5), ..Workload::default() };
    let load = load.begin(&cluster.client_urls(&others));
    load.changes(50).await;
    cluster.freeze(follower);
    // The stall itself has to last this long.
    tokio::time::sleep(STALL).await;
    load.changes(50).await;
    cluster.thaw(follower);
    load.changes(50).await;
    assert_eq!(cluster.leader_and_term().await, (leader, term), "a slow follower must not change the leader");
    let history = load.finish().await;
    let summary = judge(&cluster, &history, "the stalled disk of a follower").await;
    assert_eq!(summary.unknown, 0, "a slow follower must not delay requests");
}

/// A leader with a slow disk stays the leader, and the other members serve requests.
async fn slow_leader<P: Program>() {
    let Some(setup) = Setup::of(3).with_slow_disk::<P>("a slow disk of the leader") else { return };
    let cluster = Members::<P>::start(&setup).await;
    lead(&cluster, 0).await;
    let begun = cluster.leader_and_term().await;
    assert_eq!(begun.0, 0);
    for index in 0..30 {
        let (first, second) = (1 + index % 2, 2 - index % 2);
        let value = index.to_string();
        put(&cluster.clients(first), "slow", &value).await.expect("two disks are enough");
        let found = get(&cluster.clients(second), "slow", false).await.expect("reads need no disk");
        assert_eq!(found, Some(value), "through m{second}");
    }
    assert_eq!(cluster.leader_and_term().await, begun);
    let metrics = Metrics::at(&cluster.client_url(0)).await.expect("a running member has metrics");
    let faster = metrics.get(r#"etcd_disk_wal_fsync_duration_seconds_bucket{le="0.128"}"#);
    assert_eq!(faster, Some(0.0), "its disk was not slow");
    cluster.assert_equal().await;
}

on_every_program! {
    a_leader_with_a_slow_disk_stays_leader => slow_leader(),
    writes_go_on_when_the_leaders_disk_is_frozen => frozen_leader(),
    a_follower_with_a_frozen_disk_does_not_delay_the_others => frozen_follower(),
}
