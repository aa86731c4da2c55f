//! The generator against a server made with the `h2` crate, which is strict about the protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{LeaseKeepAliveRequest, LeaseKeepAliveResponse, PutRequest};
use h2::RecvStream;
use h2::server::SendResponse;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::*;
use crate::requests::lease_id;

/// How the server treats a request.
#[derive(Clone, Copy)]
enum Reply {
    Good,
    /// A message without its five-byte head.
    Short,
    /// An error of gRPC: trailers without a message.
    Rejected,
    Reset,
    /// A message and no trailers after it.
    NoTrailers,
    /// The end of the connection.
    GoAway,
    /// Good with [`TOKEN`], rejected without it.
    IfToken,
}

const TOKEN: &str = "abcdefghijklmnop.7";

struct Served {
    address: SocketAddr,
    keys: Arc<Mutex<Vec<Bytes>>>,
    _runtime: Runtime,
}

/// Replies to the nth request as `replies` says, which is repeated.
fn serve(n_streams_max: u32, replies: &'static [Reply]) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let all_keys = keys.clone();
    runtime.spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(converse(socket, n_streams_max, replies, keys.clone()));
        }
    });
    Served { address, keys: all_keys, _runtime: runtime }
}

async fn converse(
    socket: TcpStream,
    n_streams_max: u32,
    replies: &'static [Reply],
    keys: Arc<Mutex<Vec<Bytes>>>,
) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(n_streams_max);
    let mut connection = builder.handshake::<_, Bytes>(socket).await.unwrap();
    while let Some(Ok((request, respond))) = connection.accept().await {
        assert_eq!(request.uri().path(), "/etcdserverpb.KV/Put");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        assert_eq!(request.headers()["te"], "trailers");
        let nth = {
            let mut keys = keys.lock().unwrap();
            keys.push(Bytes::new());
            keys.len() - 1
        };
        let reply = match replies[nth % replies.len()] {
            Reply::IfToken if request.headers().get("token").is_some_and(|token| token == TOKEN) => {
                Reply::Good
            }
            Reply::IfToken => Reply::Rejected,
            reply => reply,
        };
        if let Reply::GoAway = reply {
            connection.graceful_shutdown();
            continue;
        }
        let keys = keys.clone();
        tokio::spawn(async move {
            let key = key(request.into_body()).await;
            keys.lock().unwrap()[nth] = key;
            respond_with(respond, reply);
        });
    }
}

async fn key(mut body: RecvStream) -> Bytes {
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        message.extend_from_slice(&data);
    }
    PutRequest::decode(&message[5..]).unwrap().key
}

fn respond_with(mut respond: SendResponse<Bytes>, reply: Reply) {
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let message = Bytes::from_static(&[0, 0, 0, 0, 2, 10, 0]);
    match reply {
        Reply::Good | Reply::Short => {
            let message = if let Reply::Short = reply { message.slice(..4) } else { message };
            let mut body = respond.send_response(head, false).unwrap();
            body.send_data(message, false).unwrap();
            body.send_trailers(trailers).unwrap();
        }
        Reply::Rejected => {
            let head = http::Response::builder().header("grpc-status", "8").body(()).unwrap();
            respond.send_response(head, true).unwrap();
        }
        Reply::Reset => respond.send_reset(h2::Reason::INTERNAL_ERROR),
        Reply::NoTrailers => {
            let mut body = respond.send_response(head, false).unwrap();
            body.send_data(message, true).unwrap();
        }
        Reply::GoAway | Reply::IfToken => unreachable!("decided before"),
    }
}

fn closed(clients: usize, span: Span) -> Load {
    Load { clients, connections: 3, pace: Pace::Closed, span }
}

#[test]
fn every_request_is_sent_once_and_has_its_response() {
    // Values of 40000 bytes take several frames, and more window than a connection begins with.
    for (clients, n_streams_max, value_bytes) in
        [(1, 100, 256), (20, 100, 256), (20, 4, 256), (20, 4, 40_000)]
    {
        let served = serve(n_streams_max, &[Reply::Good]);
        let load = closed(clients, Span::Requests(500));
        let seen = load.run(served.address, &mut Requests::put(1000, value_bytes), |_| Ok(())).unwrap();
        assert_eq!((seen.responses, seen.failure(), seen.latencies.len()), (500, None, 500));
        let keys: BTreeSet<Bytes> = served.keys.lock().unwrap().drain(..).collect();
        assert_eq!(keys.len(), 500);
    }
}

#[test]
fn only_complete_responses_count() {
    let served = serve(100, &[Reply::Good, Reply::Short, Reply::Rejected, Reply::Reset, Reply::NoTrailers]);
    let seen = closed(8, Span::Requests(500)).run(served.address, &mut Requests::put(1000, 16), |_| Ok(()));
    let seen = seen.unwrap();
    assert_eq!((seen.responses, seen.failed), (100, 400));
    let failure = seen.failure().unwrap();
    assert!(failure.starts_with("100 requests were answered and 400 failed after 0."), "{failure}");
}

#[test]
fn each_call_has_the_token_of_the_user() {
    let served = serve(100, &[Reply::IfToken]);
    let mut requests = Requests::put(1000, 16);
    let mut run = |token| {
        requests.set_token(token);
        closed(8, Span::Requests(50)).run(served.address, &mut requests, |_| Ok(())).unwrap()
    };
    assert_eq!(run(None).failed, 50);
    assert_eq!(run(Some(TOKEN)).responses, 50);
    assert_eq!(run(Some("other")).failed, 50);
}

#[test]
fn a_connection_that_ends_is_an_error() {
    let served = serve(100, &[Reply::Good, Reply::GoAway]);
    let result = closed(1, Span::Requests(5)).run(served.address, &mut Requests::put(1000, 16), |_| Ok(()));
    assert!(result.is_err(), "{result:?}");
}

#[test]
fn a_window_has_two_ends_and_counts_what_lies_between() {
    let served = serve(100, &[Reply::Good]);
    let time = Duration::from_millis(50);
    for pace in [Pace::Closed, Pace::Open(2000.0)] {
        let load = Load { pace, ..closed(8, Span::Time { warm_up: time, window: time }) };
        let mut marks = Vec::new();
        let seen = load
            .run(served.address, &mut Requests::put(1000, 16), |mark| {
                marks.push(mark);
                Ok(())
            })
            .unwrap();
        assert_eq!(marks, [Mark::Begin, Mark::End]);
        assert!(seen.window >= time);
        assert!(seen.responses_in_window <= seen.responses_since_window);
        assert!(seen.responses_since_window <= seen.responses);
        assert_eq!(seen.responses, served.keys.lock().unwrap().drain(..).count() as u64);
    }
}

#[test]
fn a_schedule_does_not_wait_for_responses() {
    let second = Duration::from_secs(1);
    let begin = Instant::now();
    let mut requests = Requests::put(1000, 16);
    let load =
        Load { pace: Pace::Open(10.0), ..closed(1, Span::Time { warm_up: Duration::ZERO, window: second }) };
    let mut source = Source::new(load, &mut requests, begin);
    let mut tally = Tally::new();
    tally.open_window(begin);

    assert_eq!(source.take(begin), Some(begin));
    assert_eq!(source.take(begin), None);
    // After a stall requests start late and are counted from when they were due.
    assert_eq!(source.take(begin + second / 2), Some(begin + second / 10));
    assert_eq!(source.next_due(), Some(begin + second / 5));

    // Eight more are due in this second. One starts after its end; seven have waited in vain for long.
    tally.close_window(begin + second);
    source.stop(begin + second);
    assert_eq!(source.take(begin + 2 * second), Some(begin + second / 5));
    assert_eq!(source.give_up(begin + 5 * second, &mut tally), 7);
    assert!(source.is_dry() && source.take(begin + 9 * second).is_none());
    assert_eq!(tally.latencies.len(), 7);
    let longest = Duration::from_nanos(tally.latencies.max());
    assert!(longest.abs_diff(second * 47 / 10) < second / 100, "{longest:?}");
}

/// The ids of the leases that were to be renewed, by stream, in order.
type Renewed = Arc<Mutex<BTreeMap<u32, Vec<i64>>>>;

/// Responds to each renewal with this TTL.
fn serve_renewals(ttl: i64) -> (SocketAddr, Renewed, Runtime) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let renewed = Arc::new(Mutex::new(BTreeMap::new()));
    let all_renewed = renewed.clone();
    runtime.spawn(async move {
        let mut n_streams = 0;
        while let Ok((socket, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(socket).await.unwrap();
            let renewed = renewed.clone();
            n_streams += 1000;
            let mut number = n_streams;
            tokio::spawn(async move {
                while let Some(Ok((request, respond))) = connection.accept().await {
                    assert_eq!(request.uri().path(), "/etcdserverpb.Lease/LeaseKeepAlive");
                    tokio::spawn(renew(number, request.into_body(), respond, ttl, renewed.clone()));
                    number += 1;
                }
            });
        }
    });
    (address, all_renewed, runtime)
}

async fn renew(
    stream: u32,
    mut body: RecvStream,
    mut respond: SendResponse<Bytes>,
    ttl: i64,
    renewed: Renewed,
) {
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut responses = respond.send_response(head, false).unwrap();
    let mut bytes = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
        // Requests are as long as each other, and each is sent after the response to the one before.
        let Some(message) = bytes.get(5..14) else { continue };
        assert_eq!(bytes.len(), 14);
        let id = LeaseKeepAliveRequest::decode(message).unwrap().id;
        bytes.clear();
        renewed.lock().unwrap().entry(stream).or_default().push(id);
        let response = LeaseKeepAliveResponse { id, ttl, ..LeaseKeepAliveResponse::default() };
        let mut message = vec![0];
        message.extend_from_slice(&u32::try_from(response.encoded_len()).unwrap().to_be_bytes());
        response.encode(&mut message).unwrap();
        responses.send_data(message.into(), false).unwrap();
    }
}

#[test]
fn each_client_renews_its_lease_on_a_stream_of_its_own() {
    // The last ones are more than a stream's first window has room for.
    for (clients, n_renewals) in [(1, 100), (20, 1000), (2, 12_000)] {
        let (address, renewed, _runtime) = serve_renewals(600);
        let load = closed(clients, Span::Requests(n_renewals));
        let seen = load.run(address, &mut Requests::keep_alive(), |_| Ok(())).unwrap();
        assert_eq!((seen.responses, seen.failure()), (n_renewals, None));
        let renewed = renewed.lock().unwrap();
        let mut leases: Vec<i64> = renewed.values().map(|ids| ids[0]).collect();
        leases.sort_unstable();
        assert!(leases.iter().copied().eq((0..clients as u64).map(lease_id)), "{leases:?}");
        assert!(renewed.values().all(|ids| ids.iter().all(|id| *id == ids[0])));
        assert_eq!(renewed.values().map(Vec::len).sum::<usize>() as u64, n_renewals);
    }
}

#[test]
fn a_lease_that_has_ended_is_a_failure() {
    let (address, _renewed, _runtime) = serve_renewals(0);
    let load = closed(3, Span::Requests(10));
    let seen = load.run(address, &mut Requests::keep_alive(), |_| Ok(())).unwrap();
    assert_eq!((seen.responses, seen.failed), (0, 10));
}

#[test]
fn a_window_ends_when_it_is_over() {
    let served = serve(100, &[Reply::Good]);
    let span = Span::Time { warm_up: Duration::ZERO, window: DRAIN_TIME_MAX };
    for pace in [Pace::Closed, Pace::Open(1000.0)] {
        let load = Load { pace, ..closed(8, span) };
        let is_over = || !served.keys.lock().unwrap().is_empty();
        let seen =
            load.run_until(&is_over, served.address, &mut Requests::put(1000, 16), |_| Ok(())).unwrap();
        assert!(seen.window < DRAIN_TIME_MAX, "{:?}", seen.window);
        assert_eq!(seen.responses, served.keys.lock().unwrap().drain(..).count() as u64);
    }
}
