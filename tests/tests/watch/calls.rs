//! Large responses, slow readers, rpcs that no scenario can make, and the end of the server.

use std::time::Duration;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Clients, Cluster, Event, Response, WatchStream, on_every_target, raw};
use prost::Message as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::Code;

use super::server::{connect, connect_narrow, prefix, put, start};

/// `--max-request-bytes` and 512 KiB: larger responses are fragmented.
const FRAGMENT_BYTES: usize = (1536 + 512) << 10;

/// The events of a deleted range with previous rows have 5 MB, in one response or in three.
async fn fragments<C: Cluster>() {
    let Some(cluster) = start::<C>("fragments", &[]).await else { return };
    let mut clients = connect(&cluster).await;
    let mut stream = WatchStream::open(&clients);
    let deletes = pb::WatchCreateRequest { prev_kv: true, ..without_puts(prefix("big/")) };
    stream.created(deletes.clone()).await;
    stream.created(pb::WatchCreateRequest { fragment: true, ..deletes.clone() }).await;
    for number in 0..5 {
        put(&mut clients, &format!("big/{number}"), vec![b'v'; 1_000_000]).await;
    }
    let delete = pb::DeleteRangeRequest { key: "big/".into(), range_end: "big0".into(), prev_kv: false };
    clients.kv.delete_range(delete).await.expect("deletes succeed");

    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    while whole.is_empty() || events_of(&parts) < 5 {
        let response = stream.response().await;
        if response.watch_id == 0 { whole.push(response) } else { parts.push(response) }
    }
    assert_eq!(whole.len(), 1);
    assert_eq!(whole[0].events.len(), 5);
    assert!(!whole[0].fragment);
    let sizes: Vec<_> = parts.iter().map(|part| part.events.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_belong_together(&parts);
    assert_eq!(parts[0].header, whole[0].header);
    assert_eq!(flattened(parts), whole.remove(0).events);

    // The same from history, along with the puts before.
    let from_there =
        |fragment| pb::WatchCreateRequest { start_revision: 2, prev_kv: true, fragment, ..prefix("big/") };
    let mut stream = WatchStream::open(&clients);
    stream.created(from_there(false)).await;
    let whole = stream.until_events(10).await;
    let mut stream = WatchStream::open(&clients);
    stream.created(from_there(true)).await;
    let parts = stream.until_events(10).await;
    assert!(parts.iter().any(|part| part.fragment));
    for batch in parts.split_inclusive(|part| !part.fragment) {
        assert_belong_together(batch);
    }
    assert!(parts.iter().all(|part| bytes_of(&part.events) < FRAGMENT_BYTES));
    assert_eq!(flattened(parts), flattened(whole));
}

/// A single event is never fragmented, however large.
async fn one_large_event<C: Cluster>() {
    let Some(cluster) = start::<C>("a large event", &[]).await else { return };
    let mut clients = connect(&cluster).await;
    let mut stream = WatchStream::open(&clients);
    stream.created(pb::WatchCreateRequest { prev_kv: true, fragment: true, ..prefix("big") }).await;
    for _ in 0..2 {
        put(&mut clients, "big", vec![b'v'; 1_500_000]).await;
    }
    let responses = stream.until_events(2).await;
    assert!(responses.iter().all(|response| !response.fragment || response.events.len() == 1));
    assert!(bytes_of(&responses.last().expect("there are two events").events) > FRAGMENT_BYTES);
    assert!(!responses.last().expect("there are two events").fragment);
}

fn without_puts(request: pb::WatchCreateRequest) -> pb::WatchCreateRequest {
    let noput = pb::watch_create_request::FilterType::Noput;
    pb::WatchCreateRequest { filters: vec![noput.into()], ..request }
}

fn events_of(responses: &[Response]) -> usize {
    responses.iter().map(|response| response.events.len()).sum()
}

fn flattened(responses: Vec<Response>) -> Vec<Event> {
    responses.into_iter().flat_map(|response| response.events).collect()
}

/// The size without the framing of rows.
fn bytes_of(events: &[Event]) -> usize {
    let prev = |event: &Event| event.prev.as_ref().map_or(0, |prev| prev.encoded_len());
    events.iter().map(|event| event.row.encoded_len() + prev(event)).sum()
}

/// Asserts that all but the last are marked as fragments, and that all have the id and the header of the first.
fn assert_belong_together(parts: &[Response]) {
    let (last, others) = parts.split_last().expect("there is a last part");
    assert!(!last.fragment);
    assert!(others.iter().all(|part| part.fragment));
    assert!(parts.iter().all(|part| (part.watch_id, &part.header) == (last.watch_id, &last.header)));
    assert!(parts.iter().all(|part| !part.created && !part.canceled && !part.events.is_empty()));
}

/// A client that reads nothing until all is written gets every event, and later ones too.
async fn slow_reader<C: Cluster>() {
    const PUTS: usize = 2000;
    let Some(cluster) = start::<C>("a slow reader", &[]).await else { return };
    let narrow = connect_narrow(&cluster, 2).await;
    let (mut slow, mut from_the_past) = (WatchStream::open(&narrow), WatchStream::open(&narrow));
    slow.created(prefix("k")).await;
    from_the_past.created(pb::WatchCreateRequest { start_revision: 2, ..prefix("k") }).await;

    let mut clients = connect(&cluster).await;
    write_many(&clients, PUTS, 2048).await;
    let revision = put(&mut clients, "k", "last").await;

    for stream in [&mut slow, &mut from_the_past] {
        let events = flattened(stream.until_events(PUTS + 1).await);
        let revisions = events.iter().map(|event| event.row.mod_revision);
        assert!(revisions.eq(2..=revision), "{} events", events.len());
    }
    let revision = put(&mut clients, "k", "more").await;
    for stream in [&mut slow, &mut from_the_past] {
        let response = stream.response().await;
        assert_eq!(response.events.len(), 1);
        assert_eq!((response.revision(), response.events[0].row.mod_revision), (revision, revision));
    }
}

/// A client whose next revision is compacted meanwhile gets the events in flight, in order, and then the end of its
/// watch.
async fn slow_reader_of_compacted<C: Cluster>() {
    const PUTS: usize = 2000;
    let Some(cluster) = start::<C>("a slow reader of compacted revisions", &[]).await else { return };
    let mut slow = WatchStream::open(&connect_narrow(&cluster, 1).await);
    slow.created(prefix("k")).await;
    let mut clients = connect(&cluster).await;
    write_many(&clients, PUTS, 2048).await;
    let revision = put(&mut clients, "k", "last").await;
    let compaction = pb::CompactionRequest { revision, physical: true };
    clients.kv.compact(compaction).await.expect("compactions succeed");

    let mut next = 2;
    let end = loop {
        let response = slow.response().await;
        if response.canceled {
            break response;
        }
        for event in response.events {
            assert_eq!(event.row.mod_revision, next);
            next += 1;
        }
    };
    assert!(next < revision, "4 MB were read by a reader that did not read");
    assert_eq!((end.watch_id, end.compact_revision, end.revision()), (0, revision, 0));
    assert_eq!((end.cancel_reason.as_str(), end.events), ("", vec![]));
    // The stream goes on.
    slow.created(pb::WatchCreateRequest { start_revision: revision, ..prefix("k") }).await;
    assert_eq!(slow.response().await.events.len(), 1);
}

/// Puts of eight concurrent clients, on keys that begin with `k`.
pub(crate) async fn write_many(clients: &Clients, puts: usize, value_bytes: usize) {
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let mut clients = clients.clone();
        let value = Bytes::from(vec![b'v'; value_bytes]);
        writers.spawn(async move {
            for number in (writer..puts).step_by(8) {
                put(&mut clients, &format!("k{}", number % 100), value.clone()).await;
            }
        });
    }
    writers.join_all().await;
}

/// Requests may be sent without waiting for responses, which come in order.
async fn many_creations_at_once<C: Cluster>() {
    const WATCHES: i64 = 500;
    let Some(cluster) = start::<C>("many creations at once", &[]).await else { return };
    let mut clients = connect(&cluster).await;
    let mut stream = WatchStream::open(&clients);
    // A server that stops reading requests while its responses are not read would block this for ever.
    for number in 0..WATCHES {
        let key = format!("k{}", number % 10).into();
        stream.create(pb::WatchCreateRequest { key, ..Default::default() }).await;
    }
    for id in 0..WATCHES {
        let response = stream.response().await;
        assert!(response.created && !response.canceled);
        assert_eq!(response.watch_id, id);
    }
    put(&mut clients, "k3", "").await;
    let mut seen: Vec<_> = stream.until_events(50).await.iter().map(|response| response.watch_id).collect();
    seen.sort_unstable();
    let expected: Vec<_> = (0..WATCHES).filter(|id| id % 10 == 3).collect();
    assert_eq!(seen, expected);
}

/// The frame of a creation.
fn creation() -> Bytes {
    let create = pb::watch_request::RequestUnion::CreateRequest(prefix("k"));
    raw::frame(&pb::WatchRequest { request_union: Some(create) }.encode_to_vec())
}

/// The outcome of an rpc with this body.
async fn raw_call(cluster: &impl Cluster, headers: &[(&str, &[u8])], body: Bytes) -> String {
    let endpoint = cluster.endpoint();
    let response = raw::call(&endpoint, "/etcdserverpb.Watch/Watch", headers, body);
    let response = timeout(Duration::from_secs(10), response).await.expect("the server ends the call");
    response.map_or_else(|error| format!("failed to {error}"), |response| response.outcome())
}

/// A client's deadline ends its rpc, by a status or by a reset.
async fn deadline<C: Cluster>() {
    let Some(cluster) = start::<C>("the deadline of a watch call", &[]).await else { return };
    for body in [creation(), Bytes::new()] {
        let outcome = raw_call(&cluster, &[("grpc-timeout", b"50m")], body).await;
        assert_ne!(outcome, "0", "{}", C::KIND.name);
    }
}

/// Requests that a library would not send.
async fn malformed_requests<C: Cluster>() {
    let Some(cluster) = start::<C>("unusual watch calls", &[]).await else { return };
    let is_code = |outcome: String, code: &str| {
        assert_eq!(outcome.split(' ').next(), Some(code), "{}: {outcome}", C::KIND.name);
    };
    let broken = raw::frame(&[0xff]);
    is_code(raw_call(&cluster, &[], broken.clone()).await, "13");
    is_code(raw_call(&cluster, &[], [creation(), broken].concat().into()).await, "13");
    let mut clients = connect(&cluster).await;
    let mut stream = WatchStream::open(&clients);
    stream.created(prefix("k")).await;
    put(&mut clients, "k", "").await;
    assert_eq!(stream.response().await.events.len(), 1);
}

/// The longest stop of a server without open rpcs.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Terminates the server, and asserts that it stops within this time.
async fn stops<C: Cluster>(mut cluster: C, within: Duration) {
    let before = Instant::now();
    cluster.stop().await.expect("the server stops");
    let took = before.elapsed();
    // A real etcd waits some seconds for open rpcs.
    assert!(C::KIND.reference || took < within, "{}: {took:?}", C::KIND.name);
}

/// Open watches end with the server, and don't delay its stop.
async fn end_with_idle_watches<C: Cluster>() {
    let Some(cluster) = start::<C>("the end with idle watches", &[]).await else { return };
    let mut clients = connect(&cluster).await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut stream = WatchStream::open(&clients);
        stream.created(prefix("k")).await;
        idle.push(stream);
    }
    put(&mut clients, "k", "").await;
    let mut ends = JoinSet::new();
    for mut stream in idle {
        assert_eq!(stream.response().await.events.len(), 1);
        ends.spawn(async move { stream.next().await });
    }
    stops(cluster, AT_ONCE).await;
    for end in ends.join_all().await {
        let status = end.expect_err("the server ends the call with an error");
        // A client library that finds its connection closed has an error of its own.
        assert!(C::KIND.reference || status.code() == Code::Unavailable, "{status:?}");
    }
}

/// An rpc whose client does not read can't receive its status: the server waits some seconds and breaks it off.
async fn end_with_a_stuck_watch<C: Cluster>() {
    let Some(cluster) = start::<C>("the end with a stuck watch", &[]).await else { return };
    let narrow = connect_narrow(&cluster, 1).await;
    let mut stuck = WatchStream::open(&narrow);
    stuck.created(prefix("k")).await;
    write_many(&connect(&cluster).await, 1000, 2048).await;
    stops(cluster, Duration::from_secs(5) + AT_ONCE).await;
}

/// A stream without any watch does not delay the stop either.
async fn end_with_an_empty_stream<C: Cluster>() {
    let Some(cluster) = start::<C>("the end with an empty call", &[]).await else { return };
    let clients = connect(&cluster).await;
    let _idle = WatchStream::open(&clients);
    // Its response shows that the rpc before it has arrived too.
    let mut other = WatchStream::open(&clients);
    other.created(prefix("k")).await;
    other.cancel(0).await;
    assert!(other.response().await.canceled);
    stops(cluster, AT_ONCE).await;
}

on_every_target! {
    large_revisions_are_fragmented => fragments(),
    a_large_event_is_not_fragmented => one_large_event(),
    a_slow_reader_gets_all_events => slow_reader(),
    a_slow_reader_is_canceled_by_a_compaction => slow_reader_of_compacted(),
    creations_need_not_wait_for_responses => many_creations_at_once(),
    malformed_requests_do_no_harm => malformed_requests(),
    a_deadline_ends_the_rpc => deadline(),
    idle_watches_end_with_the_server => end_with_idle_watches(),
    a_stuck_watch_ends_with_the_server => end_with_a_stuck_watch(),
    an_empty_stream_ends_with_the_server => end_with_an_empty_stream(),
}
