//! The plain values that go into the log and come back from it.

use bytes::Bytes;

/// One entry of the raft log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that created the entry.
    pub term: u64,
    /// The position in the log; the first entry of a log has index 1.
    pub index: u64,
    /// The kind of `data`.
    pub kind: EntryKind,
    /// The payload, opaque to this crate. Empty for a new leader's first entry.
    pub data: Bytes,
}

/// The kind of an entry's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EntryKind {
    /// A request to the replicated state machine, or nothing.
    #[default]
    Normal,
    /// A change of one member.
    ConfChange,
    /// A change of several members.
    ConfChangeV2,
}

/// Raft's durable state besides its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HardState {
    /// The latest term this member has seen.
    pub term: u64,
    /// The member voted for in `term`, 0 for none.
    pub vote: u64,
    /// The highest index known to be committed. May lag behind what was applied.
    pub commit: u64,
}

/// The members raft counts, by role.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfState {
    /// Members whose votes count in the incoming configuration.
    pub voters: Vec<u64>,
    /// Members that receive the log but do not vote.
    pub learners: Vec<u64>,
    /// Voters of the outgoing configuration while a joint change runs; else empty.
    pub voters_outgoing: Vec<u64>,
    /// Voters that become learners when the joint change ends.
    pub learners_next: Vec<u64>,
    /// Whether raft leaves the joint configuration by itself.
    pub auto_leave: bool,
}

/// A record saying that the state up to and including `index` is durable elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SnapshotMark {
    /// The last index the state contains; 0 at the start of a new log.
    pub index: u64,
    /// The term of the entry at `index`.
    pub term: u64,
    /// The members at `index`. Always present in marks above index 0, except in logs of old etcd releases.
    pub conf_state: Option<ConfState>,
}

/// The owner of a log; written once and repeated in each segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Metadata {
    /// The member that writes the log.
    pub node_id: u64,
    /// The cluster it belongs to.
    pub cluster_id: u64,
}

/// The content of a log when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The owner of the log.
    pub metadata: Metadata,
    /// The mark that recovery starts from: the last one at or below the committed index.
    pub snapshot: SnapshotMark,
    /// The last hard state; the default if none was ever written.
    pub hard_state: HardState,
    /// The entries above `snapshot.index`, without a gap.
    pub entries: Vec<Entry>,
}
