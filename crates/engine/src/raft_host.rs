//! Events of the raft node, passed on to the parts of the member that they concern.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ferretcd_base::MemberId;
use ferretcd_raft_node::{Committed, Host, NodeHandle, Persisted, ReadToken, Role, Status};
use ferretcd_wal::SnapshotMark;
use parking_lot::Mutex;

use crate::RequestError;
use crate::channels::Channels;
use crate::replies::Replies;

/// A sync of the log that takes longer is logged.
const SLOW_SYNC: Duration = Duration::from_secs(1);

/// Called on the node's threads, about reads also on threads that receive; never waits.
pub(crate) struct RaftHost {
    channels: Channels,
    /// Set once, right after the node has started.
    node: OnceLock<NodeHandle>,
    last_leader: Mutex<MemberId>,
}

impl RaftHost {
    pub(crate) fn new(channels: Channels) -> Self {
        Self { channels, node: OnceLock::new(), last_leader: Mutex::new(MemberId::default()) }
    }

    pub(crate) fn set_node(&self, node: NodeHandle) {
        self.node.set(node).expect("it is set once");
    }

    /// Requests the index of a round of reads.
    fn request_read_index(&self, token: ReadToken) {
        if let Some(node) = self.node.get() {
            // A rejected request is retried at the next sweep.
            let _ = node.read_index(token);
        }
    }
}

impl Host for RaftHost {
    fn committed(&self, entries: Vec<Committed>) {
        self.channels.inbox.add_entries(entries);
    }

    fn install(&self, mark: SnapshotMark) {
        self.channels.inbox.install(mark);
    }

    fn read_ready(&self, token: ReadToken, index: u64) {
        let released = self.channels.read_rounds.confirmed(token, index);
        if !released.reads.is_empty() {
            self.channels.dispatcher.send(Replies::Reads(released.reads));
        }
        if released.has_next {
            self.channels.submissions.wake();
        }
    }

    fn proposals_dropped(&self, ids: Vec<u64>) {
        self.channels.metrics.proposals_failed.inc_by(ids.len() as u64);
        let dropped = ids.into_iter().filter_map(|id| self.channels.waiters.take(id));
        let replies = dropped.map(|to| (to, Err(RequestError::Dropped))).collect();
        self.channels.dispatcher.send(Replies::Proposals(replies));
    }

    fn role_changed(&self, status: &Status) {
        let term = (status.role == Role::Leader).then_some(status.term);
        self.channels.shared.leading.send_if_modified(|leading| std::mem::replace(leading, term) != term);
        let leader = status.leader;
        let mut last = self.last_leader.lock();
        if leader == *last {
            return;
        }
        if *last != MemberId::default() {
            *self.channels.shared.leader_lost.lock() = Some(Instant::now());
            // The lost leader will not respond any more. The core keeps the request until it knows the next one.
            if let Some(token) = self.channels.read_rounds.retry(Instant::now(), Duration::ZERO) {
                self.request_read_index(token);
            }
        }
        if leader != MemberId::default() {
            self.channels.metrics.leader_changes.inc();
        }
        *last = leader;
    }

    fn persisted(&self, report: &Persisted) {
        self.channels.metrics.wal_sync.observe(report.sync.as_secs_f64());
        self.channels.metrics.wal_write.observe(report.write.as_secs_f64());
        self.channels.metrics.wal_written.add(report.bytes as i64);
        if report.sync >= SLOW_SYNC {
            let (took, expected) = (format!("{:?}", report.sync), format!("{SLOW_SYNC:?}"));
            tracing::warn!(took, "expected-duration" = expected, "slow fdatasync");
        }
    }

    fn failed(&self, error: &ferretcd_raft_node::Error) {
        self.channels.shared.fail(error);
    }
}
