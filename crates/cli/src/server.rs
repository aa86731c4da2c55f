//! Running a member: bind, open, compose, serve, drain.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferretcd_data_dir::Contents;
use ferretcd_engine::{Bootstrap, CorruptionChecks, Engine, explain};
use ferretcd_grpc_server::{Exposure, Server};
use ferretcd_listen::{Drain, serve};
use ferretcd_tls::CertificateError;
use ferretcd_transport::{Connect, PeerServer, PeerTransport};
use prometheus::Registry;
use tracing::{error, info};

use crate::config::{AutoCompaction, BootstrapError, Config, Url};
use crate::founders::{find_names, find_registered};
use crate::join::{JoinError, bootstrap};
use crate::lifecycle::{ExitSignal, FD_RESERVED, ShutdownSignals, notify_ready, raise_fd_limit};
use crate::listeners::{ListenError, Listeners};
use crate::log_start;
use crate::peers::{serve_peers, transport_config};
use crate::secure::Secured;

/// How long calls may go on after the member was told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end waits for threads that read or write files for others.
const STRAGGLERS_TIMEOUT: Duration = Duration::from_secs(1);
/// How many tasks a worker runs before it looks at what others have queued for it. With a thousand calls under way
/// its own queue overflows into that one, and at tokio's default the overflow waits a tenth of a second.
const GLOBAL_QUEUE_TICKS: u32 = 8;
/// How many tasks a worker runs before it looks at the sockets.
const EVENT_TICKS: u32 = 31;
/// Threads that read large ranges at the same time. More would not read faster, but hold more answers in memory.
const BLOCKING_THREADS_MAX: usize = 16;
/// Longer than any process lives, and still to be added to a point in time.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// Pages of the state file that are kept in memory, in bytes.
const BACKEND_CACHE_BYTES: usize = 32 << 20;
/// Rows that are kept in memory above the state file, in bytes.
const ROW_CACHE_BYTES: usize = 64 << 20;

/// Why a member did not run, or not to its end.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Tls(#[from] CertificateError),
    #[error("start the runtime: {0}")]
    Runtime(io::Error),
    #[error("catch signals: {0}")]
    Signals(io::Error),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error(transparent)]
    Discovery(#[from] ferretcd_discovery::Error),
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Start(#[from] ferretcd_engine::StartError),
    #[error("register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("{0}")]
    Failed(String),
}

/// How a member ends in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It was told to.
    Signal(ExitSignal),
    /// Its cluster has removed it.
    Removed,
}

/// Runs a member until it is told to stop; returns the exit status.
pub fn run(config: Config) -> ExitCode {
    if let Err(error) = raise_fd_limit() {
        error!(level = "fatal", limit = error.limit, "recommended-limit" = FD_RESERVED, "{error}");
        return ExitCode::FAILURE;
    }
    let found = match Contents::identify(&config.data_dir) {
        Ok(found) => found,
        Err(error) => {
            error!(level = "fatal", %error, "failed to use the data directory");
            return ExitCode::FAILURE;
        }
    };
    let message = match found {
        Contents::Empty => "Initialize and start etcd server",
        Contents::Member => "server has already been initialized",
    };
    info!("data-dir" = %config.data_dir.display(), "dir-type" = found.as_str(), "{message}");
    let engine_config = engine_config(&config);
    log_start(&config, engine_config.has_log());
    match run_member(config, engine_config) {
        Ok(End::Signal(signal)) => signal.end_process(),
        Ok(End::Removed) => ExitCode::SUCCESS,
        Err(error @ RunError::Failed(_)) => {
            error!(level = "fatal", error = explain(&error), "etcd server failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            error!(level = "fatal", error = explain(&error), "failed to start etcd server");
            ExitCode::FAILURE
        }
    }
}

fn run_member(mut config: Config, mut engine_config: ferretcd_engine::Config) -> Result<End, RunError> {
    // May wait for the name service, so before signals are caught: until then they end the process at once.
    if !engine_config.has_log() {
        find_names(&mut config)?;
        config.check_bootstrap()?;
    }
    let secured = Secured::load(&config)?;
    // One core is left to the threads that order, log and apply.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = config.worker_threads.unwrap_or_else(|| cores.saturating_sub(1).max(1));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("rim")
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .global_queue_interval(GLOBAL_QUEUE_TICKS)
        .event_interval(EVENT_TICKS)
        .enable_all()
        .build()
        .map_err(RunError::Runtime)?;
    let end = runtime.block_on(async {
        let mut signals = ShutdownSignals::install().map_err(RunError::Signals)?;
        let listeners = Listeners::bind(&config.listen, &secured)?;
        let registry = Registry::new();
        let network = transport_config(&config, secured.dial.clone());
        if !engine_config.has_log() {
            engine_config.bootstrap = tokio::select! {
                found = begin(&mut config, Arc::clone(&network.connect)) => found?,
                signal = signals.recv() => {
                    info!(signal = signal.name(), "received signal; shutting down");
                    return Ok(End::Signal(signal));
                }
            };
        }
        let transport = PeerTransport::register(network, &registry, runtime.handle())?;
        let engine = Engine::start(engine_config, Arc::new(transport.clone()), &registry, runtime.handle())?;
        transport.attach(Arc::new(engine.clone()));
        let end = serve_member(&config, listeners, &engine, &transport, &registry, &mut signals).await;
        engine.stop().await;
        transport.stop();
        info!(name = config.name, "data-dir" = %config.data_dir.display(), "closed etcd server");
        end
    });
    // A state on its way from or to another member is of no use any more, and may take long.
    runtime.shutdown_timeout(STRAGGLERS_TIMEOUT);
    end
}

/// What a member without a log begins with. May wait for others.
async fn begin(config: &mut Config, connect: Arc<dyn Connect>) -> Result<Bootstrap, RunError> {
    find_registered(config).await?;
    Ok(bootstrap(config, founders(config), connect).await?)
}

/// Serves until a signal comes or the member fails.
async fn serve_member(
    config: &Config,
    mut listeners: Listeners,
    engine: &Engine,
    transport: &PeerTransport,
    registry: &Registry,
    signals: &mut ShutdownSignals,
) -> Result<End, RunError> {
    let server = Server::new(engine, server_config(config), pages_config(config, engine), registry)?;
    // The others are served at once: without them there may be no leader, and so nothing to serve to clients.
    let peer_server = PeerServer::new(transport.clone(), server.exposing(Exposure::Peers));
    let peers_drain = Drain::new();
    tokio::spawn(serve_peers(listeners.take_peers(), peer_server, peers_drain.clone()));
    let end = serve_clients(config, listeners, engine, &server, signals).await;
    server.stop();
    peers_drain.begin();
    end
}

/// Serves clients until a signal comes or the member fails.
async fn serve_clients(
    config: &Config,
    mut listeners: Listeners,
    engine: &Engine,
    server: &Server,
    signals: &mut ShutdownSignals,
) -> Result<End, RunError> {
    let serve = |endpoints| tokio::spawn(serve(endpoints, port_config(config), server.drain()));
    // Probes are answered from the start as well: a member that takes long to join must not be taken for dead.
    let serving_metrics = serve(listeners.take_metrics(server));
    tokio::select! {
        checked = prepare(engine) => checked?,
        reason = engine.failed() => return Err(RunError::Failed(reason)),
        () = engine.left() => return Ok(End::Removed),
        signal = signals.recv() => {
            info!(signal = signal.name(), "received signal; shutting down");
            return Ok(End::Signal(signal));
        }
    }
    listeners.announce();
    let serving = serve(listeners.endpoints(server));
    notify_ready();
    let result = tokio::select! {
        signal = signals.recv() => {
            info!(signal = signal.name(), "received signal; shutting down");
            // Before clients are sent away, so that they find another leader at once.
            engine.transfer_leadership().await;
            Ok(End::Signal(signal))
        }
        () = engine.left() => Ok(End::Removed),
        reason = engine.failed() => Err(RunError::Failed(reason)),
    };
    info!(name = config.name, "data-dir" = %config.data_dir.display(), "closing etcd server");
    if result.is_err() {
        // Calls that wait for a member that cannot go on are answered before they are waited for.
        engine.stop().await;
    }
    server.stop();
    for serving in [serving, serving_metrics] {
        if let Err(error) = serving.await {
            error!(%error, "the server did not end in order");
        }
    }
    result
}

/// What comes before clients are served. Waits for a quorum, and for ever if the member cannot go on.
async fn prepare(engine: &Engine) -> Result<(), RunError> {
    engine.check_at_start().await?;
    match engine.publish().await {
        Ok(()) => Ok(()),
        // Why it has stopped is told elsewhere.
        Err(_) => std::future::pending().await,
    }
}

/// All founders of the initial cluster.
fn founders(config: &Config) -> Bootstrap {
    let texts = |urls: &[Url]| urls.iter().map(|url| url.as_str().to_owned()).collect::<Vec<_>>();
    let members = config.cluster.initial_cluster.iter();
    Bootstrap::New {
        initial_cluster: members.map(|(name, urls)| (name.clone(), texts(urls))).collect(),
        token: config.cluster.token.clone(),
    }
}

fn engine_config(config: &Config) -> ferretcd_engine::Config {
    let texts = |urls: &[Url]| urls.iter().map(|url| url.as_str().to_owned()).collect::<Vec<_>>();
    ferretcd_engine::Config {
        name: config.name.clone(),
        data_dir: config.data_dir.clone(),
        wal_dir: config.wal_dir.clone(),
        client_urls: texts(&config.advertise.client),
        bootstrap: founders(config),
        force_new_cluster: config.cluster.force_new,
        strict_reconfig: config.cluster.strict_reconfig_check,
        learners_max: config.cluster.learners_max,
        heartbeat: config.raft.heartbeat_interval,
        election: config.raft.election_timeout,
        pre_vote: config.cluster.pre_vote,
        advance_ticks: config.raft.initial_election_tick_advance,
        snapshot_count: config.storage.snapshot_count,
        catchup_entries: config.storage.snapshot_catchup_entries,
        wals_max: usize::try_from(config.storage.max_wals).unwrap_or(usize::MAX),
        request_bytes_max: config.limits.request_bytes_max,
        quota_bytes: config.storage.quota_bytes.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        backend_interval: config.storage.batch_interval,
        backend_batch: config.storage.batch_limit,
        backend_cache_bytes: BACKEND_CACHE_BYTES,
        row_cache_bytes: ROW_CACHE_BYTES,
        compaction_batch: config.compaction.batch_limit,
        compaction_sleep: config.compaction.sleep_interval,
        lease_checkpoint: config.feature_gates.is_enabled("LeaseCheckpoint"),
        auto_compaction: match config.compaction.auto {
            AutoCompaction::Off => ferretcd_engine::AutoCompaction::Off,
            AutoCompaction::Periodic(retention) => ferretcd_engine::AutoCompaction::Periodic(retention),
            AutoCompaction::Revision(count) => {
                ferretcd_engine::AutoCompaction::Revision(i64::try_from(count).unwrap_or(i64::MAX))
            }
        },
        corruption_checks: CorruptionChecks {
            at_start: config.feature_gates.is_enabled("InitialCorruptCheck"),
            periodic: config.corrupt_check_interval,
            compactions: config
                .feature_gates
                .is_enabled("CompactHashCheck")
                .then_some(config.compact_hash_check_interval),
        },
        refetch_corrupt: config.refetch_corrupt_data,
        slow_apply: config.warnings.apply,
        unsafe_no_fsync: config.storage.unsafe_no_fsync,
        boot_unix_ms: unix_ms(),
    }
}

#[expect(clippy::disallowed_methods, reason = "the program's edge is where the time of day comes in")]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn server_config(config: &Config) -> ferretcd_grpc_server::Config {
    ferretcd_grpc_server::Config {
        request_bytes_max: config.limits.request_bytes_max,
        txn_ops_max: config.limits.txn_ops_max,
        watch_progress_interval: config.watch_progress_interval,
        slow_request: config.warnings.unary_request,
        extensive_metrics: config.http.extensive_metrics,
    }
}

fn port_config(config: &Config) -> ferretcd_listen::Config {
    ferretcd_listen::Config {
        concurrent_streams_max: config.limits.concurrent_streams_max,
        keepalive_interval: config.limits.keepalive_interval,
        keepalive_timeout: config.limits.keepalive_timeout.unwrap_or(NEVER),
        drain_timeout: DRAIN_TIMEOUT,
    }
}

fn pages_config(config: &Config, engine: &Engine) -> ferretcd_http_pages::Config {
    ferretcd_http_pages::Config {
        cors: config.http.cors.clone(),
        host_whitelist: config.http.host_whitelist.clone(),
        read_timeout: engine.config().request_timeout(),
    }
}
