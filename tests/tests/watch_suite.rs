//! The Watch service, as scenarios on every target.

use ferretcd_tests::scenario::{WatchSession, run};
use ferretcd_tests::{Cluster, on_every_target};

async fn suite<C: Cluster>(file: &str) {
    run::<C, WatchSession>(file).await;
}

on_every_target! {
    create => suite("watch/create.txt"),
    ranges => suite("watch/ranges.txt"),
    start => suite("watch/start.txt"),
    compacted => suite("watch/compacted.txt"),
    filters => suite("watch/filters.txt"),
    prev_kv => suite("watch/prev_kv.txt"),
    progress => suite("watch/progress.txt"),
    cancel => suite("watch/cancel.txt"),
    order => suite("watch/order.txt"),
}
