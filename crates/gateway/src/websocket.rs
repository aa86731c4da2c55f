//! Streams of JSON over a WebSocket, for clients in browsers: each message of the client is a line of the request, and each
//! line of the response is a message to it.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use data_encoding::BASE64;
use futures_util::future::select;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use http::header::{
    AUTHORIZATION, CONNECTION, COOKIE, ORIGIN, REFERER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WebSocketFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};
use tower_service::Service;

use crate::BoxError;
use crate::call::Gateway;
use crate::request::GrpcBody;

/// What a server hashes with the client's key (RFC 6455, 1.3).
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY_BYTES: usize = 16;
/// The only version there is.
const VERSION: &str = "13";
/// The sub-protocol in which a client sends a token: browsers let scripts set no header.
const BEARER: &[u8] = b"Bearer";
/// The cookie that has a token.
const TOKEN_COOKIE: &str = "token";
/// Requests are short, and most sockets have one.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// How long a client may take to take the last frame.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Messages of a client that wait until the call has read the one before.
const WAITING_MAX: usize = 1;

/// The outcome of a WebSocket handshake.
#[derive(Debug)]
pub enum Upgrade {
    /// Not a handshake.
    Other,
    /// The handshake is malformed.
    Rejected(StatusCode),
    /// The response that begins the socket.
    Accepted(Response<()>),
}

impl Upgrade {
    /// Looks at the head of a request.
    pub fn of<B>(request: &Request<B>) -> Self {
        let fields = request.headers();
        if !has_token(fields, &CONNECTION, "upgrade") || !has_token(fields, &UPGRADE, "websocket") {
            return Self::Other;
        }
        if request.method() != Method::GET {
            return Self::Rejected(StatusCode::METHOD_NOT_ALLOWED);
        }
        let key = fields.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        let is_key = BASE64.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES);
        if !is_key || !has_token(fields, &SEC_WEBSOCKET_VERSION, VERSION) {
            return Self::Rejected(StatusCode::BAD_REQUEST);
        }
        let accept = BASE64.encode(&Sha1::new().chain_update(key).chain_update(ACCEPT_SUFFIX).finalize());
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::try_from(accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        let protocol = fields.get(SEC_WEBSOCKET_PROTOCOL);
        if protocol.is_some_and(|protocol| protocol.as_bytes().starts_with(BEARER)) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("Bearer"));
        }
        Self::Accepted(response)
    }
}

/// Whether one of the values of a header that is a list is this one.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// The request that a WebSocket stands for: a `POST` with the token, `Origin` and `Referer`.
fn request<B>(head: Parts, body: B) -> Request<B> {
    let mut headers = HeaderMap::new();
    for name in [ORIGIN, REFERER] {
        if let Some(value) = head.headers.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(authorization) = authorization(&head.headers) {
        headers.insert(AUTHORIZATION, authorization);
    }
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = head.uri;
    *request.headers_mut() = headers;
    *request.extensions_mut() = head.extensions;
    request
}

/// The token of a cookie, else of the sub-protocols.
fn authorization(headers: &HeaderMap) -> Option<HeaderValue> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let of_cookie = text(COOKIE).into_iter().flat_map(|cookies| cookies.split(';')).find_map(|cookie| {
        let (name, value) = cookie.split_once('=')?;
        (name.trim() == TOKEN_COOKIE).then(|| value.trim())
    });
    let of_protocol =
        || text(SEC_WEBSOCKET_PROTOCOL)?.split_once("Bearer,").map(|(_, token)| token.trim_matches(' '));
    let token = of_cookie.or_else(of_protocol)?;
    HeaderValue::try_from(format!("Bearer {token}")).ok()
}

impl Gateway {
    /// Serves a WebSocket whose handshake is done: calls the method of `head`'s path, until the call or the client ends.
    pub async fn serve_websocket<S, R>(
        &self,
        head: Parts,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        service: S,
    ) where
        S: Service<Request<GrpcBody>, Response = Response<R>, Error = Infallible>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let bytes_max = Some(self.request_bytes_max());
        let config = WebSocketConfig::default()
            .max_message_size(bytes_max)
            .max_frame_size(bytes_max)
            .read_buffer_size(READ_BUFFER_BYTES);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let (mut sender, receiver) = socket.split();
        let (lines, body) = mpsc::channel(WAITING_MAX);
        let end = {
            let receiving = pin!(receive_lines(receiver, lines));
            let sending = pin!(async {
                let response = self.call(request(head, Lines { body, ends: false }), service).await;
                send_lines(response.into_body(), &mut sender).await
            });
            // Whichever ends first ends the other.
            select(receiving, sending).await.factor_first().0
        };
        let closing = async {
            let _ = match end {
                End::ByClient => sender.close().await,
                End::Code(code) => {
                    let reason = CloseFrame { code, reason: Utf8Bytes::default() };
                    sender.send(Message::Close(Some(reason))).await
                }
            };
        };
        // A client that has gone does not take it.
        let _ = timeout(CLOSE_TIME, closing).await;
    }
}

/// How a socket ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// The client has closed it, or has gone.
    ByClient,
    /// With this code for the client.
    Code(CloseCode),
}

/// Hands the messages of the client on, until it closes.
async fn receive_lines<S>(mut socket: S, lines: mpsc::Sender<Bytes>) -> End
where
    S: Stream<Item = Result<Message, Error>> + Unpin,
{
    while let Some(message) = socket.next().await {
        let text = match message {
            Ok(Message::Text(text)) => Bytes::from(text),
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Close(_)) => return End::ByClient,
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
            Err(Error::Capacity(_)) => return End::Code(CloseCode::Size),
            Err(Error::Utf8(_)) => return End::Code(CloseCode::Invalid),
            Err(Error::Protocol(_)) => return End::Code(CloseCode::Protocol),
            Err(_) => return End::ByClient,
        };
        // The call may have ended its side; its responses go on.
        let _ = lines.send(text).await;
    }
    End::ByClient
}

/// Sends each line of a body as a message, in fragments as they come.
async fn send_lines<B, S>(mut body: B, socket: &mut S) -> End
where
    B: Body<Data = Bytes> + Unpin,
    S: Sink<Message> + Unpin,
{
    let mut is_within = false;
    while let Some(frame) = body.frame().await {
        // What has been sent of a line is no message.
        let Ok(frame) = frame else { return End::Code(CloseCode::Error) };
        let Ok(mut data) = frame.into_data() else { continue };
        while !data.is_empty() {
            let end = data.iter().position(|byte| *byte == b'\n');
            let piece = data.split_to(end.unwrap_or(data.len()));
            data.advance(usize::from(end.is_some()));
            if (is_within || !piece.is_empty())
                && socket.send(fragment(piece, is_within, end.is_some())).await.is_err()
            {
                return End::ByClient;
            }
            is_within = end.is_none();
        }
    }
    if is_within && socket.send(fragment(Bytes::new(), true, true)).await.is_err() {
        return End::ByClient;
    }
    End::Code(CloseCode::Normal)
}

fn fragment(piece: Bytes, is_within: bool, is_last: bool) -> Message {
    let data = if is_within { Data::Continue } else { Data::Text };
    Message::Frame(WebSocketFrame::message(piece, OpCode::Data(data), is_last))
}

/// The messages of a client as the body of a request, a line each.
struct Lines {
    body: mpsc::Receiver<Bytes>,
    /// Whether the line that was read last lacks its end.
    ends: bool,
}

impl Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if std::mem::take(&mut this.ends) {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"\n")))));
        }
        this.body.poll_recv(cx).map(|line| {
            this.ends = line.is_some();
            line.map(|line| Ok(Frame::data(line)))
        })
    }
}
