//! What is counted.

use std::collections::BTreeMap;
use std::time::Duration;

use api_proto::etcdserverpb as pb;
use ferretcd_tests::{Cluster, Renewals, raw};
use tokio::time::{interval, timeout};

use super::{DEADLINE, grant, put, revoke, start};

const NAMES: [&str; 7] = [
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_revoked_total",
    "etcd_debugging_lease_renewed_total",
    "etcd_debugging_server_lease_expired_total",
    "etcd_debugging_lease_ttl_total_count",
    "etcd_debugging_lease_ttl_total_sum",
    "etcd_debugging_lease_ttl_total_bucket",
];

pub(crate) async fn metrics<C: Cluster>() {
    let Some((cluster, mut clients)) = start::<C>("metrics of leases").await else { return };
    assert_eq!(scalars(&cluster).await, [0.0; 6], "all are there from the start");

    let kept = grant(&mut clients, 0, 600).await.id;
    let revoked = grant(&mut clients, 0, 700).await.id;
    let again = pb::LeaseGrantRequest { id: kept, ttl: 600 };
    clients.lease.lease_grant(again).await.expect_err("the id is in use");
    put(&mut clients, "a", revoked).await.expect("the lease is there");
    revoke(&mut clients, revoked).await.expect("the lease is there");
    revoke(&mut clients, revoked).await.expect_err("it isn't any more");
    let mut renewals = Renewals::begin(&mut clients.lease, &[kept, 404, kept]).await.expect("it opens");
    for _ in 0..3 {
        renewals.next().await.expect("an answer").expect("the stream goes on");
    }
    assert_eq!(scalars(&cluster).await, [2.0, 1.0, 2.0, 0.0, 2.0, 1300.0]);

    grant(&mut clients, 0, 2).await;
    let ended = [3.0, 2.0, 2.0, 1.0, 3.0, 1302.0];
    let mut polls = interval(Duration::from_millis(50));
    let seen = timeout(DEADLINE, async {
        while scalars(&cluster).await != ended {
            polls.tick().await;
        }
    });
    if seen.await.is_err() {
        panic!("{:?} instead of {ended:?}", scalars(&cluster).await);
    }
    assert_eq!(buckets(&cluster).await, expected_buckets(&[2.0, 600.0, 700.0]));
}

/// The metrics of leases that are one number, in the order of [`NAMES`].
async fn scalars(cluster: &impl Cluster) -> [f64; 6] {
    let all = page(cluster).await;
    let value = |name: &str| *all.get(name).unwrap_or_else(|| panic!("{name} is not among the metrics"));
    std::array::from_fn(|index| value(NAMES[index]))
}

/// The upper bounds of the buckets of [`NAMES`]'s last with their counts. How a bound is written is left to the
/// library.
async fn buckets(cluster: &impl Cluster) -> Vec<(f64, f64)> {
    let before = format!("{}{{le=\"", NAMES[6]);
    let bound = |name: &str| name.strip_prefix(&before)?.strip_suffix("\"}")?.parse().ok();
    let all = page(cluster).await;
    let mut buckets: Vec<_> = all.iter().filter_map(|(name, count)| Some((bound(name)?, *count))).collect();
    buckets.sort_by(|a, b| f64::total_cmp(&a.0, &b.0));
    buckets
}

/// A bucket for each power of two from 1 s on, 24 of them, and one for all.
fn expected_buckets(values: &[f64]) -> Vec<(f64, f64)> {
    let bounds = (0..24).map(|power| 2f64.powi(power)).chain([f64::INFINITY]);
    bounds.map(|bound| (bound, values.iter().filter(|value| **value <= bound).count() as f64)).collect()
}

async fn page(cluster: &impl Cluster) -> BTreeMap<String, f64> {
    let text = raw::page(&cluster.endpoint(), "/metrics").await.expect("there is a page of metrics");
    let lines = text.lines().filter(|line| line.starts_with("etcd_debugging_"));
    lines
        .filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().expect("a metric is a number")))
        })
        .collect()
}
