//! Requests to other members.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client as Pool, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use crate::connect::{BoxedIo, Connect};
use crate::response::BodyError;
use crate::snapshot::SnapshotBody;
use crate::timeout_stream::{Impatient, Patience};

/// Connections to one member that wait for their next request.
const IDLE_CONNECTIONS_MAX: usize = 4;
/// After how long without requests a connection is closed. etcd's servers close theirs after 5 s, and a request
/// that meets that is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);
/// The largest answer that is read, in bytes: all keys of a lease may be in it.
const ANSWER_BYTES_MAX: usize = 100 << 20;

/// The body of a request.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Full(Full<Bytes>),
    Snapshot(SnapshotBody),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Snapshot(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(body) => body.is_end_stream(),
            Self::Snapshot(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Full(body) => body.size_hint(),
            Self::Snapshot(body) => body.size_hint(),
        }
    }
}

impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        Self::Full(Full::new(bytes))
    }
}

/// Sends requests over connections of one kind. A request that may have been sent is never sent again.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pool: Pool<Dialer, RequestBody>,
}

impl Client {
    /// For requests whose answers are short.
    pub(crate) fn for_calls(connect: Arc<dyn Connect>, dial_timeout: Duration, write: Duration) -> Self {
        let patience = Patience { read: None, write: Some(write) };
        Self::new(connect, dial_timeout, patience, IDLE_CONNECTIONS_MAX)
    }

    /// For answers without an end: each has a connection of its own, which ends after `silence`.
    pub(crate) fn for_streams(connect: Arc<dyn Connect>, dial_timeout: Duration, silence: Duration) -> Self {
        Self::new(connect, dial_timeout, Patience { read: Some(silence), write: Some(silence) }, 0)
    }

    fn new(connect: Arc<dyn Connect>, dial_timeout: Duration, patience: Patience, idle_max: usize) -> Self {
        let pool = Pool::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_max)
            .build(Dialer { connect, timeout: dial_timeout, patience });
        Self { pool }
    }

    /// Sends a request. Awaits the head of the answer, however long it takes.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, RequestError> {
        self.pool.request(request).await.map_err(RequestError::from)
    }

    /// Sends a request and reads the answer, all within `timeout`.
    pub(crate) async fn call(
        &self,
        request: Request<RequestBody>,
        timeout: Duration,
    ) -> Result<Reply, RequestError> {
        let reply = async { read(self.send(request).await?).await };
        tokio::time::timeout(timeout, reply).await.unwrap_or(Err(RequestError::Timeout))
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The body as text, without the line feed behind it.
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }
}

/// Reads the body of an answer.
pub(crate) async fn read(response: Response<Incoming>) -> Result<Reply, RequestError> {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| RequestError::Broken(error.to_string()))?.to_bytes();
    Ok(Reply { status: parts.status, headers: parts.headers, body })
}

/// Why there is no answer to a request.
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

/// The text of the first cause, which says more than those around it.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A request to a path of a peer URL. What the URL has as path is not used, as etcd does it.
pub(crate) fn request(
    url: &Uri,
    method: Method,
    path: &str,
    identity: &HeaderMap,
    body: impl Into<RequestBody>,
) -> Request<RequestBody> {
    let mut parts = url.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    let mut request = Request::new(body.into());
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_else(|_| url.clone());
    *request.method_mut() = method;
    *request.headers_mut() = identity.clone();
    request
}

/// Adds what kind of content a request has.
pub(crate) fn with_type(
    mut request: Request<RequestBody>,
    content_type: &'static str,
) -> Request<RequestBody> {
    request.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    request
}

/// Dials for the pool.
#[derive(Clone, Debug)]
struct Dialer {
    connect: Arc<dyn Connect>,
    timeout: Duration,
    patience: Patience,
}

impl tower::Service<Uri> for Dialer {
    type Response = TokioIo<Impatient<BoxedIo>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let (dialing, timeout, patience) = (self.connect.connect(&url), self.timeout, self.patience);
        Box::pin(async move {
            let io = tokio::time::timeout(timeout, dialing).await.map_err(|_| io::ErrorKind::TimedOut)??;
            Ok(TokioIo::new(Impatient::new(io, patience)))
        })
    }
}
