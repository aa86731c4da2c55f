//! Disks that stand still for a while, see `Setup::with_disks`, and disks that are slow, see `Setup::with_slow_disk`.

use std::time::Duration;

use ferretcd_tests::members::history::Workload;
use ferretcd_tests::members::{DEADLINE, ELECTION, Members, Retrying, Setup};
use ferretcd_tests::{Metrics, Program, on_every_program};

use super::mixed::lead;
use super::support::{get, judge, put};

/// Long enough for several elections.
const STALL: Duration = Duration::from_secs(3);

/// Whoever asks the others is answered while the leader's disk stands still; nothing is lost when it goes on.
async fn of_the_leader<P: Program>() {
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

/// Nobody else notices that the disk of a follower stands still.
async fn of_a_follower<P: Program>() {
    let Some(setup) = Setup::of(3).with_disks::<P>("the stalled disk of a follower") else { return };
    let cluster = Members::<P>::start(&setup).await;
    let (leader, term) = cluster.leader_and_term().await;
    let follower = cluster.follower().await;
    let others: Vec<_> = (0..3).filter(|&number| number != follower).collect();
    let load = Workload { patience: Duration::from_secs(5), ..Workload::default() };
    let load = load.begin(&cluster.client_urls(&others));
    load.changes(50).await;
    cluster.freeze(follower);
    // It is the stall that lasts, nothing is waited for.
    tokio::time::sleep(STALL).await;
    load.changes(50).await;
    cluster.thaw(follower);
    load.changes(50).await;
    assert_eq!(cluster.leader_and_term().await, (leader, term), "a slow follower disturbs nobody");
    let history = load.finish().await;
    let summary = judge(&cluster, &history, "the stalled disk of a follower").await;
    assert_eq!(summary.unknown, 0, "nobody notices a slow follower");
}

/// Nobody is elected in the place of a leader whose disk is slow, and those who ask the others are served.
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
    a_leaders_disk_is_slow => slow_leader(),
    the_leaders_disk_stands_still => of_the_leader(),
    a_followers_disk_stands_still => of_a_follower(),
}
