//! Timers of a member.

/// Something that a member does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A heartbeat interval has passed.
    Tick,
    /// The round of the log that was under way is synced.
    LogSynced,
    /// Committed entries are applied.
    Apply,
    /// Rows have waited long enough.
    FlushDue,
    /// The commit of the state file that was under way is durable.
    Flushed,
    /// A step of a compaction.
    Scrub,
    /// Overdue requests are looked for.
    Sweep,
    /// Leases are looked after.
    Leases,
    /// The hub takes a turn.
    Watches,
    /// The reader of a stream takes what there is.
    ReadStream(usize),
    /// A received snapshot is stored.
    Stored,
    /// It was removed some time ago.
    Stop,
}
