//! The Lease service and what it does to keys, on every target.

use ferretcd_tests::scenario::{KvSession, run};
use ferretcd_tests::{Cluster, on_every_target};

async fn suite<C: Cluster>(file: &str) {
    run::<C, KvSession>(file).await;
}

on_every_target! {
    calls => suite("kv/lease.txt"),
    durable => suite("kv/lease_durable.txt"),
}
