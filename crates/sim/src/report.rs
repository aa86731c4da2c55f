//! The numbers of a run.

/// The numbers of a run that found no violation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Writes that got a reply.
    pub n_writes: u64,
    /// Reads that got a reply.
    pub n_reads: u64,
    /// Requests whose clients never learned whether they took effect.
    pub n_unknown: u64,
    /// Events that watches received.
    pub n_events: u64,
    /// Streams of watches that were lost.
    pub n_lost_streams: u64,
    /// Leases that expired.
    pub n_expired: u64,
    /// Entries by which a leader's countdown of leases, or a renewal, was remembered.
    pub n_checkpoints: u64,
    /// Members that went down without warning.
    pub n_crashes: u64,
    /// Terms that had a leader.
    pub n_elections: u64,
    /// Changes of the members, those that the cluster starts with included.
    pub n_changes: u64,
    /// Snapshots that were sent to members.
    pub n_snapshots: u64,
    /// Entries of the log.
    pub n_entries: u64,
    /// [`Trace::hash`](crate::Trace::hash) of everything.
    pub hash: u64,
}

impl Report {
    /// The sums of two runs.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            n_writes: self.n_writes + other.n_writes,
            n_reads: self.n_reads + other.n_reads,
            n_unknown: self.n_unknown + other.n_unknown,
            n_events: self.n_events + other.n_events,
            n_lost_streams: self.n_lost_streams + other.n_lost_streams,
            n_expired: self.n_expired + other.n_expired,
            n_checkpoints: self.n_checkpoints + other.n_checkpoints,
            n_crashes: self.n_crashes + other.n_crashes,
            n_elections: self.n_elections + other.n_elections,
            n_changes: self.n_changes + other.n_changes,
            n_snapshots: self.n_snapshots + other.n_snapshots,
            n_entries: self.n_entries + other.n_entries,
            hash: self.hash ^ other.hash,
        }
    }
}
