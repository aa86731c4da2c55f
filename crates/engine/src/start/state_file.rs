//! The thread `state-file`, which writes the state file and rewrites it.

use std::thread::JoinHandle;

use ferretcd_apply::Applied;
use ferretcd_backend::Backend;
use ferretcd_base::LogPosition;
use ferretcd_raft_node::NodeHandle;
use ferretcd_wal::SnapshotMark;

use crate::channels::Channels;
use crate::flusher::Flushed;
use crate::rewriter::Rewriter;
use crate::spawn::spawn;
use crate::{Config, conf_state};

/// By how much the thread yields to threads that serve requests, where there are fewer processors than busy threads.
/// Linux still gives it a quarter of a processor that one other thread wants.
const NICENESS: i32 = 5;

/// What the thread does after each commit.
struct AfterCommit {
    channels: Channels,
    node: NodeHandle,
    /// The index of the last mark in the log.
    marked: u64,
    /// Entries between two marks at most, and their bytes.
    snapshot_count: u64,
    snapshot_bytes: u64,
    /// Bytes of entries since the last mark.
    unmarked_bytes: u64,
    wals_max: usize,
}

/// Starts the thread. `first_mark` is the mark that the log begins with.
pub(super) fn spawn_writer(
    config: &Config,
    backend: &Backend,
    mut rewriter: Rewriter,
    channels: &Channels,
    node: NodeHandle,
    first_mark: u64,
) -> JoinHandle<()> {
    let (channels, backend) = (channels.clone(), backend.clone());
    let mut after_commit = AfterCommit {
        channels: channels.clone(),
        node,
        marked: first_mark,
        snapshot_count: config.snapshot_count,
        snapshot_bytes: config.snapshot_bytes,
        unmarked_bytes: 0,
        // Zero means to keep all.
        wals_max: if config.wals_max == 0 { usize::MAX } else { config.wals_max },
    };
    spawn("state-file", move || {
        // On Linux the niceness is a thread's own. If the system rejects it, all threads are equal.
        let _ = rustix::process::nice(NICENESS);
        let Channels { flusher, dispatcher, shared, .. } = &channels;
        if let Err(error) =
            flusher.run(&backend, &mut rewriter, dispatcher, |flushed| after_commit.run(flushed))
        {
            shared.fail(&error);
        }
    })
}

impl AfterCommit {
    fn run(&mut self, flushed: Flushed) {
        self.channels.metrics.backend_commit.observe(flushed.took.as_secs_f64());
        self.channels.inbox.set_flushed(flushed.main);
        let Applied { position: LogPosition { index, term }, conf_state } = flushed.applied;
        self.unmarked_bytes += flushed.entry_bytes;
        let is_due = index - self.marked > self.snapshot_count || self.unmarked_bytes > self.snapshot_bytes;
        if is_due && let Ok(conf_state) = conf_state::from_json(&conf_state) {
            tracing::info!("local-member-applied-index" = index, "saved snapshot to disk");
            let mark = SnapshotMark { index, term, conf_state: Some(conf_state) };
            self.node.checkpoint(mark, self.wals_max);
            (self.marked, self.unmarked_bytes) = (index, 0);
        }
    }
}
