//! The server for requests of peers.

mod messages;
mod request;
mod rpc;
mod snapshots;

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use ferretcd_engine::Caller;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt as _};
use tracing::debug;

use crate::client::BodyError;
use crate::connect::Io;
use crate::local_context::LocalContext;
use crate::rejection::Rejection;
use crate::response::{HttpResponse, ResponseBody, of_cluster};
use crate::snapshot;
use crate::timeout_stream::{TimeoutStream, Timeouts};
use crate::transport::PeerTransport;

/// Serves the requests of peers. Clones are cheap and share everything.
#[derive(Clone)]
pub struct PeerServer {
    transport: PeerTransport,
    /// The sender of the requests: a member, on a connection with its address.
    caller: Caller,
    others: BoxCloneSyncService<Request<Incoming>, HttpResponse, Infallible>,
}

impl fmt::Debug for PeerServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerServer").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl PeerServer {
    /// Serves on behalf of a transport and its member. `others` serves the paths outside of the protocol between members,
    /// `/version` among them.
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
        let others = others.map_response(|response: Response<B>| response.map(ResponseBody::other));
        Self { transport, caller: Caller::MEMBER, others: BoxCloneSyncService::new(others) }
    }

    /// Serves one connection from `remote`, `None` over a Unix socket, until it ends. When `stop` resolves, the server takes no further request; streams continue until
    /// [`PeerTransport::stop`].
    pub async fn serve_connection(
        &self,
        io: impl Io + 'static,
        remote: impl Into<Option<SocketAddr>>,
        stop: impl Future<Output = ()>,
    ) {
        let timeouts = Timeouts { read: None, write: Some(self.transport.table().config.write_timeout) };
        let io = TokioIo::new(TimeoutStream::new(io, timeouts));
        let caller = Caller { address: remote.into(), ..self.caller.clone() };
        let service = TowerToHyperService::new(Self { caller, ..self.clone() });
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

    async fn respond(self, request: Request<Incoming>) -> HttpResponse {
        let peers = self.transport.table();
        let Some(local) = peers.local() else {
            return Rejection::text(StatusCode::SERVICE_UNAVAILABLE, "the member is not started").into();
        };
        let (caller, path) = (&self.caller, request.uri().path().to_owned());
        match path.as_str() {
            "/raft" => of(&local, messages::post(&local, peers, request).await),
            "/raft/snapshot" => of(&local, snapshots::receive(&local, peers, request).await),
            "/raft/probing" => rpc::probe(),
            path if path.starts_with("/raft/stream/") => {
                of(&local, messages::stream(&local, peers, &request))
            }
            "/members" => of(&local, rpc::members(&local, request.method())),
            "/members/hashkv" => of(&local, rpc::hash_kv(&local, caller, request).await),
            path if path.starts_with("/members/promote/") => {
                of(&local, rpc::promote(&local, caller, request.method(), path).await)
            }
            "/leases" => rpc::renew_lease(&local, caller, request).await.unwrap_or_else(Into::into),
            "/leases/internal" => rpc::lease_info(&local, caller, request).await.unwrap_or_else(Into::into),
            snapshot::PATH => of(&local, snapshots::send(&local, peers, &request).await),
            rpc::DOWNGRADE_PATH => of(&local, rpc::is_downgrading(&local, caller, request.method()).await),
            _ => {
                let Ok(response) = self.others.oneshot(request).await;
                response
            }
        }
    }
}

/// Most responses name their cluster, rejections as well.
fn of(local: &LocalContext, response: Result<HttpResponse, Rejection>) -> HttpResponse {
    of_cluster(response.unwrap_or_else(Into::into), local.cluster)
}

impl Service<Request<Incoming>> for PeerServer {
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.respond(request).await) })
    }
}
