//! The leader's countdown of leases.
//!
//! The replicated half of a lease lives in the state machine. Here is the leader's half, [`Deadlines`], behind a lock
//! that is held for a search at a time: the apply thread reports grants and revokes, renewals move deadlines, and
//! one controller proposes the end of what has expired.

use std::time::{Duration, Instant};

use ferretcd_base::LeaseId;
use ferretcd_lease::{Deadlines, LeaseReader};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The countdown, and what waits for changes of it.
#[derive(Debug)]
pub(crate) struct Lessor {
    reader: LeaseReader,
    deadlines: Mutex<Deadlines>,
    /// Notified when leases were revoked, when the member begins or ceases to lead, and when it stops.
    changed: Notify,
}

impl Lessor {
    pub(crate) fn new(reader: LeaseReader, now: Instant) -> Self {
        Self { reader, deadlines: Mutex::new(Deadlines::new(now)), changed: Notify::new() }
    }

    /// The lease is in the state machine; called before the response to the grant leaves.
    pub(crate) fn granted(&self, id: LeaseId, ttl: i64) {
        self.deadlines.lock().grant(id, ttl, Instant::now());
    }

    /// The lease is out of the state machine.
    pub(crate) fn revoked(&self, id: LeaseId) {
        self.deadlines.lock().revoke(id);
        self.wake();
    }

    /// The state machine has the remaining times of these leases.
    pub(crate) fn checkpointed(&self, checkpoints: &[(LeaseId, i64)]) {
        let mut deadlines = self.deadlines.lock();
        checkpoints.iter().for_each(|(id, remaining)| deadlines.checkpointed(*id, *remaining));
    }

    /// Begins to count down. Takes some 100 ns for each lease, during which grants wait.
    pub(crate) fn lead(&self, extend: Duration) {
        // Locked first: a lease that is granted meanwhile is reported when its grant gets the lock.
        let mut deadlines = self.deadlines.lock();
        deadlines.lead(Instant::now(), extend, self.reader.all());
        drop(deadlines);
        self.wake();
    }

    pub(crate) fn resign(&self) {
        self.deadlines.lock().resign();
        self.wake();
    }

    /// Wakes everything that waits for a change.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Completes with the next change after this call.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn deadlines(&self) -> MutexGuard<'_, Deadlines> {
        self.deadlines.lock()
    }

    pub(crate) fn reader(&self) -> &LeaseReader {
        &self.reader
    }

    /// The ids of all leases, in the order in which they end if that is known here.
    pub(crate) fn ids(&self) -> Vec<LeaseId> {
        let by_deadline = self.deadlines.lock().by_deadline();
        by_deadline.unwrap_or_else(|| self.reader.all().into_iter().map(|(id, _)| id).collect())
    }
}
