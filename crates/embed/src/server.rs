//! A running server.

use ferretcd_engine::Engine;
use ferretcd_grpc_server::{Exposure, Server as Services};
use ferretcd_listen::{Drain, serve};
use ferretcd_membership::Url;
use ferretcd_transport::{PeerServer, PeerTransport};
use prometheus::Registry;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{error, info};

use crate::config::Config;
use crate::listeners::{Addresses, Listeners};
use crate::peers::serve_peers;
use crate::peers_runtime::{KeptRuntime, PeersRuntime};
use crate::{StartError, settings};

/// A server that has been started.
///
/// It goes on in the background when this is dropped: [`Server::stop`] ends it.
#[derive(Debug)]
pub struct Server {
    config: Config,
    engine: Engine,
    transport: PeerTransport,
    services: Services,
    registry: Registry,
    addresses: Addresses,
    state: watch::Receiver<State>,
    /// The tasks of the ports for clients and for metrics.
    serving: Vec<JoinHandle<()>>,
    /// The task of the port for other members, which goes on until everything else has ended.
    serving_peers: JoinHandle<()>,
    peers_drain: Drain,
    peers_runtime: KeptRuntime,
}

/// All that a running server consists of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) peers_runtime: PeersRuntime,
    pub(crate) transport: PeerTransport,
    pub(crate) registry: Registry,
    pub(crate) listeners: Listeners,
    pub(crate) addresses: Addresses,
}

/// How a member comes to an end without [`Server::stop`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The cluster has removed the member.
    Removed,
    /// The member can't go on, for this reason.
    Failed(String),
}

/// How far the port for clients has come.
#[derive(Clone, Debug)]
enum State {
    /// The member looks for a leader and catches up.
    Preparing,
    Serving,
    /// A check before serving has failed.
    Rejected(StartError),
}

impl Server {
    /// Begins to serve. `mount` adds to the services.
    pub(crate) async fn serve(
        parts: Parts,
        mount: impl FnOnce(Services) -> Services,
    ) -> Result<Self, StartError> {
        let Parts { config, engine, peers_runtime, transport, registry, mut listeners, addresses } = parts;
        let pages = settings::pages(&config, engine.config().request_timeout());
        let services = match Services::new(&engine, settings::services(&config), pages, &registry) {
            Ok(services) => mount(services),
            Err(error) => {
                close(&config, &engine, &transport).await;
                return Err(error.into());
            }
        };
        // Other members are served at once: without them there may be no leader, and so nothing to serve to clients.
        let peer_server = PeerServer::new(transport.clone(), services.exposing(Exposure::Peers));
        let peers_drain = Drain::new();
        let serving_peers = serve_peers(listeners.take_peers(), peer_server, peers_drain.clone());
        let serving_peers = peers_runtime.handle().spawn(serving_peers);
        // Probes are served from the start as well: a member that takes long to join must not be taken for dead.
        let metrics = listeners.take_metrics(&services);
        let serving_metrics = tokio::spawn(serve(metrics, settings::port(&config), services.drain()));
        let (sender, state) = watch::channel(State::Preparing);
        let port = ClientPort {
            engine: engine.clone(),
            services: services.clone(),
            listeners,
            config: settings::port(&config),
        };
        let serving = vec![tokio::spawn(port.serve(sender)), serving_metrics];
        Ok(Self {
            config,
            engine,
            transport,
            services,
            registry,
            addresses,
            state,
            serving,
            serving_peers,
            peers_drain,
            peers_runtime: peers_runtime.keep(),
        })
    }

    /// Waits until clients are served. Errs if that can't be; then only [`Self::stop`] is left to do.
    pub async fn ready(&self) -> Result<(), StartError> {
        let mut state = self.state.clone();
        let decided = async {
            let state = state.wait_for(|state| !matches!(state, State::Preparing)).await;
            state.map(|state| state.clone())
        };
        tokio::select! {
            state = decided => match state {
                Ok(State::Rejected(error)) => Err(error),
                Ok(State::Preparing | State::Serving) => Ok(()),
                Err(_) => Err(StartError::Failed("the port for clients has panicked".to_owned())),
            },
            end = self.ended() => Err(match end {
                End::Removed => StartError::Removed,
                End::Failed(reason) => StartError::Failed(reason),
            }),
        }
    }

    /// Waits until the member comes to an end by itself; then only [`Self::stop`] is left to do.
    pub async fn ended(&self) -> End {
        tokio::select! {
            reason = self.engine.failed() => End::Failed(reason),
            () = self.engine.cluster().left() => End::Removed,
        }
    }

    /// Ends the server in order: gives leadership away, lets running calls finish for as long as
    /// [`Config::drain_timeout`] says, closes the data.
    pub async fn stop(mut self) {
        if matches!(*self.state.borrow(), State::Serving) {
            self.drain().await;
        }
        self.abort().await;
    }

    async fn drain(&mut self) {
        let has_failed = self.engine.has_failed();
        if !has_failed && !self.engine.cluster().has_left() {
            // Before clients are sent away, so that they find another leader at once.
            self.engine.cluster().transfer_leadership().await;
        }
        info!(name = self.config.name, "data-dir" = %self.config.data_dir.display(), "closing etcd server");
        if has_failed {
            // Calls that wait for a member that can't go on are answered before they are waited for.
            self.engine.stop().await;
        }
        self.services.stop();
        for serving in std::mem::take(&mut self.serving) {
            if let Err(error) = serving.await {
                error!(%error, "the server did not end in order");
            }
        }
    }

    /// Ends the server without waiting for calls: running ones fail. After that, and after [`Self::stop`], a server can
    /// be started on the same directory.
    pub async fn abort(self) {
        self.services.stop();
        self.peers_drain.begin();
        close(&self.config, &self.engine, &self.transport).await;
        // Calls have failed by now. Connections hold the engine, and with it the lock of the directory.
        self.services.drain().close();
        self.peers_drain.close();
        for serving in self.serving.into_iter().chain([self.serving_peers]) {
            // An error is a panic, which the panic hook has reported.
            let _ = serving.await;
        }
        // The tasks of the transport hold the engine until they are dropped.
        self.peers_runtime.end().await;
    }

    /// Puts those parts of a configuration in force that may change while the server runs: the quota
    /// ([`Storage::quota_bytes`](crate::Storage::quota_bytes)) and [`Config::warnings`]. The rest is not looked at. No
    /// call and no connection notices; a NOSPACE alarm that is raised stays.
    pub fn reload(&self, config: &Config) {
        let maintenance = self.engine.maintenance();
        maintenance.set_quota_bytes(settings::quota_bytes(config.storage.quota_bytes));
        maintenance.set_slow_apply(config.warnings.apply);
        self.services.set_slow_request(config.warnings.unary_request);
    }

    /// The engine of the member, for requests without a network.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The metrics of the server, which `/metrics` shows. Others may be added.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The addresses that are bound.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The URLs that clients reach the member at, as it advertises them.
    pub fn client_urls(&self) -> &[Url] {
        &self.config.advertise.client
    }
}

async fn close(config: &Config, engine: &Engine, transport: &PeerTransport) {
    engine.stop().await;
    transport.stop();
    info!(name = config.name, "data-dir" = %config.data_dir.display(), "closed etcd server");
}

/// The port for clients.
struct ClientPort {
    engine: Engine,
    services: Services,
    listeners: Listeners,
    config: ferretcd_listen::Config,
}

impl ClientPort {
    /// Serves clients from the time on when the member can, until the drain.
    async fn serve(self, state: watch::Sender<State>) {
        let drain = self.services.drain();
        let prepared = tokio::select! {
            prepared = prepare(&self.engine) => prepared,
            () = drain.begun() => return,
        };
        if let Err(error) = prepared {
            state.send_replace(State::Rejected(error));
            return;
        }
        // Before the log lines, so that whatever reads them finds the server ready.
        state.send_replace(State::Serving);
        self.listeners.announce();
        serve(self.listeners.endpoints(&self.services), self.config, drain).await;
    }
}

/// What comes before clients are served. Waits for a quorum, and for ever if the member can't go on.
async fn prepare(engine: &Engine) -> Result<(), StartError> {
    engine.check_at_start().await?;
    match engine.cluster().publish().await {
        Ok(()) => Ok(()),
        // `Engine::failed` and `Cluster::left` have the reason.
        Err(_) => std::future::pending().await,
    }
}
