//! The KV service and the related rpcs of Maintenance, as scenarios on every target.

use ferretcd_tests::scenario::{KvSession, run};
use ferretcd_tests::{Cluster, on_every_target};

async fn suite<C: Cluster>(file: &str) {
    run::<C, KvSession>(file).await;
}

on_every_target! {
    range => suite("kv/range.txt"),
    stream => suite("kv/stream.txt"),
    put => suite("kv/put.txt"),
    delete => suite("kv/delete.txt"),
    txn => suite("kv/txn.txt"),
    txn_form => suite("kv/txn_form.txt"),
    compact => suite("kv/compact.txt"),
    hash => suite("kv/hash.txt"),
    headers => suite("kv/headers.txt"),
    alarms => suite("kv/alarms.txt"),
    durable => suite("kv/durable.txt"),
}
