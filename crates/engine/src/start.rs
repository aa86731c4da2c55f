//! From a configuration and a directory to a running member.
//!
//! The order matters: the lock of the directory, the state file, the log, the consensus node with what both
//! say, and last the threads that consume what the node hands out.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferretcd_apply::{Applied, StateMachine};
use ferretcd_backend::Backend;
use ferretcd_base::{ClusterId, LogPosition, MemberId};
use ferretcd_data_dir::{DataDir, Installer};
use ferretcd_membership::Change;
use ferretcd_raft_node::{Node, NodeHandle};
use ferretcd_wal::{Recovered, SnapshotMark, Wal};
use parking_lot::Mutex;
use prometheus::Registry;

use crate::apply_loop::{ApplyLoop, Scrubber};
use crate::flusher::{Flushed, Flusher, Pace};
use crate::handle::Inner;
use crate::host::EngineHost;
use crate::ids::RequestIds;
use crate::inbox::Inbox;
use crate::lease::Lessor;
use crate::metrics::{Gauges, Metrics};
use crate::quota::Quota;
use crate::raft_transport::RaftTransport;
use crate::refetch::Fence;
use crate::replies::{Dispatcher, ReadRounds};
use crate::shared::Shared;
use crate::tasks::SWEEP_INTERVAL;
use crate::watch::{WatchThreads, Watching};
use crate::{Config, Engine, Peers, StartError, conf_state};

/// By how much the thread that writes the state file stands back for those that answer requests, where there are fewer
/// processors than busy threads. Linux still gives it a quarter of a processor that one other thread wants.
const STATE_FILE_NICENESS: i32 = 5;
/// Events that may wait for the consensus driver.
const NODE_INBOX_MAX: usize = 16 * 1024;
/// Committed entries that may be with the apply thread: twice of what makes new proposals be refused.
const UNAPPLIED_MAX: u64 = 10_000;
/// The largest message of entries between members, in bytes.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Bytes of applied entries that are kept in memory for followers that lag; beyond, they get the whole state.
const CATCHUP_BYTES: u64 = 256 << 20;
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

impl Engine {
    /// Opens or creates the member's data and starts its threads. Blocks while the files are read: that grows
    /// with the number of keys and with the entries since the state file was written last. Must be called
    /// where tasks of `runtime` may be started. Metrics go into `registry`.
    pub fn start(
        config: Config,
        peers: Arc<dyn Peers>,
        registry: &Registry,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, StartError> {
        let data_dir = DataDir::lock(config.paths(), config.unsafe_no_fsync)?;
        let contacts = if config.has_log() { Vec::new() } else { config.bootstrap.members() };
        let (mut wal, mut recovered, identity) = data_dir.open_log(&config.name, &config.bootstrap)?;
        let (backend, machine) = data_dir.open_state(&recovered, &config.state())?;
        let position = position(machine.applied())?;
        if config.force_new_cluster {
            go_on_alone(&mut wal, &mut recovered, &position)?;
        }

        let metrics = Arc::new(Metrics::register(registry)?);
        let shared = Arc::new(Shared::new(identity, &machine, Arc::clone(&peers), contacts));
        let read_rounds = Arc::new(ReadRounds::default());
        let _ = read_rounds.applied(position.index);
        let node_slot = Arc::new(Mutex::new(None));
        let host = Arc::new(EngineHost {
            inbox: Arc::default(),
            read_rounds: Arc::clone(&read_rounds),
            waiters: Arc::default(),
            submissions: Arc::default(),
            lessor: Arc::new(Lessor::new(machine.lease_reader(), Instant::now())),
            dispatcher: Dispatcher::start(runtime),
            shared: Arc::clone(&shared),
            metrics: Arc::clone(&metrics),
            node: Arc::clone(&node_slot),
            last_leader: Mutex::new(MemberId::default()),
        });
        let first_mark = recovered.snapshot.index;
        let node =
            start_node(&config, (wal, recovered), position, identity.member_id, peers, Arc::clone(&host))?;
        *node_slot.lock() = Some(node.handle());

        let reader = machine.reader();
        let quota = Quota::new(config.effective_quota(), backend.clone(), reader.clone());
        let flusher = Flusher::new(Pace { interval: config.backend_interval, rows: config.backend_batch });
        let handle = node.handle();
        let flush = spawn_flusher(&config, &flusher, &backend, &host, handle.clone(), first_mark);
        let watching = Arc::new(Watching::new(metrics.watch_events.clone()));
        let watches =
            WatchThreads::start(&watching, reader.clone(), host.dispatcher.clone(), Arc::clone(&shared));
        let received = data_dir.received_snapshots();
        let installer = Installer::new(received.clone(), backend.clone(), config.state().backend);
        let apply =
            spawn_apply(&config, (machine, installer), &flusher, &quota, &watching, &host, handle.clone());
        let inbox = Arc::clone(&host.inbox);
        let threads =
            Threads { node, inbox: Arc::clone(&inbox), apply, watches, flusher: flusher.clone(), flush };
        let engine = Self(Arc::new(Inner {
            ids: RequestIds::new(identity.member_id, config.boot_unix_ms),
            config,
            node: handle,
            submissions: Arc::clone(&host.submissions),
            waiters: Arc::clone(&host.waiters),
            watching,
            lessor: Arc::clone(&host.lessor),
            read_rounds,
            flusher,
            shared,
            reader,
            backend,
            received,
            inbox,
            quota,
            metrics,
            tasks: Mutex::default(),
            threads: Mutex::new(Some(threads)),
            _data_dir: data_dir,
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

/// Where the consensus core goes on from.
fn position(applied: &Applied) -> Result<ferretcd_raft_node::Applied, StartError> {
    let conf_state = conf_state::from_json(&applied.conf_state).map_err(StartError::ConfState)?;
    Ok(ferretcd_raft_node::Applied { index: applied.position.index, conf_state })
}

/// Takes the others out of the cluster.
fn go_on_alone(
    wal: &mut Wal,
    recovered: &mut Recovered,
    position: &ferretcd_raft_node::Applied,
) -> Result<(), StartError> {
    let (id, cluster) = (MemberId(recovered.metadata.node_id), ClusterId(recovered.metadata.cluster_id));
    tracing::warn!("local-member-id" = %id, "cluster-id" = %cluster, "forcing restart member");
    let promotion = Change::Promote(id).to_context().into();
    ferretcd_raft_node::force_new_cluster(wal, recovered, position, promotion)?;
    Ok(())
}

fn ticks_in(time: Duration, tick: Duration) -> u64 {
    u64::try_from(time.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u64::MAX)
}

fn start_node(
    config: &Config,
    (wal, recovered): (Wal, Recovered),
    position: ferretcd_raft_node::Applied,
    id: MemberId,
    peers: Arc<dyn Peers>,
    host: Arc<EngineHost>,
) -> Result<Node, StartError> {
    let node_config = ferretcd_raft_node::Config {
        id,
        heartbeat: config.heartbeat,
        election_ticks: usize::try_from(ticks_in(config.election, config.heartbeat)).unwrap_or(usize::MAX),
        pre_vote: config.pre_vote,
        check_quorum: true,
        max_size_per_msg: MESSAGE_BYTES_MAX,
        max_inflight_msgs: INFLIGHT_MESSAGES_MAX,
        catchup_entries: config.catchup_entries,
        catchup_bytes: CATCHUP_BYTES,
        unapplied_max: UNAPPLIED_MAX,
        inbox: NODE_INBOX_MAX,
        // The request is given up before.
        proposal_ticks: ticks_in(config.request_timeout() + SWEEP_INTERVAL, config.heartbeat),
        advance_ticks: config.advance_ticks,
    };
    let transport =
        Arc::new(RaftTransport::new(peers, config.heartbeat, host.metrics.late_heartbeats.clone()));
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
        let Applied { position: LogPosition { index, term }, conf_state } = flushed.applied;
        if index - marked > snapshot_count
            && let Ok(conf_state) = conf_state::from_json(&conf_state)
        {
            tracing::info!("local-member-applied-index" = index, "saved snapshot to disk");
            node.checkpoint(SnapshotMark { index, term, conf_state: Some(conf_state) }, wals_max);
            marked = index;
        }
    };
    spawn("state-file", move || {
        // On Linux this is a thread's own. If it is refused, all threads are equal.
        let _ = rustix::process::nice(STATE_FILE_NICENESS);
        let mut on_flushed = on_flushed;
        let written = flusher.run(&backend, &host.dispatcher, |flushed| on_flushed(flushed, &host));
        if let Err(error) = written {
            host.shared.fail(&error);
        }
    })
}

fn spawn_apply(
    config: &Config,
    (machine, installer): (StateMachine, Installer),
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
        installer,
        fence: Fence::default(),
        inbox: Arc::clone(&host.inbox),
        flusher: flusher.clone(),
        node,
        shared: Arc::clone(&host.shared),
        waiters: Arc::clone(&host.waiters),
        watching: Arc::clone(watching),
        lessor: Arc::clone(&host.lessor),
        read_rounds: Arc::clone(&host.read_rounds),
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
