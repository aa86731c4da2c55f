//! What other members ask of this one.

mod messages;
mod rpc;

use std::convert::Infallible;
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};
use tracing::debug;

use crate::headers::FERRETCD;
use crate::local_context::Local;
use crate::response::{Answer, AnswerBody, BodyError, Refusal, of_cluster};
use crate::timeout_stream::{Impatient, Patience};
use crate::{Io, PeerTransport, snapshot};

/// How long a body that is read as a whole may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers what other members ask. Clones are cheap and share everything.
#[derive(Clone)]
pub struct PeerServer {
    transport: PeerTransport,
    others: BoxCloneSyncService<Request<Incoming>, Answer, Infallible>,
}

impl fmt::Debug for PeerServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerServer").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl PeerServer {
    /// Serves on behalf of a transport and its member. Paths that are none of the protocol between members,
    /// `/version` among them, are left to `others`.
    pub fn new<S, B>(transport: PeerTransport, others: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        let others = others.map_response(|response: Response<B>| response.map(AnswerBody::other));
        Self { transport, others: BoxCloneSyncService::new(others) }
    }

    /// Serves one connection until it ends. When `stop` ends, no further request is taken; streams go on until
    /// [`PeerTransport::stop`].
    pub async fn serve_connection(&self, io: impl Io + 'static, stop: impl Future<Output = ()>) {
        let patience = Patience { read: None, write: Some(self.transport.config().silence) };
        let io = TokioIo::new(Impatient::new(io, patience));
        let service = TowerToHyperService::new(self.clone());
        let mut http = http1::Builder::new();
        let mut connection = pin!(http.timer(TokioTimer::new()).serve_connection(io, service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = stop => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(error = %error, "a connection of another member ended");
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        let Some(local) = self.transport.local() else {
            return Refusal::text(StatusCode::SERVICE_UNAVAILABLE, "the member is not started").answer();
        };
        let path = request.uri().path().to_owned();
        match path.as_str() {
            "/raft" => of(&local, messages::post(&local, &self.transport, request).await),
            "/raft/snapshot" => of(&local, messages::snapshot(&local, &self.transport, request).await),
            "/raft/probing" => rpc::probe(),
            path if path.starts_with("/raft/stream/") => {
                of(&local, messages::stream(&local, &self.transport, &request))
            }
            "/members" => of(&local, rpc::members(&local, request.method())),
            "/members/hashkv" => of(&local, rpc::hash_kv(&local, request).await),
            path if path.starts_with("/members/promote/") => {
                of(&local, rpc::promote(&local, request.method(), path).await)
            }
            "/leases" => rpc::renew_lease(&local, request).await.unwrap_or_else(Refusal::answer),
            "/leases/internal" => rpc::lease_info(&local, request).await.unwrap_or_else(Refusal::answer),
            snapshot::PATH => of(&local, messages::state(&local, &self.transport, &request).await),
            "/downgrade/enabled" => of(&local, rpc::downgrade(request.method())),
            _ => {
                let Ok(answer) = self.others.oneshot(request).await;
                answer
            }
        }
    }
}

/// Most answers say which cluster they come from, refusals as well.
fn of(local: &Local, answer: Result<Answer, Refusal>) -> Answer {
    of_cluster(answer.unwrap_or_else(Refusal::answer), local.cluster)
}

impl Service<Request<Incoming>> for PeerServer {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let mut answer = server.answer(request).await;
            let release = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
            answer.headers_mut().insert(FERRETCD, release);
            Ok(answer)
        })
    }
}

/// Refuses all methods but one.
fn only(method: &Method, allowed: &Method) -> Result<(), Refusal> {
    if method == allowed {
        return Ok(());
    }
    Err(Refusal::Method(if *allowed == Method::GET { "GET" } else { "POST" }))
}

/// Reads a whole body of at most `bytes_max`.
async fn whole_body(body: Incoming, bytes_max: usize) -> Result<Bytes, BodyRefused> {
    let collected = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, bytes_max).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(BodyRefused::TooLarge),
        Ok(Err(_)) | Err(_) => Err(BodyRefused::Broken),
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyRefused {
    TooLarge,
    Broken,
}

/// Who sent a request, made known if it says where it is to be reached.
fn greet(transport: &PeerTransport, headers: &HeaderMap) {
    if let Some(from) = crate::headers::sender(headers) {
        transport.meet(from, &crate::headers::peer_urls(headers));
    }
}
