//! All services of one member as one tower service.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use api_proto::etcdserverpb::cluster_server::ClusterServer;
use api_proto::etcdserverpb::kv_server::KvServer;
use api_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use axum::Router;
use engine::Engine;
use gateway::{Gateway, Listener};
use http::{Request, Response, header};
use hyper::body::Incoming;
use interceptors::{AuthLayer, LogConfig, LogLayer, MetricsConfig, MetricsLayer, QuotaConfig, QuotaLayer};
use prometheus::Registry;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::accept::Remote;
use crate::admit::Room;
use crate::cluster::ClusterService;
use crate::door::Door;
use crate::health::{HealthService, Pages};
use crate::kv::KvService;
use crate::maintenance::MaintenanceService;
use crate::status::status;
use crate::{Config, deadline, rpcs, texts};

/// A gRPC service with its layers, its types erased: what layers of one's own wrap.
pub type Handler = BoxCloneSyncService<Request<Incoming>, Response<Body>, Infallible>;

/// What one operation of a transaction is reckoned to cost beside its bytes; bounds what a request can cost.
const OP_COST: u64 = 256;

/// All services of one member: gRPC by the path of the call, plain HTTP for everything else. Clones share
/// the member.
#[derive(Clone)]
pub struct Server {
    services: Arc<Vec<Named>>,
    pages: Router,
    health: HealthService,
    message_bytes_max: usize,
    pub(crate) config: Arc<Config>,
}

#[derive(Clone)]
struct Named {
    /// Package and service.
    name: &'static str,
    handler: Handler,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.services.iter().map(|service| service.name).collect();
        f.debug_struct("Server").field("services", &names).finish_non_exhaustive()
    }
}

impl Server {
    /// Puts the services around a member. Metrics go into `registry`, which `/metrics` of `gateway` shows.
    ///
    /// The chain, in the order of a request:
    /// log (sees every call, also refused ones) → auth (who, and whether this member may answer) → metrics
    /// (counts what was let in) → quota (only where something is written: whether there is room).
    pub fn new(
        engine: &Engine,
        config: Config,
        gateway: gateway::Config,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let log = LogLayer::new(LogConfig {
            rpcs: rpcs::RPCS,
            warning_unary_request_duration: config.slow_request,
            remote: Remote::of,
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

        let health = HealthService::new();
        let kv = KvServer::new(KvService {
            engine: engine.clone(),
            txn_ops_max: config.txn_ops_max,
            request_bytes_max: config.request_bytes_max,
        });
        let kv = kv.max_decoding_message_size(message_bytes_max).max_encoding_message_size(i32::MAX as usize);
        let maintenance = MaintenanceServer::new(MaintenanceService { engine: engine.clone() })
            .max_decoding_message_size(message_bytes_max);
        let cluster = ClusterServer::new(ClusterService { engine: engine.clone() })
            .max_decoding_message_size(message_bytes_max);
        let services = vec![
            named(&kv, chain.clone().layer(quota).service(kv.clone())),
            named(&maintenance, chain.clone().service(maintenance.clone())),
            named(&cluster, chain.clone().service(cluster.clone())),
            {
                let server = HealthServer::new(health.clone());
                named(&server, chain.service(server.clone()))
            },
        ];
        let gateway = Gateway::register(Arc::new(Pages { engine: engine.clone() }), gateway, registry)?;
        Ok(Self {
            services: Arc::new(services),
            pages: gateway.router(Listener::Plain),
            health,
            message_bytes_max,
            config: Arc::new(config),
        })
    }

    /// Puts a layer of one's own around every gRPC service, outside the server's chain.
    #[must_use]
    pub fn map(mut self, layer: impl Fn(Handler) -> Handler) -> Self {
        let wrap = |service: &Named| Named { name: service.name, handler: layer(service.handler.clone()) };
        self.services = Arc::new(self.services.iter().map(wrap).collect());
        self
    }

    /// The gRPC health service says from now on that the server does not serve.
    pub(crate) fn stop(&self) {
        self.health.stop();
    }

    async fn grpc(self, handler: Option<Handler>, request: Request<Incoming>) -> Response<Body> {
        let uri = request.uri().clone();
        let is_method = rpcs::RPCS.iter().any(|rpc| rpc.path() == uri.path());
        let Some(handler) = handler.filter(|_| is_method) else {
            let is_service_known = self.services.iter().any(|service| is_call_of(uri.path(), service.name));
            return texts::unimplemented(&uri, is_service_known);
        };
        let timeout = deadline::timeout(request.headers());
        let answer = handler.oneshot(request);
        let Ok(response) = match timeout {
            None => answer.await,
            Some(timeout) => match tokio::time::timeout(timeout, answer).await {
                Ok(response) => response,
                Err(_) => return status(api_proto::errors::Untyped::ContextDeadlineExceeded).into_http(),
            },
        };
        texts::reword(response, self.message_bytes_max)
    }
}

/// Erases the types of a service and its layers.
fn named<N, S, B>(_: &N, service: S) -> Named
where
    N: NamedService,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    let service = service.map_response(|response: Response<B>| response.map(Body::new));
    Named { name: N::NAME, handler: BoxCloneSyncService::new(service) }
}

/// Whether a path is `/service/…`.
fn is_call_of(path: &str, service: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_prefix(service))
        .is_some_and(|rest| rest.starts_with('/'))
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

impl Service<Request<Incoming>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Services made by tonic are always ready; each call is made on a clone of its own.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if !is_grpc(&request) {
            let pages = self.pages.clone();
            return Box::pin(async move {
                let Ok(response) = pages.oneshot(request).await;
                Ok(response.map(Body::new))
            });
        }
        let path = request.uri().path();
        let service = self.services.iter().find(|service| is_call_of(path, service.name));
        let handler = service.map(|service| service.handler.clone());
        let server = self.clone();
        Box::pin(async move { Ok(server.grpc(handler, request).await) })
    }
}
