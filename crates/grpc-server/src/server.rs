//! All services of one member as one tower service.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use ferretcd_api_proto::etcdserverpb::cluster_server::ClusterServer;
use ferretcd_api_proto::etcdserverpb::kv_server::KvServer;
use ferretcd_api_proto::etcdserverpb::lease_server::LeaseServer;
use ferretcd_api_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use ferretcd_engine::Engine;
use ferretcd_http_pages::{Gateway, Listener};
use ferretcd_interceptors::{
    AuthLayer, LogConfig, LogLayer, MetricsConfig, MetricsLayer, QuotaConfig, QuotaLayer, RpcKind,
};
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use prometheus::Registry;
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::accept::Connection;
use crate::admit::Room;
use crate::cluster::ClusterService;
use crate::deadline::Bounded;
use crate::door::Door;
use crate::drain::Drain;
use crate::health::{HealthService, Pages};
use crate::kv::KvService;
use crate::lease::{KeepAliveService, LeaseService};
use crate::maintenance::MaintenanceService;
use crate::watch::WatchService;
use crate::{Config, deadline, rpcs, texts};

/// The largest message that is sent, in bytes; what the protocol's length field of other implementations takes.
const MESSAGE_SENT_BYTES_MAX: usize = i32::MAX as usize;

/// A gRPC service with its layers, its types erased: what layers of one's own wrap.
pub type Handler = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// What one operation of a transaction is reckoned to cost beside its bytes; bounds what a request can cost.
const OP_COST: u64 = 256;

/// All services of one member: gRPC by the path of the call, plain HTTP for everything else. Clones are cheap
/// and share everything.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    /// By the whole path of a call.
    methods: HashMap<&'static str, Method>,
    engine: Engine,
    pages: Router,
    /// What the pages are those of; `None` for everything.
    face: Option<Face>,
    gateway: Gateway,
    drain: Drain,
    message_bytes_max: usize,
    config: Config,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// What a listener shows if not everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Face {
    /// gRPC alone.
    Grpc,
    /// Plain HTTP alone.
    Http,
    /// Probes and metrics alone.
    Metrics,
    /// What other members ask besides that which belongs to the transport: the version.
    Peers,
}

impl Server {
    /// Puts the services around a member. Metrics go into `registry`, which `/metrics` of the gateway shows.
    ///
    /// The chain, in the order of a request:
    /// log (sees every call, also refused ones) → auth (who, and whether this member may answer) → metrics
    /// (counts what was let in) → quota (only where something is written: whether there is room).
    pub fn new(
        engine: &Engine,
        config: Config,
        gateway: ferretcd_http_pages::Config,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let log = LogLayer::new(LogConfig {
            rpcs: rpcs::RPCS,
            warning_unary_request_duration: config.slow_request,
            remote: Connection::remote,
        });
        let auth = AuthLayer::new(Arc::new(Door { engine: engine.clone() }));
        let metrics = MetricsConfig { rpcs: rpcs::RPCS, extensive: config.extensive_metrics };
        let metrics = MetricsLayer::register(metrics, registry)?;
        let message_bytes_max = config.message_bytes_max();
        let cost_max = message_bytes_max as u64 + OP_COST * config.txn_ops_max as u64;
        let quota = QuotaLayer::new(
            QuotaConfig { request_bytes_max: message_bytes_max },
            Arc::new(Room { engine: engine.clone(), cost_max }),
        );
        let chain = ServiceBuilder::new().layer(log).layer(auth).layer(metrics);

        let drain = Drain::new();
        let kv = KvServer::new(KvService {
            engine: engine.clone(),
            txn_ops_max: config.txn_ops_max,
            request_bytes_max: config.request_bytes_max,
        })
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(MESSAGE_SENT_BYTES_MAX);
        let maintenance = MaintenanceServer::new(MaintenanceService { engine: engine.clone() })
            .max_decoding_message_size(message_bytes_max);
        let cluster = ClusterServer::new(ClusterService { engine: engine.clone() })
            .max_decoding_message_size(message_bytes_max);
        let interval = config.watch_progress_interval;
        let watch = WatchService::register(engine.clone(), message_bytes_max, interval, registry)?;
        let mut methods = HashMap::new();
        let lease = LeaseServer::new(LeaseService { engine: engine.clone() })
            .max_decoding_message_size(message_bytes_max)
            .max_encoding_message_size(MESSAGE_SENT_BYTES_MAX);
        add(&mut methods, chain.clone().layer(quota.clone()).service(kv));
        add(&mut methods, chain.clone().layer(quota).service(lease));
        let keep_alive = KeepAliveService::new(engine.clone(), drain.clone(), message_bytes_max);
        // Over the one that the generated service has for it.
        add_stream(&mut methods, rpcs::LEASE_KEEP_ALIVE, chain.service(keep_alive));
        add(&mut methods, chain.service(watch));
        add(&mut methods, chain.service(maintenance));
        add(&mut methods, chain.service(cluster));
        add(&mut methods, chain.service(HealthServer::new(HealthService { drain: drain.clone() })));
        let gateway = Gateway::register(Arc::new(Pages { engine: engine.clone() }), gateway, registry)?;
        let pages = gateway.router(Listener::Plain);
        let engine = engine.clone();
        let face = None;
        Ok(Self(Arc::new(Inner { methods, engine, pages, face, gateway, drain, message_bytes_max, config })))
    }

    /// The server as it is seen through another kind of listener.
    #[must_use]
    pub fn face(&self, face: Face) -> Self {
        let mut inner = Inner::clone(&self.0);
        if face != Face::Grpc {
            inner.methods.clear();
        }
        inner.face = Some(face);
        inner.pages = inner.pages(Listener::Plain);
        Self(Arc::new(inner))
    }

    /// The server as it is seen through a listener with TLS.
    pub(crate) fn encrypted(&self) -> Self {
        let mut inner = Inner::clone(&self.0);
        inner.pages = inner.pages(Listener::Tls);
        Self(Arc::new(inner))
    }

    /// Puts a layer of one's own around every gRPC method, outside the server's chain.
    #[must_use]
    pub fn map(&self, layer: impl Fn(Handler) -> Handler) -> Self {
        let mut inner = Inner::clone(&self.0);
        for method in inner.methods.values_mut() {
            let handler = layer(BoxCloneSyncService::new(Shared(Arc::clone(&method.service))));
            method.service = Arc::new(Erased(handler));
        }
        Self(Arc::new(inner))
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    /// The gRPC health service says from now on that the server does not serve, and streams that would go on
    /// for ever are ended.
    pub(crate) fn stop(&self) {
        self.0.drain.begin();
        self.0.engine.end_watches();
    }

    /// Answers one request of whatever kind.
    pub fn answer(&self, request: Request<Incoming>) -> BoxFuture<Response<Body>, Infallible> {
        if !is_grpc(&request) {
            let pages = self.0.pages.clone().oneshot(request);
            return Box::pin(async { pages.await.map(|response| response.map(Body::new)) });
        }
        let Some(method) = self.0.methods.get(request.uri().path()) else {
            let response = texts::unimplemented(request.uri(), |service| self.has_service(service));
            return Box::pin(std::future::ready(Ok(response)));
        };
        let deadline = deadline::timeout(request.headers()).map(|timeout| Instant::now() + timeout);
        let (answer, streams) = (method.service.call(request), method.streams);
        let message_bytes_max = self.0.message_bytes_max;
        Box::pin(async move {
            let Some(deadline) = deadline else {
                let Ok(response) = answer.await;
                return Ok(texts::reword(response, message_bytes_max));
            };
            let response = match timeout_at(deadline, answer).await {
                // The only message of other calls is there already.
                Ok(Ok(response)) if streams => response.map(|body| Body::new(Bounded::new(body, deadline))),
                Ok(Ok(response)) => response,
                Err(_) => deadline::exceeded().into_http(),
            };
            Ok(texts::reword(response, message_bytes_max))
        })
    }

    fn has_service(&self, name: &str) -> bool {
        rpcs::RPCS.iter().any(|rpc| rpc.service() == name && self.0.methods.contains_key(rpc.path()))
    }
}

impl Inner {
    /// The pages of this face on a listener for clients.
    fn pages(&self, clients: Listener) -> Router {
        match self.face {
            None | Some(Face::Http) => self.gateway.router(clients),
            Some(Face::Metrics) => self.gateway.router(Listener::Metrics),
            Some(Face::Peers) => self.gateway.router(Listener::Peers),
            Some(Face::Grpc) => Router::new().fallback(|| async { StatusCode::NOT_FOUND }),
        }
    }
}

/// One method of a service.
#[derive(Clone)]
struct Method {
    service: Arc<dyn Call>,
    /// Whether it may answer with many messages.
    streams: bool,
}

/// A service that is called without being cloned first, which would copy all of its layers to the heap.
trait Call: Send + Sync {
    fn call(&self, request: Request<Incoming>) -> BoxFuture<Response<Body>, Infallible>;
}

/// Erases the type of a service. Services made by tonic, and their layers, are always ready.
struct Erased<S>(S);

impl<S, B> Call for Erased<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    fn call(&self, request: Request<Incoming>) -> BoxFuture<Response<Body>, Infallible> {
        let answer = self.0.clone().oneshot(request);
        Box::pin(async { answer.await.map(|response| response.map(Body::new)) })
    }
}

/// A method as the inside of a tower layer.
#[derive(Clone)]
struct Shared(Arc<dyn Call>);

impl Service<Request<Incoming>> for Shared {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.0.call(request)
    }
}

/// Enters a service under the paths of all of its methods.
fn add<S, B>(methods: &mut HashMap<&'static str, Method>, service: S)
where
    S: NamedService,
    Erased<S>: Call + 'static,
    S: Service<Request<Incoming>, Response = Response<B>>,
{
    let service: Arc<dyn Call> = Arc::new(Erased(service));
    for rpc in rpcs::RPCS.iter().filter(|rpc| rpc.service() == S::NAME) {
        let streams = matches!(rpc.kind(), RpcKind::ServerStream | RpcKind::BidiStream);
        methods.insert(rpc.path(), Method { service: Arc::clone(&service), streams });
    }
}

/// Enters a service of one method that answers with a stream.
fn add_stream<S>(methods: &mut HashMap<&'static str, Method>, path: &'static str, service: S)
where
    Erased<S>: Call + 'static,
{
    methods.insert(path, Method { service: Arc::new(Erased(service)), streams: true });
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
