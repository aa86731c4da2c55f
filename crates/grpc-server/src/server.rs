//! All services of one member as one tower service.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use ferretcd_api_proto::FILE_DESCRIPTOR_SET;
use ferretcd_api_proto::etcdserverpb::auth_server::AuthServer;
use ferretcd_api_proto::etcdserverpb::cluster_server::ClusterServer;
use ferretcd_api_proto::etcdserverpb::kv_server::KvServer;
use ferretcd_api_proto::etcdserverpb::lease_server::LeaseServer;
use ferretcd_api_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use ferretcd_base::Threshold;
use ferretcd_engine::Engine;
use ferretcd_gateway::Gateway;
use ferretcd_http_pages::{Audience, Pages};
use ferretcd_interceptors::AuditSink;
use ferretcd_listen::{Connection, Drain, Endpoint, Listener};
use ferretcd_ui::Ui;
use http::request::Parts;
use http::{Method, Request, Response, header};
use hyper::body::Incoming;
use prometheus::Registry;
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tonic_health::pb::health_server::HealthServer;
use tower::{Layer, Service, ServiceExt};

use crate::auth::AuthService;
use crate::calls::Calls;
use crate::chain::Chain;
use crate::cluster::ClusterService;
use crate::compression::{Decompressed, Encoding, compress};
use crate::gateway::Json;
use crate::health::{EngineHealth, HealthService};
use crate::health_list::HealthListService;
use crate::kv::KvService;
use crate::lease::{KeepAliveService, LeaseService};
use crate::long_body::LongBodies;
use crate::maintenance::MaintenanceService;
use crate::methods::{Handler, IntoHandler, Methods};
use crate::protocol::Protocol;
use crate::stream_failures::StreamFailures;
use crate::watch::WatchService;
use crate::{Config, RequestBody, audit, deadline, gateway, library_errors, rpcs};

/// The largest message that is sent, in bytes; what the protocol's length field of other implementations takes.
const MESSAGE_SENT_BYTES_MAX: usize = i32::MAX as usize;

/// What names and quotes add to a request in JSON, at most: those of thousands of operations.
const JSON_NAMES_BYTES: usize = 1 << 20;

/// All services of one member: gRPC calls by their path, plain HTTP for everything else. Clones are cheap and share
/// everything.
#[derive(Clone)]
pub struct Server(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    calls: Calls,
    engine: Engine,
    /// `None` if calls cannot be made by JSON.
    gateway: Option<Gateway>,
    pages: Pages,
    exposure: Exposure,
    /// Of the pages of a client URL.
    clients: Audience,
    /// What is beside gRPC, as the rest of this says.
    router: Router,
    json: Option<Arc<Json>>,
    drain: Drain,
    /// Unary calls that take longer are logged as a warning.
    slow_request: Threshold,
    config: Config,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// What is served on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// gRPC and plain HTTP.
    All,
    /// gRPC alone.
    Grpc,
    /// Plain HTTP alone.
    Http,
    /// Probes and metrics alone.
    Metrics,
    /// What other members request besides the transport's own paths: the version.
    Peers,
}

impl Exposure {
    /// Whether gRPC calls are served. Elsewhere they are requests for pages like all others.
    fn has_grpc(self) -> bool {
        matches!(self, Self::All | Self::Grpc)
    }

    /// Whether there are all pages that clients have.
    fn has_client_pages(self) -> bool {
        matches!(self, Self::All | Self::Http)
    }
}

impl Server {
    /// Puts the services around a member. Metrics go into `registry`, which the page `/metrics` shows.
    ///
    /// # Errors
    /// When `registry` holds a metric of the same name already.
    pub fn new(
        engine: &Engine,
        config: Config,
        pages: ferretcd_http_pages::Config,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let slow_request = Threshold::new(config.slow_request);
        let chain = Chain::register(engine, &config, slow_request.clone(), registry)?;
        let drain = Drain::new();
        let methods = methods(engine, &config, &chain, &drain, registry)?;
        let health = Arc::new(EngineHealth {
            kv: engine.kv().clone(),
            member: engine.member().clone(),
            cluster: engine.cluster().clone(),
        });
        let pages = Pages::register(health, pages, registry)?;
        let message_bytes_max = config.message_bytes_max();
        let gateway = config.has_gateway.then(|| {
            let limits = ferretcd_gateway::Config {
                request_bytes_max: message_bytes_max.saturating_mul(2).saturating_add(JSON_NAMES_BYTES),
            };
            Gateway::new(FILE_DESCRIPTOR_SET, limits).expect("the schema of this build can be translated")
        });
        let inner = Inner {
            calls: Calls { methods: Arc::new(methods), message_bytes_max },
            engine: engine.clone(),
            gateway,
            pages,
            exposure: Exposure::All,
            clients: Audience::Clients,
            router: Router::new(),
            json: None,
            drain,
            slow_request,
            config,
        };
        Ok(Self(Arc::new(inner)).with(|_| ()))
    }

    /// The server with another part. What is beside gRPC is made anew.
    fn with(&self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner::clone(&self.0);
        change(&mut inner);
        (inner.router, inner.json) = (inner.router(), inner.json().map(Arc::new));
        Self(Arc::new(inner))
    }

    /// The server as it is seen through another kind of port.
    #[must_use]
    pub fn exposing(&self, exposure: Exposure) -> Self {
        self.with(|inner| inner.exposure = exposure)
    }

    /// The server behind a listener. Pages check the host that requests name if they are not encrypted.
    pub fn endpoint(&self, listener: Listener) -> Endpoint<Self> {
        let encrypted = self.with(|inner| inner.clients = Audience::TlsClients);
        // Above TLS etcd leaves connections to Go's HTTP server, which does not count pings, unless gRPC is alone there.
        let limits_pings_over_tls = self.0.exposure == Exposure::Grpc;
        Endpoint { listener, plain: self.clone(), encrypted, limits_pings_over_tls }
    }

    /// Puts a tower layer around every gRPC method, outside the server's chain. Services that are added later are outside
    /// of the layer.
    #[must_use]
    pub fn layer<L>(&self, layer: &L) -> Self
    where
        L: Layer<Handler>,
        L::Service: IntoHandler,
    {
        self.with(|inner| Arc::make_mut(&mut inner.calls.methods).wrap(layer))
    }

    /// Writes a line to an audit log for each call, and for each watch that is created or cancelled: caller, method, keys,
    /// code; never values, passwords or tokens. It is a layer as [`Self::layer`] puts it.
    #[must_use]
    pub fn audit(&self, sink: Arc<dyn AuditSink>) -> Self {
        self.layer(&audit::layer(self.0.engine.auth().clone(), sink))
    }

    /// Serves another gRPC service beside etcd's, which have precedence over one of the same name. The server's chain,
    /// which knows only etcd's methods, does not stand around it. Deadlines of requests hold for it.
    #[must_use]
    pub fn add_service<S: NamedService + IntoHandler>(&self, service: S) -> Self {
        self.with(|inner| Arc::make_mut(&mut inner.calls.methods).add_other(service))
    }

    /// Has calls be logged as slow that take longer than this, from now on.
    pub fn set_slow_request(&self, duration: Duration) {
        self.0.slow_request.set(duration);
    }

    /// What the ports of this server drain with; [`Self::stop`] begins it.
    pub fn drain(&self) -> Drain {
        self.0.drain.clone()
    }

    /// Begins to drain: the gRPC health service reports from now on that the server does not serve, and streams that
    /// would go on for ever are ended.
    pub fn stop(&self) {
        // Watch streams first: connections send GOAWAY as soon as the drain begins.
        self.0.engine.watches().end_all();
        self.0.drain.begin();
    }

    /// The pages, behind the gate that all requests for them pass. None reads a body.
    fn call_page(&self, request: Request<Incoming>) -> BoxFuture<Response<Body>, Infallible> {
        let server = self.clone();
        let (head, body) = request.into_parts();
        Box::pin(async move {
            discard(&head, body, server.drain()).await;
            if let Some(ui) = server.0.ui().filter(|_| Ui::has_path(&head.uri)) {
                return Ok(server.call_ui(ui, head).await);
            }
            let router = server.0.router.clone();
            let page = router.oneshot(Request::from_parts(head, axum::body::Body::empty())).await;
            page.map(|response| response.map(Body::new))
        })
    }

    /// The page for people.
    async fn call_ui(&self, ui: Ui, head: Parts) -> Response<Body> {
        let gate = self.0.pages.gate(self.0.clients);
        let respond = async |head: Parts| ui.respond(&head, Connection::is_local(&head.extensions));
        match gate.pass(head, respond).await {
            Ok(response) => response.map(|body| Body::new(axum::body::Body::from(body))),
            Err(response) => response.map(Body::new),
        }
    }

    /// Responds without a look at the body.
    fn reject(
        &self,
        response: Response<Body>,
        request: Request<Incoming>,
    ) -> BoxFuture<Response<Body>, Infallible> {
        let drain = self.drain();
        let (head, body) = request.into_parts();
        Box::pin(async move {
            discard(&head, body, drain).await;
            Ok(response)
        })
    }

    fn call_grpc(&self, mut request: Request<Incoming>) -> BoxFuture<Response<Body>, Infallible> {
        let timeout = match deadline::timeout(request.headers()) {
            Ok(timeout) => timeout,
            Err(malformed) => return self.reject(library_errors::malformed_timeout(malformed), request),
        };
        if request.method() != Method::POST {
            return self.reject(library_errors::not_post(request.method()), request);
        }
        let calls = &self.0.calls;
        let Some(method) = calls.methods.get(request.uri().path()) else {
            return self.reject(calls.unimplemented(&request), request);
        };
        match Encoding::take(request.headers_mut()) {
            Encoding::Identity => calls.call(method, timeout, request.map(RequestBody::from)),
            Encoding::Gzip => {
                let request = request.map(|body| Decompressed::new(body, calls.message_bytes_max).into());
                let response = calls.call(method, timeout, request);
                Box::pin(async { response.await.map(compress) })
            }
            Encoding::Unknown(name) => {
                self.reject(library_errors::no_decompressor(name.as_bytes()).into_http(), request)
            }
        }
    }
}

impl Service<Request<Incoming>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        match Protocol::of(&request) {
            Protocol::Grpc if self.0.exposure.has_grpc() => self.call_grpc(request),
            Protocol::Grpc | Protocol::Pages => match &self.0.json {
                Some(json) if gateway::has_path(request.uri()) => {
                    let response = gateway::respond(Arc::clone(json), request);
                    Box::pin(async { Ok(response.await) })
                }
                _ => self.call_page(request),
            },
        }
    }
}

impl Inner {
    /// The pages of this exposure.
    fn router(&self) -> Router {
        self.pages.router(match self.exposure {
            Exposure::All | Exposure::Http => self.clients,
            Exposure::Metrics => Audience::Probes,
            Exposure::Peers => Audience::Peers,
            Exposure::Grpc => Audience::GrpcClients,
        })
    }

    /// The page for people, where this exposure has it.
    fn ui(&self) -> Option<Ui> {
        Ui::new(self.config.ui).filter(|_| self.exposure.has_client_pages())
    }

    /// Calls in JSON, where this exposure has them.
    fn json(&self) -> Option<Json> {
        let gateway = self.gateway.clone().filter(|_| self.exposure.has_client_pages())?;
        let (gate, calls) = (self.pages.gate(self.clients), self.calls.clone());
        Some(Json { gate, gateway, calls, auth: self.engine.auth().clone(), drain: self.drain.clone() })
    }
}

/// Drops a body; see [`ferretcd_listen::discard`]. A client that waits for `100 Continue` has sent none.
async fn discard(head: &Parts, body: Incoming, drain: Drain) {
    if !head.headers.contains_key(header::EXPECT) {
        ferretcd_listen::discard(head.version, body, drain).await;
    }
}

/// All services with their layers.
fn methods(
    engine: &Engine,
    config: &Config,
    chain: &Chain,
    drain: &Drain,
    registry: &Registry,
) -> Result<Methods, prometheus::Error> {
    let message_bytes_max = config.message_bytes_max();
    let kv = KvServer::new(KvService {
        kv: engine.kv().clone(),
        member: engine.member().clone(),
        txn_ops_max: config.txn_ops_max,
    })
    .max_decoding_message_size(message_bytes_max)
    .max_encoding_message_size(MESSAGE_SENT_BYTES_MAX);
    let lease = LeaseServer::new(LeaseService { leases: engine.leases().clone() })
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(MESSAGE_SENT_BYTES_MAX);
    let failures = StreamFailures::register(registry)?;
    let of_keep_alives = failures.of_keep_alives();
    let keep_alive = KeepAliveService::new(engine.clone(), drain.clone(), message_bytes_max, of_keep_alives);
    let interval = config.watch_progress_interval;
    let watches = engine.watches().clone();
    let watch = WatchService::register(watches, message_bytes_max, interval, failures, registry)?;
    let maintenance = MaintenanceServer::new(MaintenanceService {
        maintenance: engine.maintenance().clone(),
        cluster: engine.cluster().clone(),
        member: engine.member().clone(),
    })
    .max_decoding_message_size(message_bytes_max);
    let cluster = ClusterServer::new(ClusterService {
        cluster: engine.cluster().clone(),
        member: engine.member().clone(),
    })
    .max_decoding_message_size(message_bytes_max);

    let auth = AuthServer::new(AuthService { auth: engine.auth().clone() })
        .max_decoding_message_size(message_bytes_max)
        .max_encoding_message_size(MESSAGE_SENT_BYTES_MAX);

    let mut methods = Methods::default();
    methods.add(chain.around_writes(LongBodies::new(kv, config.response_stall_max)));
    methods.add(chain.around_writes(lease));
    methods.replace(rpcs::LEASE_KEEP_ALIVE, chain.around(keep_alive));
    methods.add(chain.around(watch));
    methods.add(chain.around(maintenance));
    methods.add(chain.around(cluster));
    methods.add(chain.around(auth));
    methods.add(chain.around(HealthServer::new(HealthService { drain: drain.clone() })));
    methods.replace(rpcs::HEALTH_LIST, chain.around(HealthListService { drain: drain.clone() }));
    Ok(methods)
}
