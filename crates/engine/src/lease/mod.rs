//! Leases of a running member: who counts down, who asks, and what becomes of those whose time is over.
//!
//! The replicated half lives in the state machine. Here is the leader's half, [`Deadlines`], behind a lock
//! that is held for a search at a time: the apply thread reports grants and revokes, keep-alives renew, and
//! one task proposes the end of what has expired.

mod expiry;
mod forward;
mod requests;

use std::time::{Duration, Instant};

use ferretcd_base::LeaseId;
use ferretcd_lease::{Deadlines, LeaseReader};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

/// The leader's countdown, and who waits for it.
#[derive(Debug)]
pub(crate) struct Lessor {
    reader: LeaseReader,
    deadlines: Mutex<Deadlines>,
    /// Told when leases were revoked, when the member begins or ceases to lead, and when it stops.
    changed: Notify,
    /// Questions that may be put to the leader elsewhere.
    questions: Semaphore,
}

impl Lessor {
    pub(crate) fn new(reader: LeaseReader, now: Instant) -> Self {
        let questions = Semaphore::new(forward::QUESTIONS_MAX);
        Self { reader, deadlines: Mutex::new(Deadlines::new(now)), changed: Notify::new(), questions }
    }

    /// The lease is in the state machine; called before anybody is told.
    pub(crate) fn granted(&self, id: LeaseId, ttl: i64) {
        self.deadlines.lock().grant(id, ttl, Instant::now());
    }

    /// The leases are out of the state machine.
    pub(crate) fn revoked(&self, ids: &[LeaseId]) {
        let mut deadlines = self.deadlines.lock();
        ids.iter().for_each(|id| deadlines.revoke(*id));
        drop(deadlines);
        self.wake();
    }

    /// The state machine has taken note of what leases have left.
    pub(crate) fn checkpointed(&self, checkpoints: &[(LeaseId, i64)]) {
        let mut deadlines = self.deadlines.lock();
        checkpoints.iter().for_each(|(id, remaining)| deadlines.checkpointed(*id, *remaining));
    }

    /// Begins to count down. Takes some 100 ns for each lease, during which grants wait.
    fn lead(&self, extend: Duration) {
        // Locked first: a lease that is granted meanwhile is reported when its grant gets the lock.
        let mut deadlines = self.deadlines.lock();
        deadlines.lead(Instant::now(), extend, self.reader.all());
        drop(deadlines);
        self.wake();
    }

    fn resign(&self) {
        self.deadlines.lock().resign();
        self.wake();
    }

    /// Has everybody who waits for a change look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }
}
