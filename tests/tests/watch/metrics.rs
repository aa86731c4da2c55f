//! The metrics of watches.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Cluster, Metrics, Release, WatchStream, on_every_target};

use super::calls::write_many;
use super::server::{connect, connect_narrow, prefix, put, start};

const STREAMS: &str = "etcd_debugging_mvcc_watch_stream_total";
const WATCHERS: &str = "etcd_debugging_mvcc_watcher_total";
const SLOW: &str = "etcd_debugging_mvcc_slow_watcher_total";
const PENDING: &str = "etcd_debugging_mvcc_pending_events_total";
const EVENTS: &str = "etcd_debugging_mvcc_events_total";

/// Histograms of the send loop: of event responses, per event, of control responses, of progress.
const SENT: &str = "etcd_debugging_server_watch_send_loop_watch_stream_duration_seconds_count";
const PER_EVENT: &str = "etcd_debugging_server_watch_send_loop_watch_stream_duration_per_event_seconds_count";
const ANSWERED: &str = "etcd_debugging_server_watch_send_loop_control_stream_duration_seconds_count";
const REPORTED: &str = "etcd_debugging_server_watch_send_loop_progress_duration_seconds_count";

fn has(metrics: &Metrics, expected: &[(&str, f64)]) -> bool {
    expected.iter().all(|(name, value)| metrics.get(name) == Some(*value))
}

async fn counts<C: Cluster>() {
    const INTERVAL: &str = "--watch-progress-notify-interval=100ms";
    let Some(cluster) = start::<C>("metrics of watches", &[INTERVAL]).await else { return };
    let mut clients = connect(&cluster).await;
    let nothing = [(STREAMS, 0.0), (WATCHERS, 0.0), (SLOW, 0.0), (PENDING, 0.0), (EVENTS, 0.0)];
    Metrics::until(&cluster, "a server without watches", |metrics| has(metrics, &nothing)).await;

    let (mut first, mut second) = (WatchStream::open(&clients), WatchStream::open(&clients));
    first.created(prefix("a")).await;
    first.created(pb::WatchCreateRequest { progress_notify: true, ..prefix("b") }).await;
    second.created(prefix("a")).await;
    for number in 0..5 {
        put(&mut clients, "a", number.to_string()).await;
    }
    put(&mut clients, "b", "").await;
    put(&mut clients, "c", "").await;
    first.until_events(6).await;
    second.until_events(5).await;
    let open = [(STREAMS, 2.0), (WATCHERS, 3.0), (SLOW, 0.0), (PENDING, 0.0), (EVENTS, 11.0)];
    Metrics::until(&cluster, "three watches that have everything", |metrics| has(metrics, &open)).await;
    if C::KIND.release >= Release::V3_7 {
        let at_least = |metrics: &Metrics, name, count| metrics.get(name).is_some_and(|value| value >= count);
        Metrics::until(&cluster, "the times it took", |metrics| {
            // A response may have several events.
            at_least(metrics, SENT, 3.0)
                && metrics.get(SENT) == metrics.get(PER_EVENT)
                && at_least(metrics, ANSWERED, 3.0)
                && at_least(metrics, REPORTED, 2.0)
        })
        .await;
    }

    first.cancel(1).await;
    while !first.response().await.canceled {}
    let fewer = [(STREAMS, 2.0), (WATCHERS, 2.0)];
    Metrics::until(&cluster, "one watch less", |metrics| has(metrics, &fewer)).await;
    drop(second);
    let fewer = [(STREAMS, 1.0), (WATCHERS, 1.0)];
    Metrics::until(&cluster, "one call less", |metrics| has(metrics, &fewer)).await;
    drop(first);
    let none = [(STREAMS, 0.0), (WATCHERS, 0.0), (SLOW, 0.0), (PENDING, 0.0), (EVENTS, 11.0)];
    Metrics::until(&cluster, "no call any more", |metrics| has(metrics, &none)).await;
}

async fn slow_watch<C: Cluster>() {
    const PUTS: usize = 1000;
    let Some(cluster) = start::<C>("metrics of a slow watch", &[]).await else { return };
    let clients = connect(&cluster).await;
    let narrow = connect_narrow(&cluster, 1).await;
    let mut stream = WatchStream::open(&narrow);
    stream.created(prefix("k")).await;
    let mut written = 0;
    loop {
        write_many(&clients, PUTS, 4096).await;
        written += PUTS;
        let now = Metrics::of(&cluster).await.expect("a running server has metrics");
        if has(&now, &[(WATCHERS, 1.0), (SLOW, 1.0)]) {
            break;
        }
        assert!(written < 10 * PUTS, "a watch with {written} unread events of 4 KiB is not slow");
    }
    stream.until_events(written).await;
    let caught_up = [(SLOW, 0.0), (PENDING, 0.0), (EVENTS, f64::from(u32::try_from(written).expect("few")))];
    Metrics::until(&cluster, "a watch that has caught up", |metrics| has(metrics, &caught_up)).await;

    // A watch with a future start is not slow, nor is one that was ended by a compaction.
    let mut stream = WatchStream::open(&clients);
    let compaction = pb::CompactionRequest { revision: 100, physical: false };
    clients.kv.clone().compact(compaction).await.expect("compactions succeed");
    stream.created(pb::WatchCreateRequest { start_revision: 1 << 40, ..prefix("k") }).await;
    stream.created(pb::WatchCreateRequest { start_revision: 1, ..prefix("k") }).await;
    assert!(stream.response().await.canceled);
    Metrics::until(&cluster, "no slow watch", |metrics| has(metrics, &[(SLOW, 0.0)])).await;
}

on_every_target! {
    of_watches => counts(),
    of_a_slow_watch => slow_watch(),
}
