//! Calls whose frames come in unusual ways, and many at once.

use std::sync::LazyLock;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeResponse, RangeStreamResponse};
use ferretcd_testkit::Random;
use h2::Reason;
use h2::client::Builder;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use prost::Message as _;
use tokio::task::JoinSet;

use crate::support::*;

/// A put of one key, as a frame.
fn put(key: &str) -> Bytes {
    frame(&PutRequest { key: key.to_owned().into(), value: "v".into(), ..PutRequest::default() })
}

#[tokio::test]
async fn message_may_come_in_any_number_of_frames() {
    async fn check(client: &Client, path: &str, pieces: Vec<Bytes>, expected: &str) {
        let (response, mut request) = client.begin(path).await;
        let n_pieces = pieces.len();
        for (index, piece) in pieces.into_iter().enumerate() {
            let is_last = index + 1 == n_pieces;
            // The call may have been rejected by an earlier one.
            let _ = request.send_data(piece, is_last);
            // Each piece leaves in a frame of its own, because the connection gets its turn in between.
            tokio::task::yield_now().await;
        }
        let outcome = FullResponse::of(response).await.outcome();
        assert_eq!(outcome.split(' ').next(), Some(expected), "{path}: {outcome}");
        // The connection goes on in any case.
        assert_eq!(client.call(RANGE, &range("k")).await.outcome(), "0");
    }
    let served = Served::start().await;
    let client = served.client().await;
    let whole = put("k");
    let bytes = |frame: &Bytes| frame.chunks(1).map(Bytes::copy_from_slice).collect::<Vec<_>>();
    check(&client, PUT, vec![whole.clone()], "0").await;
    check(&client, PUT, vec![whole.clone(), Bytes::new()], "0").await;
    check(&client, PUT, vec![Bytes::new(), whole.clone()], "0").await;
    check(&client, PUT, bytes(&whole), "0").await;
    check(&client, STREAM, bytes(&frame(&everything())), "0").await;
    assert_eq!(served.engine.kv().reader().revision(), 5, "each of the four puts was carried out once");

    const INTERNAL: &str = "13";
    check(&client, PUT, vec![Bytes::new()], INTERNAL).await;
    check(&client, PUT, vec![whole.slice(..3)], INTERNAL).await;
    check(&client, PUT, vec![whole.slice(..whole.len() - 1)], INTERNAL).await;
    check(&client, STREAM, vec![Bytes::new()], INTERNAL).await;
    assert_eq!(served.engine.kv().reader().revision(), 5, "none of these is a put");
}

#[tokio::test]
async fn half_closed_call_gets_its_whole_stream() {
    let served = Served::start().await;
    let keys: Vec<String> = (0..200).map(|index| format!("k{index:03}")).collect();
    for key in &keys {
        served.put(key, vec![b'v'; 20_000]).await;
    }
    let client = served.client().await;
    let response = client.call(STREAM, &everything()).await;
    assert_eq!(response.outcome(), "0");
    let parts = response.messages();
    assert!(parts.len() > 1, "4 MB are no single message");
    let rows = parts.into_iter().flat_map(|part| {
        let part = RangeStreamResponse::decode(part).expect("a stream's message");
        part.range_response.expect("it has a response").kvs
    });
    let found: Vec<_> = rows.map(|row| row.decode().expect("a row").key).collect();
    assert_eq!(found, keys);
}

#[tokio::test]
async fn calls_given_up_together_leave_the_connection_open() {
    const CALLS: usize = 300;
    const ROUNDS: usize = 10;
    let served = Served::start().await;
    served.put("big", vec![b'v'; 200_000]).await;
    // What is not read must not take the window from what is.
    let client =
        Client::connect(served.address, Builder::new().initial_connection_window_size(1 << 30)).await;
    for round in 0..ROUNDS {
        let mut calls = Vec::new();
        for index in 0..CALLS {
            // Some are complete, some are not; of some the response is already under way.
            calls.push(match index % 3 {
                0 => (client.send(RANGE, &range("big")).await, None),
                1 => (client.send(PUT, &PutRequest { key: "k".into(), ..PutRequest::default() }).await, None),
                _ => {
                    let (response, request) = client.begin(PUT).await;
                    (response, Some(request))
                }
            });
        }
        let (first, _) = calls.swap_remove(0);
        assert_eq!(FullResponse::of(first).await.outcome(), "0", "round {round}");
        for (_, request) in &mut calls {
            if let Some(request) = request {
                request.send_reset(Reason::CANCEL);
            }
        }
        // The client resets the responses that it does not wait for.
        drop(calls);
        assert_eq!(client.get("big").await.len(), 200_000, "round {round}");
    }
    assert!(!client.connection.is_finished());
}

/// Values are cut out of this, so that each place in them is known.
static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = Random::new(1);
    (0..1 << 20).map(|_| random.below(256) as u8).collect()
});

#[test]
fn responses_of_any_size_arrive_whole_and_in_order() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("the system has threads and descriptors");
    let served = runtime.block_on(Served::start());
    let size = prop_oneof![0..300usize, 0..20_000usize, 0..300_000usize];
    let sizes = vec((size, 0..4096usize), 1..60);
    let (stream_window, connection_window) = (1u32..2_000_000, 65_535u32..2_000_000);
    let frame_size = 16_384u32..500_000;
    let check = |(sizes, windows, frame_size): (Vec<_>, (u32, u32), u32)| {
        runtime.block_on(async {
            for (index, &(size, from)) in sizes.iter().enumerate() {
                served.put(&format!("k{index}"), PATTERN.slice(from..from + size)).await;
            }
            let mut builder = Builder::new();
            builder.initial_window_size(windows.0).initial_connection_window_size(windows.1);
            builder.max_frame_size(frame_size);
            let client = Client::connect(served.address, &builder).await;
            let mut reads = JoinSet::new();
            for (index, &(size, from)) in sizes.iter().enumerate() {
                let response = client.send(RANGE, &range(&format!("k{index}"))).await;
                reads.spawn(async move {
                    let response = FullResponse::of(response).await;
                    let response = RangeResponse::decode(response.message()).expect("a range response");
                    let value = response.kvs[0].decode().expect("a row").value;
                    assert!(value == PATTERN.slice(from..from + size), "{size} bytes from {from}");
                });
            }
            reads.join_all().await;
        });
        Ok(())
    };
    let mut runner = TestRunner::new(Cases { cases: 32, ..Cases::default() });
    let strategy = (sizes, (stream_window, connection_window), frame_size);
    runner.run(&strategy, check).unwrap_or_else(|failure| panic!("{failure}"));
}
