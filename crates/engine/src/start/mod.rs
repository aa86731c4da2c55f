//! From a configuration and a directory to a running member.
//!
//! The order matters: the lock of the directory, the log, the state file, the raft node with what both say, and last
//! the threads that consume what the node hands out.

mod files;
mod node;
mod state_file;

use std::sync::Arc;
use std::time::Instant;

use ferretcd_base::Threshold;
use ferretcd_data_dir::Installer;
use prometheus::Registry;
use tokio::runtime::Handle;

use self::files::Files;
use crate::apply::apply_loop::ApplyLoop;
use crate::auth::tokens::Tokens;
use crate::budget::ResponseBudget;
use crate::channels::Channels;
use crate::controllers;
use crate::facets::Facets;
use crate::flusher::{Flusher, Pace};
use crate::lease::lessor::Lessor;
use crate::maintenance::StateFile;
use crate::maintenance::quota::Quota;
use crate::metrics::Metrics;
use crate::metrics::gauges::Gauges;
use crate::parts::Parts;
use crate::replies::Dispatcher;
use crate::rewriter::Rewriter;
use crate::shared::Shared;
use crate::spawn::spawn;
use crate::threads::Threads;
use crate::watch::threads::WatchThreads;
use crate::watch::watching::Watching;
use crate::{Config, Engine, MemberInfo, Peers, StartError};

impl Engine {
    /// Opens or creates the member's data and starts its threads. Blocks while the files are read: that grows
    /// with the number of keys and with the entries since the state file was written last. Must be called
    /// where tasks of `runtime` may be started. Metrics go into `registry`.
    pub fn start(
        config: Config,
        peers: Arc<dyn Peers>,
        registry: &Registry,
        runtime: &Handle,
    ) -> Result<Self, StartError> {
        let files = Files::open(&config)?;
        let metrics = Arc::new(Metrics::register(registry)?);
        let mut rewriter = Rewriter::new(
            files.backend.clone(),
            config.state().backend,
            config.paths(),
            Arc::clone(&metrics),
        );
        rewriter.at_start(config.defragment_at_start_bytes)?;
        let channels = channels(&config, &files, &peers, metrics, runtime);
        let Files { data_dir, recovered, backend, machine, position, wal, .. } = files;
        let shared = Arc::clone(&channels.shared);
        // Reads are made on any thread, and may be the only work of the member.
        backend.on_read_failure(move |error| shared.fail(error));
        let first_mark = recovered.snapshot.index;
        let node = node::start(&config, (wal, recovered), position, &peers, &channels)?;
        let handle = node.handle();

        let reader = machine.reader();
        let quota = Quota::new(config.effective_quota(), backend.clone(), reader.clone());
        let received = data_dir.received_snapshots();
        let installer = Installer::new(received.clone(), backend.clone(), config.state().backend);
        let flush =
            state_file::spawn_writer(&config, &backend, rewriter, &channels, handle.clone(), first_mark);
        let watches = WatchThreads::start(&reader, &channels);
        let apply =
            ApplyLoop::new(&config, machine, installer, handle.clone(), quota.clone(), channels.clone());
        let apply = spawn("apply", move || apply.run());
        let threads = Threads {
            node,
            inbox: Arc::clone(&channels.inbox),
            apply,
            watches,
            flusher: channels.flusher.clone(),
            flush,
        };

        let (shared, rounds) = (Arc::clone(&channels.shared), Arc::clone(&channels.read_rounds));
        let member = MemberInfo::new(config, shared, handle.clone(), rounds, reader.clone(), data_dir);
        let parts = Parts::new(handle, peers, channels, member);
        let state = StateFile { reader, backend, flusher: parts.channels.flusher.clone() };
        let facets = Facets::new(&parts, state, quota, received);
        let engine = Self::new(parts.channels.clone(), threads, facets);
        if let Err(error) = Gauges::register(&engine, registry) {
            engine.join_threads();
            return Err(error.into());
        }
        engine.set_controllers(controllers::start(engine.facets(), &parts, runtime));
        Ok(engine)
    }
}

fn channels(
    config: &Config,
    files: &Files,
    peers: &Arc<dyn Peers>,
    metrics: Arc<Metrics>,
    runtime: &Handle,
) -> Channels {
    let Files { machine, identity, contacts, position, .. } = files;
    let shared = Shared::new(*identity, machine, Arc::clone(peers), contacts.clone());
    let channels = Channels {
        inbox: Arc::default(),
        flusher: Flusher::new(Pace { interval: config.backend_interval, rows: config.backend_batch }),
        watching: Arc::new(Watching::new(metrics.watch_events.clone())),
        submissions: Arc::default(),
        waiters: Arc::default(),
        read_rounds: Arc::default(),
        quota_exceeded: Arc::default(),
        slow_apply: Threshold::new(config.slow_apply),
        lessor: Arc::new(Lessor::new(machine.lease_reader(), Instant::now())),
        rights: machine.auth_reader(),
        rights_changed: Arc::default(),
        tokens: Arc::new(Tokens::new(&config.tokens)),
        dispatcher: Dispatcher::start(runtime),
        budget: ResponseBudget::new(config.response_budget_bytes),
        shared: Arc::new(shared),
        metrics,
    };
    let _ = channels.read_rounds.applied(position.index);
    channels
}
