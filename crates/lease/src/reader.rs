//! Looking at the leases from any thread.

use std::sync::Arc;

use bytes::Bytes;
use ferretcd_base::LeaseId;
use parking_lot::RwLock;

use crate::leases::State;

/// The facts about a lease that every member has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The time to live that was granted, in seconds.
    pub ttl: i64,
    /// Seconds that were left at the last checkpoint; 0 if it had its full time then, or there was none.
    pub remaining: i64,
}

impl Lease {
    /// The seconds that a new leader counts down from.
    pub fn counts_from(&self) -> i64 {
        if self.remaining > 0 { self.remaining } else { self.ttl }
    }
}

/// A handle for reading while [`Leases`](crate::Leases) is written to. Cheap to clone. Each call sees a
/// consistent state and holds the writer up for as long as it takes.
#[derive(Clone, Debug)]
pub struct LeaseReader {
    pub(crate) shared: Arc<RwLock<State>>,
}

impl LeaseReader {
    /// The number of leases.
    pub fn count(&self) -> usize {
        self.shared.read().leases.len()
    }

    /// A lease, if there is one.
    pub fn get(&self, id: LeaseId) -> Option<Lease> {
        self.shared.read().leases.get(&id).copied()
    }

    /// All leases by id. Copies them: some 10 ns for each.
    pub fn all(&self) -> Vec<(LeaseId, Lease)> {
        self.shared.read().leases.iter().map(|(id, lease)| (*id, *lease)).collect()
    }

    /// The keys of a lease, in byte order; none if there is no such lease.
    pub fn keys(&self, id: LeaseId) -> Vec<Bytes> {
        self.shared.read().keys(id)
    }
}
