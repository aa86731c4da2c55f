//! How much the state file may hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ferretcd_backend::Backend;
use ferretcd_mvcc::Reader;

/// Decides whether something fits. Decisions differ between members, so this never enters the state machine. Clones share
/// the limit.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    /// In bytes; negative for no limit.
    limit: Arc<AtomicI64>,
    backend: Backend,
    reader: Reader,
}

impl Quota {
    pub(crate) fn new(limit: i64, backend: Backend, reader: Reader) -> Self {
        Self { limit: Arc::new(AtomicI64::new(limit)), backend, reader }
    }

    pub(crate) fn limit(&self) -> i64 {
        self.limit.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limit(&self, limit: i64) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether `cost` more bytes fit. What costs nothing always does.
    pub(crate) fn admits(&self, cost: u64) -> bool {
        cost == 0 || fits(cost, self.room())
    }

    /// Bytes that are left; `None` for no limit. Rows on their way to the file count as if they were in it.
    pub(crate) fn room(&self) -> Option<u64> {
        let limit = u64::try_from(self.limit()).ok()?;
        let used = self.backend.size().rows + self.reader.buffered_bytes() as u64;
        Some(limit.saturating_sub(used))
    }
}

/// Whether `cost` bytes fit into the room there is; `None` is room without end. What costs nothing always fits.
pub(crate) fn fits(cost: u64, room: Option<u64>) -> bool {
    cost == 0 || room.is_none_or(|room| cost < room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_byte_stays_free() {
        assert!(fits(0, Some(0)) && fits(9, Some(10)) && fits(u64::MAX, None));
        assert!(!fits(10, Some(10)) && !fits(1, Some(0)));
    }
}
