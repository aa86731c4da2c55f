//! From a configuration to a running server, in the order of a start.

use std::fmt;
use std::sync::Arc;

use ferretcd_data_dir::Contents;
use ferretcd_engine::{Engine, TokenConfig};
use ferretcd_grpc_server::{AuditSink, Handler, IntoHandler, NamedService, Server as Services};
use ferretcd_transport::PeerTransport;
use prometheus::Registry;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tower::Layer;
use tracing::info;

use crate::bootstrap::{find_in_dns, find_in_registry, found_or_join};
use crate::certificates::Certificates;
use crate::config::Config;
use crate::listeners::{Addresses, ListenError, Listeners};
use crate::peers::transport_config;
use crate::peers_runtime::PeersRuntime;
use crate::server::{Parts, Server};
use crate::token_keys::TokenKeys;
use crate::{StartError, memory, settings, token_keys};

/// A change of the services, made when they exist.
type Mount = Box<dyn FnOnce(Services) -> Services + Send>;

/// A server that is not started: its configuration, and what is mounted beside etcd's own services.
pub struct Builder {
    config: Config,
    /// What the data directory had, once it was looked at.
    contents: Option<Contents>,
    services: Vec<Mount>,
    layers: Vec<Mount>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Server {
    /// Begins a server with this configuration.
    pub fn builder(config: Config) -> Builder {
        Builder { config, contents: None, services: Vec::new(), layers: Vec::new() }
    }
}

impl Builder {
    /// Puts a tower layer around every gRPC method, those of [`Self::add_service`] included, outside etcd's own chain: it
    /// sees a request before it is logged, authenticated and counted. The layer that is added first is the outermost.
    ///
    /// Plain HTTP and other members don't pass through it.
    #[must_use]
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Handler> + Send + 'static,
        L::Service: IntoHandler,
    {
        self.layers.push(Box::new(move |services| services.layer(&layer)));
        self
    }

    /// Writes a line of an audit log for each gRPC call, those in JSON included: caller, method, keys, code; never values,
    /// passwords or tokens. It is a layer as [`Self::layer`] adds it.
    #[must_use]
    pub fn audit(mut self, sink: Arc<dyn AuditSink>) -> Self {
        self.layers.push(Box::new(move |services| services.audit(sink)));
        self
    }

    /// Serves another gRPC service on the ports for clients. A service of etcd's with the same name goes first.
    ///
    /// It stands beside etcd's own chain, which knows only etcd's methods: it is neither logged nor authenticated,
    /// has no part in `grpc_server_*` and no quota. Deadlines of requests hold for it.
    #[must_use]
    pub fn add_service<S: NamedService + IntoHandler>(mut self, service: S) -> Self {
        self.services.push(Box::new(move |services| services.add_service(service)));
        self
    }

    /// Starts the server on the current runtime, which then serves clients, and on threads of its own: binds the sockets,
    /// finds the founders or joins, opens the data.
    ///
    /// Returns when the member runs. It serves other members and metrics from then on, and clients as soon as it has
    /// caught up with a leader, which [`Server::ready`] waits for; their requests wait as long. Reading the data blocks
    /// the runtime's thread. While it waits for other members the future may be dropped, which gives everything up.
    pub async fn start(self) -> Result<Server, StartError> {
        let prepared = spawn_blocking(|| self.prepare());
        prepared.await.expect("a check does not panic")?.bootstrap().await?.start().await
    }

    /// What is in the data directory. It is looked at once; files that no member makes are named in a warning.
    pub fn contents(&mut self) -> Result<Contents, StartError> {
        if let Some(contents) = self.contents {
            return Ok(contents);
        }
        let contents = Contents::identify(&self.config.data_dir)?;
        self.contents = Some(contents);
        Ok(contents)
    }

    /// The part of a start that needs no runtime: checks the data directory and the configuration, and reads the
    /// certificates. Blocks on the name service if the configuration has SRV records, or URLs that differ in text.
    pub fn prepare(mut self) -> Result<Prepared, StartError> {
        self.contents()?;
        self.config.raft.check()?;
        let has_log = self.config.has_log();
        if !has_log {
            find_in_dns(&mut self.config)?;
            self.config.check_bootstrap()?;
        }
        let certificates = Certificates::load(&self.config)?;
        let tokens = token_keys::load(&self.config.auth.tokens)?;
        Ok(Prepared { builder: self, certificates, tokens, has_log })
    }
}

/// A server that is checked and not started, see [`Builder::prepare`].
pub struct Prepared {
    builder: Builder,
    certificates: Certificates,
    tokens: (TokenConfig, Option<TokenKeys>),
    has_log: bool,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("builder", &self.builder).finish_non_exhaustive()
    }
}

impl Prepared {
    /// The part of a start that may wait for other members: binds the sockets, finds the founders or joins. The future
    /// may be dropped, which gives everything up.
    pub async fn bootstrap(self) -> Result<Bootstrapped, StartError> {
        let Self { builder: Builder { mut config, services, layers, .. }, certificates, tokens, has_log } =
            self;
        let peers_runtime = PeersRuntime::start().map_err(|error| StartError::Threads(Arc::new(error)))?;
        let connections_max = config.limits.connections_max;
        let listeners =
            Listeners::bind(&config.listen, connections_max, &certificates, peers_runtime.handle())?;
        if config.http.has_profiles {
            info!(path = "/debug/pprof", "pprof is enabled");
        }
        let addresses = listeners.addresses().map_err(ListenError::Address)?;
        if config.advertise.client.is_empty() {
            config.advertise.client =
                listeners.client_urls(&config.listen.client).map_err(ListenError::Address)?;
        }
        config.limits.response_memory_bytes.get_or_insert_with(memory::for_responses);
        let network = transport_config(&config, certificates.dial);
        let mut engine_config = settings::engine(&config);
        let token_keys = tokens.1;
        engine_config.tokens = tokens.0;
        if !has_log {
            find_in_registry(&mut config).await?;
            engine_config.bootstrap = found_or_join(&config, Arc::clone(&network.connect)).await?;
        }
        Ok(Bootstrapped {
            config,
            services,
            layers,
            peers_runtime,
            listeners,
            addresses,
            network,
            engine_config,
            token_keys,
        })
    }
}

/// A server whose sockets are bound and whose cluster is known, see [`Prepared::bootstrap`].
pub struct Bootstrapped {
    config: Config,
    services: Vec<Mount>,
    layers: Vec<Mount>,
    peers_runtime: PeersRuntime,
    listeners: Listeners,
    addresses: Addresses,
    network: ferretcd_transport::Config,
    engine_config: ferretcd_engine::Config,
    token_keys: Option<TokenKeys>,
}

impl fmt::Debug for Bootstrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bootstrapped").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Bootstrapped {
    /// The rest of [`Builder::start`]. Waits for no other member; the future must not be dropped, since the engine may
    /// be running.
    pub async fn start(self) -> Result<Server, StartError> {
        let Self {
            config,
            services,
            layers,
            peers_runtime,
            listeners,
            addresses,
            network,
            engine_config,
            token_keys,
        } = self;
        let registry = Registry::new();
        let transport = PeerTransport::register(network, &registry, peers_runtime.handle())?;
        let peers = Arc::new(transport.clone());
        let engine = Engine::start(engine_config, peers, &registry, &Handle::current())?;
        transport.attach(Arc::new(engine.clone()));
        if let Some(keys) = token_keys {
            tokio::spawn(keys.follow());
        }
        // Services first, so that all layers stand around them; the last layer first, so that it is the innermost.
        let mounts = services.into_iter().chain(layers.into_iter().rev());
        let mount = |server| mounts.fold(server, |server, mount| mount(server));
        let parts = Parts { config, engine, peers_runtime, transport, registry, listeners, addresses };
        Server::serve(parts, mount).await
    }
}
