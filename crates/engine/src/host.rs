//! What the consensus node tells the member, passed on to those whom it concerns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferretcd_base::MemberId;
use ferretcd_raft_node::{Committed, Host, NodeHandle, Persisted, ReadToken, Role, Status};
use ferretcd_wal::SnapshotMark;
use parking_lot::Mutex;

use crate::RequestError;
use crate::inbox::Inbox;
use crate::lease::Lessor;
use crate::metrics::Metrics;
use crate::replies::{Dispatcher, ReadRounds, Replies};
use crate::shared::Shared;
use crate::submit::Submissions;
use crate::waiters::Waiters;

/// A sync of the log that takes longer is logged.
const SLOW_SYNC: Duration = Duration::from_secs(1);

/// Called on the node's threads, about reads also on those that receive; never waits.
pub(crate) struct EngineHost {
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) read_rounds: Arc<ReadRounds>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) submissions: Arc<Submissions>,
    pub(crate) lessor: Arc<Lessor>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
    /// Set once, right after the node has started.
    pub(crate) node: Arc<Mutex<Option<NodeHandle>>>,
    pub(crate) last_leader: Mutex<MemberId>,
}

impl EngineHost {
    /// Asks for the index of a round of reads.
    fn ask(&self, token: ReadToken) {
        let node = self.node.lock().clone();
        if let Some(node) = node {
            // A refusal is made up for when the round is asked again.
            let _ = node.read_index(token);
        }
    }
}

impl Host for EngineHost {
    fn committed(&self, entries: Vec<Committed>) {
        self.inbox.add_entries(entries);
    }

    fn install(&self, mark: SnapshotMark) {
        self.inbox.install(mark);
    }

    fn read_ready(&self, token: ReadToken, index: u64) {
        let released = self.read_rounds.confirmed(token, index);
        if !released.reads.is_empty() {
            self.dispatcher.send(Replies::Reads(released.reads));
        }
        if released.has_next {
            self.submissions.wake();
        }
    }

    fn proposals_dropped(&self, ids: Vec<u64>) {
        self.metrics.proposals_failed.inc_by(ids.len() as u64);
        let dropped = ids.into_iter().filter_map(|id| self.waiters.take(id));
        let replies = dropped.map(|to| (to, Err(RequestError::Dropped))).collect();
        self.dispatcher.send(Replies::Proposals(replies));
    }

    fn role_changed(&self, status: &Status) {
        let term = (status.role == Role::Leader).then_some(status.term);
        self.shared.leading.send_if_modified(|leading| std::mem::replace(leading, term) != term);
        let leader = status.leader;
        let mut last = self.last_leader.lock();
        if leader == *last {
            return;
        }
        if *last != MemberId::default() {
            *self.shared.leader_lost.lock() = Some(Instant::now());
            // The leader that was asked will not answer any more. The core keeps the question until it knows the next.
            if let Some(token) = self.read_rounds.retry(Instant::now(), Duration::ZERO) {
                self.ask(token);
            }
        }
        if leader != MemberId::default() {
            self.metrics.leader_changes.inc();
        }
        *last = leader;
    }

    fn persisted(&self, report: &Persisted) {
        self.metrics.wal_sync.observe(report.sync.as_secs_f64());
        self.metrics.wal_write.observe(report.write.as_secs_f64());
        self.metrics.wal_written.add(report.bytes as i64);
        if report.sync >= SLOW_SYNC {
            let (took, expected) = (format!("{:?}", report.sync), format!("{SLOW_SYNC:?}"));
            tracing::warn!(took, "expected-duration" = expected, "slow fdatasync");
        }
    }

    fn failed(&self, error: &ferretcd_raft_node::Error) {
        self.shared.fail(error);
    }
}
