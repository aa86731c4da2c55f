//! Watch streams: the responses to requests, many streams at once, clients that don't read, and every way to end.

use std::time::Duration;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::watch_request::RequestUnion;
use ferretcd_api_proto::etcdserverpb::{
    PutRequest, RequestOp, ResponseHeader, TxnRequest, WatchCancelRequest, WatchCreateRequest,
    WatchProgressRequest, WatchResponse, request_op,
};
use ferretcd_engine::Caller;
use ferretcd_grpc_server::Config;
use h2::Reason;
use prost::Message as _;
use tokio::task::yield_now;

use crate::support::*;
use crate::watch_stream::*;

/// Waits until the metrics are as they should be.
async fn metrics(served: &Served, what: &str, is_wanted: impl Fn(&str) -> bool) {
    let client = served.client().await;
    let shown = async {
        while !is_wanted(&String::from_utf8_lossy(&client.page("/metrics").await.body)) {
            yield_now().await;
        }
    };
    soon(what, shown).await;
}

fn counts_watches(page: &str, expected: &str) -> bool {
    page.contains(&format!("\netcd_debugging_mvcc_watcher_total {expected}\n"))
}

/// Waits until the server counts so many watches.
async fn watches(served: &Served, expected: &str) {
    metrics(served, "the number of watches", |page| counts_watches(page, expected)).await;
}

#[tokio::test]
async fn responses_come_in_the_order_of_requests() {
    let served = Served::start().await;
    for _ in 0..5 {
        served.put("a", "value").await;
    }
    let compaction = ferretcd_api_proto::etcdserverpb::CompactionRequest { revision: 4, physical: false };
    served.engine.kv().compact(&Caller::ANONYMOUS, compaction).await.expect("a compaction");
    let client = served.client().await;
    let mut stream = Stream::open(&client).await;
    let create = |watch_id, key: &'static str, range_end: &'static str, start_revision| {
        let key = key_watch(key);
        RequestUnion::CreateRequest(WatchCreateRequest {
            watch_id,
            range_end: range_end.into(),
            start_revision,
            ..key
        })
    };
    let requests = [
        create(7, "a", "", 0),
        create(0, "a", "", -1),
        create(7, "b", "", 0),
        create(0, "b", "a", 0),
        create(0, "", "\0", 0),
        RequestUnion::ProgressRequest(WatchProgressRequest {}),
        RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 99 }),
        RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 7 }),
        create(0, "a", "", 3),
    ];
    requests.into_iter().for_each(|request| stream.send(request));
    let header = served.engine.member().header(6);
    let response = |watch_id| WatchResponse { header: Some(header), watch_id, ..WatchResponse::default() };
    let created = |watch_id| WatchResponse { created: true, ..response(watch_id) };
    let rejected =
        |text: &str| WatchResponse { canceled: true, cancel_reason: text.to_owned(), ..created(-1) };
    let compacted = WatchResponse {
        header: Some(ResponseHeader { revision: 0, ..header }),
        canceled: true,
        compact_revision: 4,
        ..response(1)
    };
    for expected in [
        created(7),
        rejected("etcdserver: mvcc: required revision has been compacted"),
        rejected("mvcc: duplicate watch ID provided on the WatchStream"),
        rejected("mvcc: watcher range is empty"),
        created(0),
        response(-1),
        WatchResponse { canceled: true, ..response(7) },
        created(1),
        compacted,
    ] {
        assert_eq!(stream.next().await, expected);
    }
}

#[tokio::test]
async fn malformed_request_ends_the_stream() {
    let served = Served::start().await;
    let client = served.client().await;
    let mut malformed = Stream::of_key(&client, "a").await;
    malformed.requests.send_data(Bytes::from_static(b"\0\0\0\0\x02\x0a\x09"), false).expect("it is open");
    let outcome = malformed.outcome().await;
    assert!(outcome.starts_with("13 grpc: error unmarshalling request: "), "{outcome}");

    let mut large = Stream::of_key(&client, "a").await;
    large.requests.send_data(Bytes::from_static(b"\0\0\x20\0\x01"), false).expect("it is open");
    let expected = "8 grpc: received message larger than max (2097153 vs. 2097152)";
    assert_eq!(large.outcome().await, expected);
    watches(&served, "0").await;

    let mut calls = client.calls.clone().ready().await.expect("an open connection");
    let request = http::Request::post(format!("http://server{WATCH}"))
        .header("content-type", "application/grpc")
        .header("grpc-encoding", "zip")
        .body(())
        .expect("a well-formed request");
    let (response, _) = calls.send_request(request, false).expect("the connection takes calls");
    let rejected = FullResponse::of(response).await.outcome();
    assert_eq!(rejected, "12 grpc:%20Decompressor%20is%20not%20installed%20for%20grpc-encoding%20%22zip%22");
}

#[tokio::test]
async fn many_streams_share_a_connection() {
    const STREAMS: usize = 200;
    const PUTS: usize = 20;
    let served = Served::start().await;
    let client = Client::connect(served.address, &patient()).await;
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(Stream::of_key(&client, "a").await);
    }
    watches(&served, "200").await;
    for _ in 0..PUTS {
        let put = PutRequest { key: "a".into(), ..PutRequest::default() };
        assert_eq!(client.call(PUT, &put).await.outcome(), "0");
    }
    for stream in &mut streams {
        stream.puts(PUTS).await;
    }
    assert_eq!(client.call(RANGE, &range("a")).await.outcome(), "0");
}

#[tokio::test]
async fn watches_outlive_the_last_request() {
    let served = Served::start().await;
    let client = served.client().await;
    let mut stream = Stream::of_key(&client, "a").await;
    stream.requests.send_data(Bytes::new(), true).expect("the call is open");
    for _ in 0..3 {
        served.put("a", "value").await;
        stream.puts(1).await;
    }
}

/// Clients that read nothing: by frames, since their window stays shut, or by the socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn client_that_does_not_read_delays_no_other_and_misses_no_event() {
    if !is_alone("watch::client_that_does_not_read_delays_no_other_and_misses_no_event") {
        return;
    }
    const STREAMS: usize = 10;
    const PUTS: usize = 300;
    const SIZE: usize = 30_000;
    let served = Served::start().await;
    let (socket, ear) = Deaf::connect(served.address).await;
    let mut wide = patient();
    wide.initial_window_size(1 << 20);
    let deaf = Client::on(socket, &wide).await;
    let mut narrow = patient();
    narrow.initial_window_size(16_384);
    let shut = Client::connect(served.address, &narrow).await;
    let quick = served.client().await;
    let mut streams = Vec::new();
    for client in [&deaf, &shut] {
        for _ in 0..STREAMS {
            streams.push(Stream::of_key(client, "a").await);
        }
    }
    let mut reader = Stream::of_key(&quick, "a").await;
    ear.set(false);

    let before = resident();
    for _ in 0..PUTS {
        served.put("a", vec![b'v'; SIZE]).await;
        reader.puts(1).await;
    }
    let grown = resident().saturating_sub(before);
    // The rows themselves are in memory once or twice.
    assert!(grown < STREAMS * PUTS * SIZE / 2, "{grown} bytes for {STREAMS} streams of each kind");

    ear.set(true);
    let readers =
        streams.into_iter().map(|mut stream| tokio::spawn(async move { stream.puts(PUTS).await.len() }));
    for reader in readers.collect::<Vec<_>>() {
        assert!(reader.await.expect("nothing is missing") > 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn slow_client_can_cancel() {
    const PUTS: usize = 200;
    let served = Served::start().await;
    for _ in 0..PUTS {
        served.put("a", vec![b'v'; 20_000]).await;
    }
    let mut narrow = patient();
    narrow.initial_window_size(16_384);
    let client = Client::connect(served.address, &narrow).await;
    let mut stream = Stream::open(&client).await;
    stream.create(WatchCreateRequest { start_revision: 2, ..key_watch("a") });
    assert!(stream.next().await.created);
    let mut n_events = 0;
    let is_refilled = |page: &str| {
        counts_watches(page, "0") || !page.contains("\netcd_debugging_mvcc_pending_events_total 0\n")
    };
    for round in 0.. {
        // The server never finds that it has nothing to tell.
        metrics(&served, "more events, or the end", is_refilled).await;
        if round == 3 {
            stream.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 0 }));
        }
        let response = stream.next().await;
        if response.canceled {
            break;
        }
        n_events += response.events.len();
    }
    assert!(n_events < PUTS / 2, "{n_events} events came before");
}

#[tokio::test]
async fn many_empty_requests_do_not_delay_responses() {
    let served = Served::start().await;
    let client = Client::connect(served.address, &patient()).await;
    let mut stream = Stream::of_key(&client, "a").await;
    for _ in 0..10 {
        let nothing = Bytes::from(vec![0; 5 * 1_000]);
        stream.requests.send_data(nothing, false).expect("the call is open");
        stream.create(key_watch("b"));
    }
    for id in 1..=10 {
        let response = stream.next().await;
        assert_eq!((response.created, response.watch_id), (true, id));
    }
}

#[tokio::test]
async fn many_requests_at_once_all_have_responses() {
    const WATCHES: usize = 5000;
    let served = Served::start().await;
    let client = Client::connect(served.address, &patient()).await;
    let mut stream = Stream::open(&client).await;
    for _ in 0..WATCHES {
        stream.create(key_watch("a"));
    }
    for id in 0..WATCHES as i64 {
        let response = stream.next().await;
        assert_eq!((response.created, response.watch_id), (true, id));
    }
    served.put("a", "value").await;
    let mut seen = vec![false; WATCHES];
    for _ in 0..WATCHES {
        let response = stream.next().await;
        assert_eq!(response.events.len(), 1);
        assert!(
            !std::mem::replace(&mut seen[response.watch_id as usize], true),
            "each watch has one response"
        );
    }
}

#[tokio::test]
async fn reset_ends_the_watches_of_a_stream() {
    let served = Served::start().await;
    let client = served.client().await;
    let mut gone = Stream::of_key(&client, "a").await;
    let mut stays = Stream::of_key(&client, "a").await;
    watches(&served, "2").await;
    gone.requests.send_reset(Reason::CANCEL);
    watches(&served, "1").await;
    served.put("a", "value").await;
    stays.puts(1).await;
}

#[tokio::test]
async fn end_of_a_connection_ends_its_watches() {
    let served = Served::start().await;
    let client = served.client().await;
    let _streams = (Stream::of_key(&client, "a").await, Stream::of_key(&client, "b").await);
    watches(&served, "2").await;
    client.connection.abort();
    watches(&served, "0").await;
}

#[tokio::test]
async fn server_that_stops_ends_its_watches_at_once() {
    // No time to drain is needed for them, or this would be too late.
    let port = ferretcd_listen::Config { drain_timeout: PATIENCE * 10, ..port_config() };
    let served = Served::start_with(config(), port).await;
    let (client, idle) = (served.client().await, served.client().await);
    let streams = [Stream::of_key(&client, "a").await, Stream::open(&idle).await];
    let drained = served.drain();
    for stream in streams {
        assert_eq!(stream.outcome().await, "14 etcdserver: server stopped");
    }
    soon("the end of the server", drained).await.expect("no panic");
    soon("the end of the connection", client.connection).await.expect("no panic").expect("an end in order");
}

#[tokio::test]
async fn large_responses_are_fragmented_if_allowed() {
    const OPS: usize = 20;
    // Messages have at most 612 KiB.
    let config = Config { request_bytes_max: 100 << 10, ..config() };
    let served = Served::start_with(config, port_config()).await;
    let client = served.client().await;
    let all = WatchCreateRequest { key: "k".into(), range_end: "l".into(), ..WatchCreateRequest::default() };
    let mut whole = Stream::open(&client).await;
    whole.create(all.clone());
    let mut cut = Stream::open(&client).await;
    cut.create(WatchCreateRequest { fragment: true, ..all });
    for stream in [&mut whole, &mut cut] {
        assert!(stream.next().await.created);
    }
    let put = |index| {
        let put = PutRequest {
            key: format!("k{index}").into(),
            value: vec![b'v'; 70_000].into(),
            ..PutRequest::default()
        };
        RequestOp { request: Some(request_op::Request::RequestPut(put)) }
    };
    let txn = TxnRequest { success: (0..OPS).map(put).collect(), ..TxnRequest::default() };
    served.engine.kv().txn(&Caller::ANONYMOUS, txn).await.expect("the engine's own limit is larger");

    let response = whole.next().await;
    assert_eq!((response.events.len(), response.fragment), (OPS, false));
    let mut parts = Vec::new();
    while parts.last().is_none_or(|part: &WatchResponse| part.fragment) {
        parts.push(cut.next().await);
    }
    assert_eq!(parts.iter().map(|part| part.events.len()).collect::<Vec<_>>(), [8, 8, 4]);
    assert!(parts.iter().all(|part| part.encoded_len() < 612 << 10 && part.header == response.header));
    assert_eq!(parts.into_iter().flat_map(|part| part.events).collect::<Vec<_>>(), response.events);
}

#[tokio::test]
async fn idle_watches_get_progress_notices() {
    let config = Config { watch_progress_interval: Duration::from_millis(20), ..config() };
    let served = Served::start_with(config, port_config()).await;
    let client = served.client().await;
    let mut stream = Stream::open(&client).await;
    stream.create(WatchCreateRequest { progress_notify: true, ..key_watch("a") });
    stream.create(key_watch("a"));
    assert!(stream.next().await.created && stream.next().await.created);
    for _ in 0..3 {
        let notice = stream.next().await;
        let header = Some(served.engine.member().header(1));
        assert_eq!(notice, WatchResponse { header, ..WatchResponse::default() });
    }
}
