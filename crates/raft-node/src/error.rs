//! Why a node cannot start or go on, and why it rejects a request.

use std::io;

/// A node cannot start, or cannot go on. Each text completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is outside its range.
    #[error("start the raft node: setting {setting} is out of range")]
    Setting {
        /// The field of [`Config`](crate::Config).
        setting: &'static str,
    },
    /// The state file contains entries that the log never had or has lost. Starting would lose writes.
    #[error("start the raft node: the state has applied entry {applied} but the log ends at {last}")]
    AppliedBeyondLog {
        /// The value in the state file.
        applied: u64,
        /// The last index of the log.
        last: u64,
    },
    /// The log has been released further than the state file reaches: entries in between are gone.
    #[error("start the raft node: the state has applied entry {applied} but the log begins after {start}")]
    AppliedBeforeLog {
        /// The value in the state file.
        applied: u64,
        /// The index of the log's start mark.
        start: u64,
    },
    /// The log ends before an entry that it says is committed: it was truncated or mixed up.
    #[error("start the raft node: entry {commit} is committed but the log ends at {last}")]
    CommitBeyondLog {
        /// The commit index of the recovered hard state.
        commit: u64,
        /// The last index of the log.
        last: u64,
    },
    /// The recovered entries are not consecutive.
    #[error("start the raft node: the log has entry {found} where entry {expected} belongs")]
    LogGap {
        /// The index that should come.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// The stored configuration is impossible, or in the middle of a joint change, which etcd never makes.
    #[error("start the raft node: {conf_state:?} is not a configuration to start from")]
    ConfState {
        /// The value in the state file.
        conf_state: ferretcd_wal::ConfState,
    },
    /// An entry of the log holds a configuration change that this version cannot read.
    #[error("read the configuration change in entry {index}")]
    ConfChange {
        /// The entry's index.
        index: u64,
    },
    /// The leader knows entries of this member to be committed that its log does not have: the disk was lost
    /// or replaced. The member has to be removed and added again under a new id.
    #[error("follow the leader: entry {commit} was acknowledged by this member but its log ends at {last}")]
    LostEntries {
        /// The commit index that the leader has sent.
        commit: u64,
        /// The last index of the log.
        last: u64,
    },
    /// The log cannot be written or synced. What was not acknowledged as durable may be lost.
    #[error("write the raft log")]
    Wal(#[from] ferretcd_wal::Error),
    /// The operating system gave no thread.
    #[error("start a thread of the raft node")]
    Thread(#[source] io::Error),
}

/// A request did not enter the node; it has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// As many requests of this kind as [`Config::inbox`](crate::Config::inbox) wait already.
    #[error("hand a request to the raft node: its queue is full")]
    Full,
    /// The node is stopped or has failed.
    #[error("hand a request to the raft node: it is stopped")]
    Stopped,
}
