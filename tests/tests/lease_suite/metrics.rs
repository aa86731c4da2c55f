//! The metrics of leases.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Cluster, Metrics, Renewals};

use super::{grant, put, revoke, start};

const NAMES: [&str; 6] = [
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_revoked_total",
    "etcd_debugging_lease_renewed_total",
    "etcd_debugging_server_lease_expired_total",
    "etcd_debugging_lease_ttl_total_count",
    "etcd_debugging_lease_ttl_total_sum",
];

pub(crate) async fn metrics<C: Cluster>() {
    let Some((cluster, mut clients)) = start::<C>("metrics of leases").await else { return };
    assert_eq!(values(&now(&cluster).await), [0.0; 6], "all are there from the start");

    let kept = grant(&mut clients, 0, 600).await.id;
    let revoked = grant(&mut clients, 0, 700).await.id;
    let again = pb::LeaseGrantRequest { id: kept, ttl: 600 };
    clients.lease.lease_grant(again).await.expect_err("the id is in use");
    put(&mut clients, "a", revoked).await.expect("the lease is there");
    revoke(&mut clients, revoked).await.expect("the lease is there");
    revoke(&mut clients, revoked).await.expect_err("it isn't any more");
    let mut renewals = Renewals::begin(&mut clients.lease, &[kept, 404, kept]).await.expect("it opens");
    for _ in 0..3 {
        renewals.next().await.expect("an response").expect("the stream goes on");
    }
    assert_eq!(values(&now(&cluster).await), [2.0, 1.0, 2.0, 0.0, 2.0, 1300.0]);

    grant(&mut clients, 0, 2).await;
    let ended = [3.0, 2.0, 2.0, 1.0, 3.0, 1302.0];
    let metrics = Metrics::until(&cluster, "the end of a lease", |metrics| values(metrics) == ended).await;
    assert_buckets(&metrics, &[2.0, 600.0, 700.0]);
}

async fn now(cluster: &impl Cluster) -> Metrics {
    Metrics::of(cluster).await.expect("a running server has metrics")
}

/// The values of [`NAMES`].
fn values(metrics: &Metrics) -> [f64; 6] {
    NAMES.map(|name| metrics.get(name).unwrap_or_else(|| panic!("{name} is not among the metrics")))
}

/// There is a bucket for each power of two from 1 s on, 24 of them, and one for all.
fn assert_buckets(metrics: &Metrics, times: &[f64]) {
    let bucket =
        |bound: &str| metrics.get(&format!("etcd_debugging_lease_ttl_total_bucket{{le=\"{bound}\"}}"));
    for bound in (0..24).map(|power| 2f64.powi(power)) {
        let count = times.iter().filter(|time| **time <= bound).count() as f64;
        let found = bucket(&bound.to_string()).or_else(|| bucket(&with_exponent(bound)));
        assert_eq!(found, Some(count), "up to {bound} s");
    }
    assert_eq!(bucket("+Inf"), Some(times.len() as f64));
    assert_eq!(bucket("16777216").or_else(|| bucket(&with_exponent(16_777_216.0))), None);
}

/// The form in which Go's library writes a million and more.
fn with_exponent(number: f64) -> String {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').expect("that is the form");
    format!("{digits}e+{exponent:0>2}")
}
