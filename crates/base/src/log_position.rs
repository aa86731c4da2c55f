//! Places in the replicated log.

/// The place of an entry in the replicated log. The index alone names a committed entry; an entry that is not committed
/// can be replaced by another one of the same index and a later term. All zero is the place before the first entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// Counts entries from 1.
    pub index: u64,
    /// The term of the leader that appended the entry.
    pub term: u64,
}

impl LogPosition {
    /// The place of the entry at `index` that was appended in `term`.
    pub fn new(index: u64, term: u64) -> Self {
        Self { index, term }
    }
}
