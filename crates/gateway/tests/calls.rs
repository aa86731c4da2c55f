//! Whole calls of a service that the test plays.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferretcd_api_proto::FILE_DESCRIPTOR_SET;
use ferretcd_gateway::{Config, Gateway, GrpcBody, JsonBody};
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Message, Role};
use tower::service_fn;

const TEXT_BYTES_MAX: usize = 1 << 16;
/// An empty message, and one of a RangeResponse with a count of 7.
const EMPTY: &[u8] = &[0, 0, 0, 0, 0];
const COUNT: &[u8] = &[0, 0, 0, 0, 2, 0x20, 7];

/// A response that breaks off.
type Broken = std::io::Error;

/// A body of frames that are known before.
struct Frames<E>(std::vec::IntoIter<Result<Frame<Bytes>, E>>);

impl<E> Frames<E> {
    fn new(frames: Vec<Result<Frame<Bytes>, E>>) -> Self {
        Self(frames.into_iter())
    }
}

impl<E: Unpin> Body for Frames<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        Poll::Ready(self.get_mut().0.next())
    }
}

type Answer = Response<Frames<Broken>>;

fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, Broken> {
    Ok(Frame::data(bytes.into()))
}

fn trailers(status: &str, message: &str) -> Result<Frame<Bytes>, Broken> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().expect("a value"));
    trailers.insert("grpc-message", message.parse().expect("a value"));
    Ok(Frame::trailers(trailers))
}

fn answer(frames: Vec<Result<Frame<Bytes>, Broken>>) -> Answer {
    Response::new(Frames::new(frames))
}

fn gateway() -> Gateway {
    let config = Config { request_bytes_max: TEXT_BYTES_MAX };
    Gateway::new(FILE_DESCRIPTOR_SET, config).expect("it knows all types")
}

/// Calls a service that responds with this, whatever it is sent.
async fn call(path: &str, answer: Answer) -> Response<JsonBody<Frames<Broken>>> {
    let mut answer = Some(answer);
    let service = service_fn(move |_: Request<GrpcBody>| {
        let answer = answer.take().expect("it is called once");
        async { Ok::<_, Infallible>(answer) }
    });
    let request = Request::post(path).body(Full::new(Bytes::from("{}"))).expect("a request");
    gateway().call(request, service).await
}

async fn text(response: Response<JsonBody<Frames<Broken>>>) -> String {
    let body = response.into_body().collect().await.expect("it ends well").to_bytes();
    String::from_utf8(body.into()).expect("JSON is text")
}

#[tokio::test]
async fn the_status_of_a_unary_call_stands_at_its_end() {
    let response = call("/v3/kv/range", answer(vec![data(COUNT), trailers("0", "")])).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response).await, r#"{"count":"7"}"#);
    let failed = vec![data(COUNT), trailers("14", "etcdserver: request timed out")];
    let response = call("/v3/kv/range", answer(failed)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(response).await, r#"{"code":14,"message":"etcdserver: request timed out"}"#);
}

#[tokio::test]
async fn a_long_response_that_fails_breaks_off() {
    let row = [0x12, 0x82, 0x80, 0x04, 0x2a, 0xfe, 0xff, 0x03].iter().copied();
    let long: Vec<u8> =
        [0, 0, 4, 0, 0].into_iter().chain(row).chain(std::iter::repeat_n(7, 0xfffe)).collect();
    let frames = vec![data(long.clone()), data(long[5..].to_vec()), trailers("13", "it failed")];
    let response = call("/v3/kv/range", answer(frames)).await;
    assert_eq!(response.status(), StatusCode::OK, "it was long under way");
    let error = response.into_body().collect().await.expect_err("it breaks off");
    assert!(error.to_string().contains("it failed"), "{error}");
}

#[tokio::test]
async fn a_message_that_is_cut_is_no_response() {
    let response = call("/v3/kv/range", answer(vec![data(&COUNT[..6])])).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn streams_are_lines() {
    let frames = vec![data(EMPTY), data(EMPTY), trailers("11", "etcdserver: it is compacted")];
    let response = call("/v3/watch", answer(frames)).await;
    assert_eq!(response.status(), StatusCode::OK);
    let expected = "{\"result\":{}}\n{\"result\":{}}\n{\"error\":{\"code\":11,\"message\":\"etcdserver: it is compacted\"}}\n";
    assert_eq!(text(response).await, expected);
    let response = call("/v3/watch", answer(vec![trailers("16", "etcdserver: invalid auth token")])).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        text(response).await,
        "{\"error\":{\"code\":16,\"message\":\"etcdserver: invalid auth token\"}}\n"
    );
}

/// Makes a call with a body of these pieces; what the service reads, and how that ends.
async fn requests(path: &str, pieces: Vec<Result<Frame<Bytes>, &'static str>>) -> (usize, Option<String>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let service = service_fn(move |mut call: Request<GrpcBody>| {
        let sender = sender.clone();
        async move {
            let mut n_messages = 0;
            let error = loop {
                match call.body_mut().frame().await {
                    Some(Ok(_)) => n_messages += 1,
                    Some(Err(error)) => break Some(error.to_string()),
                    None => break None,
                }
            };
            sender.send((n_messages, error)).await.expect("the test waits");
            Ok::<_, Infallible>(answer(vec![data(EMPTY)]))
        }
    });
    let request = Request::post(path).body(Frames::new(pieces)).expect("a request");
    drop(gateway().call(request, service).await);
    receiver.recv().await.unwrap_or((0, Some("not called".to_owned())))
}

#[tokio::test]
async fn requests_of_a_stream_come_one_by_one() {
    let text = r#" {"create_request":{}} {"progress_request":{}}{"cancel_request":{}} "#;
    for n_bytes in [1, 7, text.len()] {
        let pieces =
            text.as_bytes().chunks(n_bytes).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))));
        assert_eq!(requests("/v3/watch", pieces.collect()).await, (3, None), "pieces of {n_bytes} bytes");
    }
}

#[tokio::test]
async fn a_text_that_is_no_request_is_an_error() {
    let piece = |text: &'static str| Ok(Frame::data(Bytes::from(text)));
    let (n_messages, error) = requests("/v3/watch", vec![piece("{}{]")]).await;
    assert_eq!(n_messages, 1);
    assert!(error.expect("it is malformed").contains("invalid character ']'"));
    let (n_messages, error) = requests("/v3/watch", vec![piece("{"), Err("the client has gone")]).await;
    assert_eq!(n_messages, 0);
    assert!(error.expect("it broke off").contains("the request broke off"));
}

#[tokio::test]
async fn a_request_that_breaks_off_is_not_executed() {
    for pieces in
        [vec![Err("the client has gone")], vec![Ok(Frame::data(Bytes::from("{"))), Err("it has gone")]]
    {
        assert_eq!(requests("/v3/kv/txn", pieces).await.1.as_deref(), Some("not called"));
    }
    let long = Bytes::from(vec![b' '; TEXT_BYTES_MAX + 1]);
    assert_eq!(requests("/v3/kv/txn", vec![Ok(Frame::data(long))]).await.1.as_deref(), Some("not called"));
}

/// The client's end of a socket whose calls respond with `frames`.
async fn socket(path: &str, frames: Vec<Result<Frame<Bytes>, Broken>>) -> WebSocketStream<DuplexStream> {
    let (client, server) = duplex(1 << 20);
    let (head, ()) = Request::get(path).body(()).expect("a request").into_parts();
    let mut frames = Some(frames);
    let service = service_fn(move |call: Request<GrpcBody>| {
        let frames = frames.take().expect("it is called once");
        async move {
            // It ends with the requests.
            let _ = call.into_body().collect().await;
            Ok::<_, Infallible>(answer(frames))
        }
    });
    tokio::spawn(async move { gateway().serve_websocket(head, server, service).await });
    WebSocketStream::from_raw_socket(client, Role::Client, None).await
}

#[tokio::test]
async fn a_socket_is_closed_behind_its_response() {
    let mut socket = socket("/v3/kv/range", vec![data(COUNT), trailers("0", "")]).await;
    socket.send(Message::text("{}")).await.expect("it is open");
    let message = socket.next().await.expect("a message").expect("it is well-formed");
    assert_eq!(message, Message::text(r#"{"count":"7"}"#));
    let close = socket.next().await.expect("a close frame").expect("it is well-formed");
    let Message::Close(Some(frame)) = close else { panic!("{close:?}") };
    assert_eq!(frame.code, CloseCode::Normal);
}

#[tokio::test]
async fn what_breaks_off_is_no_message() {
    let long: Vec<u8> = [0, 0, 4, 0, 0]
        .into_iter()
        .chain([0x12, 0x80, 0x80, 0x04, 0x2a, 0xfc, 0xff, 0x03])
        .chain(vec![7; 0xfffc])
        .collect();
    let mut socket =
        socket("/v3/kv/range", vec![data(long.clone()), data(long[5..].to_vec()), trailers("13", "no")])
            .await;
    socket.send(Message::text("{}")).await.expect("it is open");
    let close = socket.next().await.expect("a close frame").expect("it is well-formed");
    let Message::Close(Some(frame)) = close else { panic!("{close:?}") };
    assert_eq!(frame.code, CloseCode::Error);
}

#[tokio::test]
async fn messages_that_are_too_long_close_a_socket() {
    let mut socket = socket("/v3/watch", vec![data(EMPTY)]).await;
    socket.send(Message::text("x".repeat(TEXT_BYTES_MAX + 1))).await.expect("it is open");
    let close = socket.next().await.expect("a close frame").expect("it is well-formed");
    let Message::Close(Some(frame)) = close else { panic!("{close:?}") };
    assert_eq!(frame.code, CloseCode::Size);
}

#[tokio::test]
async fn a_client_that_closes_gets_its_close_back() {
    let mut socket = socket("/v3/watch", vec![data(EMPTY)]).await;
    socket.send(Message::Close(None)).await.expect("it is open");
    let close = socket.next().await.expect("a close frame").expect("it is well-formed");
    assert!(matches!(close, Message::Close(_)), "{close:?}");
}
