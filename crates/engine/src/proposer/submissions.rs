//! Requests on their way from the runtime to the raft driver, a turn's worth at a time.
//!
//! Each request that reaches the driver by itself would wake its thread, and on a busy core that is a switch
//! to it and back for every request. So requests gather here, and one task hands them over together when the
//! runtime has nothing else to run: by then every request that came in with the same reads from the sockets
//! is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ferretcd_raft_node::{NodeHandle, Proposal};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::waiters::Waiters;
use crate::RequestError;
use crate::replies::ReadRounds;

/// Requests that have not been handed over. Bounded by the requests that clients have under way, each of
/// which waits for its outcome.
#[derive(Debug, Default)]
pub(crate) struct Submissions {
    proposals: Mutex<Vec<Proposal>>,
    /// Whether the task has been woken for what waits.
    is_notified: AtomicBool,
    notify: Notify,
}

impl Submissions {
    pub(crate) fn propose(&self, proposal: Proposal) {
        self.proposals.lock().push(proposal);
        self.wake();
    }

    /// Makes sure that the task looks at what waits, here and among the reads.
    pub(crate) fn wake(&self) {
        if !self.is_notified.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    /// The task's work: hands over what gathered, for ever. Rejected proposals go to `rejected`; a rejected request for
    /// a read index is made again by the next sweep.
    pub(crate) async fn run(
        &self,
        node: &NodeHandle,
        rounds: &ReadRounds,
        waiters: &Waiters,
        rejected: impl Fn(u64, RequestError),
    ) {
        loop {
            self.notify.notified().await;
            // Behind everything that is ready to run, unless only one request is under way.
            if waiters.len() + rounds.n_waiting() > 1 {
                tokio::task::yield_now().await;
            }
            self.is_notified.store(false, Ordering::Release);
            if let Some(token) = rounds.begin_round(Instant::now()) {
                let _ = node.read_index(token);
            }
            let mut proposals = std::mem::take(&mut *self.proposals.lock());
            if !proposals.is_empty()
                && let Err(reason) = node.propose_all(&mut proposals)
            {
                proposals.into_iter().for_each(|proposal| rejected(proposal.token, reason.into()));
            }
        }
    }
}
