//! From a configuration and a directory to a running member.
//!
//! The order matters: the lock of the directory, the state file, the log, the consensus node with what both
//! say, and last the threads that consume what the node hands out.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use apply::{Applied, StateMachine};
use backend::{Backend, Batch};
use base::{ClusterId, MemberId};
use bytes::Bytes;
use membership::{Member, cluster_id, initial_member_id};
use parking_lot::Mutex;
use prometheus::Registry;
use raft_node::{Node, NodeHandle};
use wal::{Metadata, Recovered, SnapshotMark, Wal};

use crate::apply_loop::{ApplyLoop, Scrubber};
use crate::flusher::{Flushed, Flusher, Pace};
use crate::gate::ReadGate;
use crate::handle::Inner;
use crate::host::EngineHost;
use crate::ids::RequestIds;
use crate::inbox::Inbox;
use crate::lease::Lessor;
use crate::metrics::{Gauges, Metrics};
use crate::quota::Quota;
use crate::replies::Dispatcher;
use crate::shared::Shared;
use crate::submit::Submissions;
use crate::watch::{WatchThreads, Watching};
use crate::{Config, Engine, StartError, conf_state};

/// Size of a segment of the log; etcd's.
const SEGMENT_BYTES: u64 = 64_000_000;
/// Events that may wait for the consensus driver.
const NODE_INBOX_MAX: usize = 16 * 1024;
/// Committed entries that may be with the apply thread: twice of what makes new proposals be refused.
const UNAPPLIED_MAX: u64 = 10_000;
/// The largest message of entries between members, in bytes.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Messages of entries under way to one follower.
const INFLIGHT_MESSAGES_MAX: usize = 256;

/// The member's threads.
pub(crate) struct Threads {
    node: Node,
    inbox: Arc<Inbox>,
    apply: JoinHandle<()>,
    watches: WatchThreads,
    flusher: Flusher,
    flush: JoinHandle<()>,
}

impl Threads {
    /// Ends them in the order of the data's way, so that each finds everything of the one before.
    pub(crate) fn join(self) {
        self.node.stop();
        self.inbox.stop();
        let applied = self.apply.join();
        let watched = self.watches.join();
        self.flusher.stop();
        let flushed = self.flush.join();
        applied.and(watched).and(flushed).expect("the member's threads do not panic");
    }
}

/// The member as the directory and the configuration say.
struct Identity {
    member_id: MemberId,
    cluster_id: ClusterId,
}

impl Engine {
    /// Opens or creates the member's data and starts its threads. Blocks while the files are read: that grows
    /// with the number of keys and with the entries since the state file was written last. Must be called
    /// where tasks of `runtime` may be started. Metrics go into `registry`.
    pub fn start(
        config: Config,
        registry: &Registry,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, StartError> {
        let lock = lock_directory(&config)?;
        let (backend, machine) = open_state(&config)?;
        let applied = machine.applied().clone();
        let (wal, recovered, identity) = open_log(&config, &applied)?;
        check_positions(&applied, &recovered)?;

        let metrics = Arc::new(Metrics::register(registry)?);
        let shared = Arc::new(Shared::new(identity.member_id, identity.cluster_id, &machine));
        let gate = Arc::new(ReadGate::default());
        let _ = gate.applied(applied.index);
        let node_slot = Arc::new(Mutex::new(None));
        let host = Arc::new(EngineHost {
            inbox: Arc::default(),
            gate: Arc::clone(&gate),
            waiters: Arc::default(),
            lessor: Arc::new(Lessor::new(machine.lease_reader(), Instant::now())),
            dispatcher: Dispatcher::start(runtime),
            shared: Arc::clone(&shared),
            metrics: Arc::clone(&metrics),
            node: Arc::clone(&node_slot),
            last_leader: Mutex::new(MemberId::default()),
        });
        let first_mark = recovered.snapshot.index;
        let node = start_node(&config, wal, recovered, &applied, &identity, Arc::clone(&host))?;
        *node_slot.lock() = Some(node.handle());

        let reader = machine.reader();
        let quota = Quota::new(config.effective_quota(), backend.clone(), reader.clone());
        let flusher = Flusher::new(Pace { interval: config.backend_interval, rows: config.backend_batch });
        let handle = node.handle();
        let flush = spawn_flusher(&config, &flusher, &backend, &host, handle.clone(), first_mark);
        let watching = Arc::new(Watching::new(metrics.watch_events.clone()));
        let watches =
            WatchThreads::start(&watching, reader.clone(), host.dispatcher.clone(), Arc::clone(&shared));
        let apply = spawn_apply(&config, machine, &flusher, &quota, &watching, &host, handle.clone());
        let inbox = Arc::clone(&host.inbox);
        let threads = Threads { node, inbox, apply, watches, flusher: flusher.clone(), flush };
        let engine = Self(Arc::new(Inner {
            ids: RequestIds::new(identity.member_id, config.boot_unix_ms),
            config,
            node: handle,
            submissions: Submissions::default(),
            waiters: Arc::clone(&host.waiters),
            watching,
            lessor: Arc::clone(&host.lessor),
            gate,
            flusher,
            shared,
            reader,
            backend,
            quota,
            metrics,
            tasks: Mutex::default(),
            threads: Mutex::new(Some(threads)),
            _lock: lock,
        }));
        if let Err(error) = Gauges::register(&engine, registry) {
            if let Some(threads) = engine.0.threads.lock().take() {
                threads.join();
            }
            return Err(error.into());
        }
        engine.start_tasks(runtime);
        Ok(engine)
    }
}

fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> StartError + '_ {
    move |source| StartError::Io { path: path.to_owned(), source }
}

/// Creates the member's directory and keeps other processes out of it. Waits for one that is on its way out.
fn lock_directory(config: &Config) -> Result<File, StartError> {
    let directory = config.member_dir();
    DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(io_error(&directory))?;
    let foreign = directory.join("snap").join("db");
    if foreign.exists() {
        return Err(StartError::ForeignData { path: foreign });
    }
    let path = directory.join("LOCK");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {
            tracing::warn!(path = %path.display(), "db file is flocked by another process, or taking too long");
        }
        Err(TryLockError::Error(source)) => return Err(StartError::Io { path, source }),
    }
    file.lock().map_err(io_error(&path))?;
    Ok(file)
}

fn open_state(config: &Config) -> Result<(Backend, StateMachine), StartError> {
    let path = config.member_dir().join("state.redb");
    let started = Instant::now();
    let backend_config = backend::Config { cache_bytes: config.backend_cache_bytes };
    let backend = Backend::open(&path, &backend_config)
        .map_err(|source| StartError::Backend { path: path.clone(), source })?;
    let took = format!("{:?}", started.elapsed());
    tracing::info!(path = %path.display(), took, "opened backend db");
    let mut first_rows = Batch::default();
    let machine_config = apply::Config {
        mvcc: mvcc::Config { cache_bytes: config.row_cache_bytes },
        lease: lease::Config { ttl_min: config.lease_ttl_min() },
    };
    let machine = StateMachine::open(backend.clone(), &machine_config, &mut first_rows)?;
    if !first_rows.is_empty() {
        backend.commit(&first_rows)?;
    }
    Ok((backend, machine))
}

/// Opens the log, or creates it with the entries that a new cluster starts with.
fn open_log(config: &Config, applied: &Applied) -> Result<(Wal, Recovered, Identity), StartError> {
    let path = config.wal_path();
    let wal_error = |source| StartError::Wal { path: path.clone(), source };
    let wal_config = || wal::Config { segment_bytes: SEGMENT_BYTES, unsafe_no_fsync: config.unsafe_no_fsync };
    if !config.has_log() {
        if applied.index > 0 {
            return Err(StartError::LogBehind { applied: applied.index, last: 0 });
        }
        create_log(config, &path, wal_config())?;
    }
    let (mut wal, mut recovered) = Wal::open(&path, wal_config()).map_err(wal_error)?;
    let is_unborn = recovered.hard_state.commit == 0 && recovered.snapshot.index == 0 && applied.index == 0;
    if is_unborn {
        // Either just created, or a crash came between the creation and the first entries.
        let (_, member) = first_member(config)?;
        // The log's identity stays, should the settings be others than at its creation.
        let member = Member { id: MemberId(recovered.metadata.node_id), ..member };
        let context = Bytes::from(member.to_json());
        raft_node::bootstrap(&mut wal, &[(member.id, context)])?;
        drop(wal);
        (wal, recovered) = Wal::open(&path, wal_config()).map_err(wal_error)?;
    }
    let Metadata { node_id, cluster_id } = recovered.metadata;
    let identity = Identity { member_id: MemberId(node_id), cluster_id: ClusterId(cluster_id) };
    let (message, member, cluster) = (
        if is_unborn { "starting local member" } else { "restarting local member" },
        identity.member_id,
        identity.cluster_id,
    );
    tracing::info!("local-member-id" = %member, "cluster-id" = %cluster, "{message}");
    Ok((wal, recovered, identity))
}

fn create_log(config: &Config, path: &Path, wal_config: wal::Config) -> Result<(), StartError> {
    if !config.new_cluster {
        return Err(StartError::CannotJoin);
    }
    let (cluster_id, member) = first_member(config)?;
    let metadata = Metadata { node_id: member.id.0, cluster_id: cluster_id.0 };
    let wal = Wal::create(path, metadata, wal_config)
        .map_err(|source| StartError::Wal { path: path.to_owned(), source })?;
    drop(wal);
    Ok(())
}

/// The one member that a new cluster starts with, and the cluster's id.
fn first_member(config: &Config) -> Result<(ClusterId, Member), StartError> {
    let name = &config.name;
    let urls =
        config.initial_cluster.get(name).ok_or_else(|| StartError::NameMissing { name: name.clone() })?;
    if config.initial_cluster.len() > 1 {
        return Err(StartError::SeveralMembers { members: config.initial_cluster.len() });
    }
    let mut peer_urls = urls.clone();
    peer_urls.sort_unstable();
    let id = initial_member_id(&peer_urls, &config.cluster_token);
    let member = Member { id, peer_urls, name: name.clone(), ..Member::default() };
    Ok((cluster_id(&[id]), member))
}

/// The log must reach from the state file's position on.
fn check_positions(applied: &Applied, recovered: &Recovered) -> Result<(), StartError> {
    let first = recovered.snapshot.index;
    let last = recovered.entries.last().map_or(first, |entry| entry.index);
    if applied.index > last {
        return Err(StartError::LogBehind { applied: applied.index, last });
    }
    if applied.index < first {
        return Err(StartError::StateBehind { applied: applied.index, first });
    }
    Ok(())
}

fn start_node(
    config: &Config,
    wal: Wal,
    recovered: Recovered,
    applied: &Applied,
    identity: &Identity,
    host: Arc<EngineHost>,
) -> Result<Node, StartError> {
    let ticks = config.election.as_nanos() / config.heartbeat.as_nanos().max(1);
    let node_config = raft_node::Config {
        id: identity.member_id,
        heartbeat: config.heartbeat,
        election_ticks: usize::try_from(ticks).unwrap_or(usize::MAX),
        pre_vote: config.pre_vote,
        check_quorum: true,
        max_size_per_msg: MESSAGE_BYTES_MAX,
        max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
        catchup_entries: config.catchup_entries,
        unapplied_max: UNAPPLIED_MAX,
        inbox: NODE_INBOX_MAX,
        advance_ticks: config.advance_ticks,
    };
    let position = raft_node::Applied {
        index: applied.index,
        conf_state: conf_state::from_json(&applied.conf_state).map_err(StartError::ConfState)?,
    };
    let transport = Box::new(raft_node::NoPeers);
    Ok(Node::start(node_config, wal, recovered, position, transport, host)?)
}

fn spawn_flusher(
    config: &Config,
    flusher: &Flusher,
    backend: &Backend,
    host: &Arc<EngineHost>,
    node: NodeHandle,
    first_mark: u64,
) -> JoinHandle<()> {
    let (flusher, backend, host) = (flusher.clone(), backend.clone(), Arc::clone(host));
    // Zero means to keep all.
    let (snapshot_count, wals_max) = (
        config.snapshot_count,
        match config.wals_max {
            0 => usize::MAX,
            n => n,
        },
    );
    let mut marked = first_mark;
    let on_flushed = move |flushed: Flushed, host: &EngineHost| {
        host.metrics.backend_commit.observe(flushed.took.as_secs_f64());
        host.inbox.set_flushed(flushed.main);
        let Applied { index, term, conf_state } = flushed.applied;
        if index - marked > snapshot_count
            && let Ok(conf_state) = conf_state::from_json(&conf_state)
        {
            tracing::info!("local-member-applied-index" = index, "saved snapshot to disk");
            node.checkpoint(SnapshotMark { index, term, conf_state: Some(conf_state) }, wals_max);
            marked = index;
        }
    };
    spawn("state-file", move || {
        let mut on_flushed = on_flushed;
        let written = flusher.run(&backend, &host.dispatcher, |flushed| on_flushed(flushed, &host));
        if let Err(error) = written {
            host.shared.fail(&error);
        }
    })
}

fn spawn_apply(
    config: &Config,
    machine: StateMachine,
    flusher: &Flusher,
    quota: &Quota,
    watching: &Arc<Watching>,
    host: &EngineHost,
    node: NodeHandle,
) -> JoinHandle<()> {
    let now = Instant::now();
    let scrubber = Scrubber {
        batch: config.compaction_batch,
        pause: config.compaction_sleep,
        // A compaction that the last life did not finish goes on.
        next: Some(now),
        waiting: Vec::new(),
        started: now,
        is_waiting: false,
    };
    let apply = ApplyLoop {
        machine,
        inbox: Arc::clone(&host.inbox),
        flusher: flusher.clone(),
        node,
        shared: Arc::clone(&host.shared),
        waiters: Arc::clone(&host.waiters),
        watching: Arc::clone(watching),
        lessor: Arc::clone(&host.lessor),
        gate: Arc::clone(&host.gate),
        dispatcher: host.dispatcher.clone(),
        quota: quota.clone(),
        metrics: Arc::clone(&host.metrics),
        slow_apply: config.slow_apply,
        scrubber,
    };
    spawn("apply", move || apply.run())
}

pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system can start a thread")
}
