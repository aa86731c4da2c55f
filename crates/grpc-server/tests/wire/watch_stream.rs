//! A watch stream as a client that decides about every frame.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use ferretcd_api_proto::etcdserverpb::watch_request::RequestUnion;
use ferretcd_api_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use h2::client::Builder;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use prost::Message as _;

use crate::support::*;

pub(crate) const WATCH: &str = "/etcdserverpb.Watch/Watch";

/// A watch stream, seen from the client.
pub(crate) struct Stream {
    pub(crate) requests: SendStream<Bytes>,
    responses: RecvStream,
    /// Received and not looked at.
    rest: BytesMut,
}

impl Stream {
    pub(crate) async fn open(client: &Client) -> Self {
        let (response, requests) = client.begin(WATCH).await;
        let response = soon("a response", response).await.expect("the call has a response");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/grpc");
        Self { requests, responses: response.into_body(), rest: BytesMut::new() }
    }

    /// With a watch of one key, which has been created.
    pub(crate) async fn of_key(client: &Client, key: &'static str) -> Self {
        let mut stream = Self::open(client).await;
        stream.create(key_watch(key));
        let response = stream.next().await;
        assert!(response.created && response.watch_id == 0, "{response:?}");
        stream
    }

    pub(crate) fn send(&mut self, request: RequestUnion) {
        let request = WatchRequest { request_union: Some(request) };
        self.requests.send_data(frame(&request), false).expect("the call is open");
    }

    pub(crate) fn create(&mut self, create: WatchCreateRequest) {
        self.send(RequestUnion::CreateRequest(create));
    }

    /// The next response; `None` at the end of the stream.
    pub(crate) async fn try_next(&mut self) -> Option<WatchResponse> {
        loop {
            if let Some(mut message) = self.rest.get(5..) {
                assert_eq!(self.rest[0], 0, "nothing is compressed");
                let len = (&self.rest[1..5]).get_u32() as usize;
                if message.len() >= len {
                    message = &message[..len];
                    let response = WatchResponse::decode(message).expect("a watch response");
                    self.rest.advance(5 + len);
                    return Some(response);
                }
            }
            let part = soon("a part of a response", self.responses.data()).await?;
            let part = part.expect("the stream is not broken off");
            self.responses.flow_control().release_capacity(part.len()).expect("it was received");
            self.rest.put(part);
        }
    }

    pub(crate) async fn next(&mut self) -> WatchResponse {
        self.try_next().await.expect("the stream goes on")
    }

    /// Reads until so many events of watch 0 have come; they must be of puts in a row. Returns the responses.
    pub(crate) async fn puts(&mut self, expected: usize) -> Vec<WatchResponse> {
        let (mut responses, mut n_events, mut before) = (Vec::new(), 0, None);
        while n_events < expected {
            let response = self.next().await;
            assert_eq!((response.watch_id, response.created, response.canceled), (0, false, false));
            for event in &response.events {
                let kv = event.kv.as_ref().expect("an event has a key").decode().expect("a row");
                assert!(before.is_none_or(|before| kv.mod_revision == before + 1), "no gap, no repetition");
                before = Some(kv.mod_revision);
            }
            assert!(response.fragment || before <= response.header.map(|header| header.revision));
            n_events += response.events.len();
            responses.push(response);
        }
        assert_eq!(n_events, expected);
        responses
    }

    /// Code and text that the stream ended with.
    pub(crate) async fn outcome(mut self) -> String {
        assert_eq!(self.try_next().await, None);
        let trailers = soon("the trailers", self.responses.trailers()).await.expect("an end in order");
        let trailers: HeaderMap = trailers.expect("gRPC has trailers");
        let text = |name| trailers.get(name).map_or("", |value| value.to_str().expect("a text in ASCII"));
        let message = text("grpc-message").replace("%20", " ");
        format!("{} {message}", text("grpc-status")).trim_end().to_owned()
    }
}

pub(crate) fn key_watch(key: &'static str) -> WatchCreateRequest {
    WatchCreateRequest { key: key.into(), ..WatchCreateRequest::default() }
}

/// A client whose library lets much wait to be read.
pub(crate) fn patient() -> Builder {
    let mut builder = Builder::new();
    builder.data_frame_budget(usize::MAX).initial_connection_window_size(1 << 30);
    builder
}
