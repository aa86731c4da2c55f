//! The time without writes after the death of a leader.

use std::time::{Duration, Instant};

use ferretcd_tests::members::{DEADLINE, ELECTION, Members, Network, Retrying, Setup};
use ferretcd_tests::{Program, report};

const KILLS: usize = 30;

/// Kills leaders and measures the time to the next write. etcd takes one to two election timeouts.
pub(crate) async fn failover<P: Program>() {
    if !Network::Namespaces.is_available::<P>("fail-over") {
        return;
    }
    let mut cluster = Members::<P>::start(&Setup::of(3).on(Network::Namespaces)).await;
    let mut times = Vec::new();
    for kill in 0..KILLS {
        let leader = cluster.leader().await;
        let others: Vec<_> = (0..3).filter(|&number| number != leader).collect();
        let mut client = Retrying::new(&cluster.client_urls(&others), Duration::from_millis(100), DEADLINE);
        client.put("before", &kill.to_string()).await.expect("a member responds");
        let killed = Instant::now();
        cluster.kill9(leader).await;
        client.put("after", &kill.to_string()).await.expect("a member responds");
        times.push(killed.elapsed());
        cluster.restart(leader).await;
    }
    times.sort();
    let at = |part: usize| times[(KILLS * part).div_ceil(100) - 1];
    report::measured(
        &format!("next write after kill -9 of the leader on {}", P::KIND.name),
        &format!(
            "p50 {:?}, p99 {:?} of {KILLS}, election timeout {ELECTION:?}, target for p99 {:?}",
            at(50),
            at(99),
            ELECTION * 3 / 2
        ),
    );
    cluster.assert_equal().await;
    assert!(at(99) < 4 * ELECTION, "{times:?}");
}
