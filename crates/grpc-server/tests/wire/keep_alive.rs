//! Keep-alive streams, frame by frame.

use bytes::{BufMut as _, Bytes, BytesMut};
use ferretcd_api_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse, LeaseRevokeRequest,
};
use ferretcd_engine::Caller;
use h2::client::Builder;
use h2::{Reason, RecvStream, SendStream};
use prost::Message as _;

use crate::support::*;

const KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";
/// Of every lease that a test grants, in seconds; longer than a test.
const TTL: i64 = 600;

/// A keep-alive stream, seen from the client.
struct Stream {
    requests: SendStream<Bytes>,
    responses: RecvStream,
    /// Received and not looked at.
    rest: BytesMut,
    /// The parts in which the responses came.
    n_frames: usize,
}

impl Stream {
    async fn open(client: &Client) -> Self {
        let (response, requests) = client.begin(KEEP_ALIVE).await;
        let response = soon("a response", response).await.expect("the call has a response");
        assert_eq!(response.headers()["content-type"], "application/grpc");
        Self { requests, responses: response.into_body(), rest: BytesMut::new(), n_frames: 0 }
    }

    fn send(&mut self, part: Bytes) {
        self.requests.send_data(part, false).expect("the call is open");
    }

    fn half_close(&mut self) {
        self.requests.send_data(Bytes::new(), true).expect("the call is open");
    }

    /// Lease and time to live of the next response; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(i64, i64)> {
        loop {
            if let Some((&[0, a, b, c, d], message)) = self.rest.split_first_chunk::<5>()
                && let Some(message) = message.get(..u32::from_be_bytes([a, b, c, d]) as usize)
            {
                let response = LeaseKeepAliveResponse::decode(message).expect("an response");
                let header = response.header.expect("each has one");
                assert!(header.cluster_id != 0 && header.member_id != 0 && header.revision > 0);
                let _ = self.rest.split_to(5 + message.len());
                return Some((response.id, response.ttl));
            }
            let part = soon("a part of an response", self.responses.data()).await?;
            let part = part.expect("the stream is not broken off");
            self.responses.flow_control().release_capacity(part.len()).expect("it was received");
            self.n_frames += 1;
            self.rest.put(part);
        }
    }

    /// The responses to come and the outcome.
    async fn rest(mut self) -> (Vec<(i64, i64)>, String) {
        let mut responses = Vec::new();
        while let Some(response) = self.next().await {
            responses.push(response);
        }
        let trailers = soon("the trailers", self.responses.trailers()).await.expect("an end in order");
        let trailers = trailers.expect("gRPC has trailers");
        let text = |name| trailers.get(name).map_or("", |value| value.to_str().expect("a text in ASCII"));
        let message = text("grpc-message").replace("%20", " ");
        (responses, format!("{} {message}", text("grpc-status")).trim_end().to_owned())
    }
}

fn renewal(id: i64) -> Bytes {
    frame(&LeaseKeepAliveRequest { id })
}

fn renewals(ids: impl IntoIterator<Item = i64>) -> Bytes {
    ids.into_iter().map(renewal).collect::<Vec<_>>().concat().into()
}

/// A server with these leases.
async fn served(leases: impl IntoIterator<Item = i64>) -> Served {
    let served = Served::start().await;
    for id in leases {
        served
            .engine
            .leases()
            .grant(&Caller::ANONYMOUS, LeaseGrantRequest { id, ttl: TTL })
            .await
            .expect("a free id");
    }
    served
}

#[tokio::test]
async fn each_renewal_and_the_half_close_have_a_response() {
    let served = served([7, -8]).await;
    let mut stream = Stream::open(&served.client().await).await;
    for (id, ttl) in [(7, TTL), (9, 0), (-8, TTL), (0, 0), (7, TTL)] {
        stream.send(renewal(id));
        assert_eq!(stream.next().await, Some((id, ttl)));
    }
    served
        .engine
        .leases()
        .revoke(&Caller::ANONYMOUS, LeaseRevokeRequest { id: 7 })
        .await
        .expect("it is there");
    stream.send(renewals([7, -8]));
    stream.half_close();
    assert_eq!(stream.rest().await, (vec![(7, 0), (-8, TTL)], "0".to_owned()));
}

#[tokio::test]
async fn stream_without_renewals_ends_with_the_half_close() {
    let served = served([]).await;
    let mut stream = Stream::open(&served.client().await).await;
    stream.half_close();
    assert_eq!(stream.rest().await, (vec![], "0".to_owned()));
}

/// Wherever the frames of HTTP/2 cut the messages.
#[tokio::test]
async fn renewals_are_found_in_frames_of_any_size() {
    let served = served([1, 1 << 40]).await;
    let client = served.client().await;
    let ids = [1, 2, 1 << 40, 0, -1, 1];
    let bytes = renewals(ids);
    let expected: Vec<_> =
        ids.into_iter().map(|id| (id, if [1, 1 << 40].contains(&id) { TTL } else { 0 })).collect();
    for size in 1..bytes.len() {
        let mut stream = Stream::open(&client).await;
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            stream.send(rest.split_to(size.min(rest.len())));
        }
        stream.half_close();
        assert_eq!(stream.rest().await, (expected.clone(), "0".to_owned()), "{size}");
    }
}

#[tokio::test]
async fn malformed_message_ends_the_stream_after_earlier_responses() {
    let served = served([1]).await;
    let client = served.client().await;
    let check = async |wrong: &[u8], expected: &str| {
        let mut stream = Stream::open(&client).await;
        stream.send([&renewals([1, 2]), wrong].concat().into());
        // What follows is not looked at.
        stream.send(renewal(1));
        stream.half_close();
        let (responses, outcome) = stream.rest().await;
        assert_eq!(responses, [(1, TTL), (2, 0)]);
        assert!(outcome.starts_with(expected), "{outcome}");
    };
    let malformed = "13 grpc: error unmarshalling request: failed to decode Protobuf message: ";
    check(b"\0\0\0\0\x01\x08", malformed).await;
    check(b"\0\0\0\0\x02\x0a\x01", malformed).await;
    let compressed = "13 grpc: compressed flag set with identity or empty encoding";
    check(b"\x01\0\0\0\x02\x08\x01", compressed).await;
    check(b"\x07\0\0\0\x02\x08\x01", "13 grpc: received unexpected payload format 7").await;
    let max = 1_572_864 + 512 * 1024;
    let too_large = format!("8 grpc: received message larger than max ({} vs. {max})", u32::MAX);
    check(b"\0\xff\xff\xff\xff", &too_large).await;

    let mut stream = Stream::open(&client).await;
    stream.send([&renewal(1)[..], b"\0\0\0\0\x02\x08"].concat().into());
    stream.half_close();
    assert_eq!(stream.rest().await, (vec![(1, TTL)], "13 Unexpected EOF decoding stream.".to_owned()));
}

#[tokio::test]
async fn renewals_received_together_have_their_responses_in_one_part() {
    const RENEWALS: usize = 3000;
    let served = served([1]).await;
    let mut stream = Stream::open(&served.client().await).await;
    stream.send(renewals(vec![1; RENEWALS]));
    for _ in 0..RENEWALS {
        assert_eq!(stream.next().await, Some((1, TTL)));
    }
    assert!(stream.n_frames < RENEWALS / 20, "{} frames", stream.n_frames);
}

#[tokio::test]
async fn every_message_is_counted() {
    const METHOD: &str =
        r#"{grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream"}"#;
    let served = served([1]).await;
    let client = served.client().await;
    let mut stream = Stream::open(&client).await;
    stream.send(renewals([1, 2, 1]));
    stream.half_close();
    assert_eq!(stream.rest().await.1, "0");
    let page = client.page("/metrics").await;
    let page = String::from_utf8(page.body.into()).expect("metrics are text");
    // The end of the client's messages is one more.
    for (name, count) in [("grpc_server_msg_received_total", 4), ("grpc_server_msg_sent_total", 3)] {
        assert!(page.contains(&format!("{name}{METHOD} {count}\n")), "{name}");
    }
    assert!(page.contains(&format!("grpc_server_started_total{METHOD} 1\n")));
}

#[tokio::test]
async fn stream_given_up_leaves_the_others_alone() {
    let served = served([1]).await;
    let client = served.client().await;
    let mut given_up = Stream::open(&client).await;
    let mut other = Stream::open(&client).await;
    given_up.send(renewal(1));
    assert_eq!(given_up.next().await, Some((1, TTL)));
    given_up.send(renewals([1, 1]));
    given_up.requests.send_reset(Reason::CANCEL);
    for _ in 0..100 {
        other.send(renewal(1));
        assert_eq!(other.next().await, Some((1, TTL)));
    }
}

/// The windows are so large that only the socket itself holds the server back, or so small that frames do.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn client_that_does_not_read_costs_little_and_gets_all_responses() {
    if !is_alone("keep_alive::client_that_does_not_read_costs_little_and_gets_all_responses") {
        return;
    }
    const RENEWALS: usize = 200_000;
    const PER_FRAME: usize = 1000;
    let served = served([1]).await;
    let before = resident();
    for window in [1 << 30, 16_384] {
        let (socket, ear) = Deaf::connect(served.address).await;
        let mut builder = Builder::new();
        builder
            .data_frame_budget(usize::MAX)
            .initial_window_size(window)
            .initial_connection_window_size(1 << 30);
        let deaf = Client::on(socket, &builder).await;
        let mut stream = Stream::open(&deaf).await;
        ear.set(false);
        let part = renewals(vec![1; PER_FRAME]);
        for _ in 0..RENEWALS / PER_FRAME {
            stream.send(part.clone());
        }
        stream.half_close();

        let mut other = Stream::open(&served.client().await).await;
        for _ in 0..1000 {
            other.send(renewal(1));
            assert_eq!(other.next().await, Some((1, TTL)));
        }
        let grown = resident().saturating_sub(before);
        assert!(grown < 64 << 20, "{grown} bytes");

        ear.set(true);
        let (responses, outcome) = stream.rest().await;
        assert_eq!((responses.len(), outcome.as_str()), (RENEWALS, "0"));
        assert!(responses.iter().all(|response| *response == (1, TTL)));
    }
}

#[tokio::test]
async fn streams_end_when_the_port_drains() {
    let served = served([1]).await;
    let client = served.client().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = Stream::open(&client).await;
        stream.send(renewal(1));
        assert_eq!(stream.next().await, Some((1, TTL)));
        streams.push(stream);
    }
    let drained = served.drain();
    for stream in streams {
        assert_eq!(stream.rest().await, (vec![], "14 etcdserver: server stopped".to_owned()));
    }
    drop(client);
    soon("the end of the server", drained).await.expect("no panic");
}
