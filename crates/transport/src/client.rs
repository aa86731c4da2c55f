//! HTTP requests to peers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client as Pool, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::connect::{BoxedIo, Connect};
use crate::peer_uri::socket_path;
use crate::timeout_stream::{TimeoutStream, Timeouts};

/// Idle connections to one member.
const IDLE_CONNECTIONS_MAX: usize = 4;
/// An idle connection is closed after this time. etcd's servers close theirs after 5 s, and a request at that moment is
/// lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
/// Bytes of a response at most. It may list all keys of a lease.
const RESPONSE_BYTES_MAX: usize = 100 << 20;

/// What ends a body before its end.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, BodyError>;

/// Sends requests over connections of one kind. A request that may have been sent is never sent again.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pool: Pool<Dialer, RequestBody>,
}

impl Client {
    /// For requests with short responses.
    pub(crate) fn for_rpcs(connect: Arc<dyn Connect>, dial_timeout: Duration, write: Duration) -> Self {
        let timeouts = Timeouts { read: None, write: Some(write) };
        Self::new(connect, dial_timeout, timeouts, IDLE_CONNECTIONS_MAX)
    }

    /// For responses without an end: each has a connection of its own, which ends by its timeouts.
    pub(crate) fn for_streams(connect: Arc<dyn Connect>, dial_timeout: Duration, timeouts: Timeouts) -> Self {
        Self::new(connect, dial_timeout, timeouts, 0)
    }

    fn new(connect: Arc<dyn Connect>, dial_timeout: Duration, timeouts: Timeouts, idle_max: usize) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_max)
            .build(Dialer { connect, timeout: dial_timeout, timeouts });
        Self { pool }
    }

    /// Sends a request and awaits the head of the response, without a time-out.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, RequestError> {
        self.pool.request(request).await.map_err(RequestError::from)
    }

    /// Sends a request and reads the response, all within `timeout`.
    pub(crate) async fn call(
        &self,
        request: Request<RequestBody>,
        timeout: Duration,
    ) -> Result<FullResponse, RequestError> {
        let response = async { read(self.send(request).await?).await };
        tokio::time::timeout(timeout, response).await.unwrap_or(Err(RequestError::Timeout))
    }
}

/// A response with its body.
#[derive(Debug)]
pub(crate) struct FullResponse {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl FullResponse {
    /// The body as text, without the line feed at its end.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }
}

/// Reads the body of a response.
pub(crate) async fn read(response: Response<Incoming>) -> Result<FullResponse, RequestError> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await;
    let body = body.map_err(|error| RequestError::Broken(error.to_string()))?.to_bytes();
    Ok(FullResponse { status: parts.status, headers: parts.headers, body })
}

/// Why there is no response to a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    /// Nothing was sent.
    #[error("dial: {0}")]
    Dial(String),
    #[error("send the request or read the answer: {0}")]
    Broken(String),
    #[error("get an answer in time")]
    Timeout,
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        let text = innermost(&error);
        if error.is_connect() { Self::Dial(text) } else { Self::Broken(text) }
    }
}

/// The text of the innermost cause, which says the most.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A request to a path of a peer URL. The path in the URL itself is not used, as in etcd.
pub(crate) fn request(
    url: &Uri,
    method: Method,
    path: &str,
    identity: &HeaderMap,
    body: impl Body<Data = Bytes, Error: Into<BodyError>> + Send + 'static,
) -> Request<RequestBody> {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    let mut request = Request::new(body.map_err(Into::into).boxed_unsync());
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| url.clone());
    *request.method_mut() = method;
    *request.headers_mut() = identity.clone();
    if socket_path(url).is_some() {
        // The digits of the path are no host.
        request.headers_mut().insert(header::HOST, header::HeaderValue::from_static("localhost"));
    }
    request
}

/// Adds the content type of a request.
pub(crate) fn with_type(
    mut request: Request<RequestBody>,
    content_type: &'static str,
) -> Request<RequestBody> {
    request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    request
}

/// Dials for the connection pool.
#[derive(Clone, Debug)]
struct Dialer {
    connect: Arc<dyn Connect>,
    timeout: Duration,
    timeouts: Timeouts,
}

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<TimeoutStream<BoxedIo>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let (dialing, timeout, timeouts) = (self.connect.connect(&url), self.timeout, self.timeouts);
        Box::pin(async move {
            let io = tokio::time::timeout(timeout, dialing).await.map_err(|_| io::ErrorKind::TimedOut)??;
            Ok(TokioIo::new(TimeoutStream::new(io, timeouts)))
        })
    }
}
