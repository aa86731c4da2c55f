//! Messages between members.

use ferretcd_base::MemberId;
use raft::eraftpb::{self, MessageType};

use crate::translate;

/// One raft message between two members. Opaque: only its envelope can be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Message(pub(crate) eraftpb::Message);

impl Message {
    /// The member that sent it.
    pub fn from(&self) -> MemberId {
        MemberId(self.0.from)
    }

    /// The member it is for.
    pub fn to(&self) -> MemberId {
        MemberId(self.0.to)
    }

    /// The name of its kind as etcd's logs and metrics write it.
    pub fn kind(&self) -> &'static str {
        match self.0.get_msg_type() {
            MessageType::MsgHup => "MsgHup",
            MessageType::MsgBeat => "MsgBeat",
            MessageType::MsgPropose => "MsgProp",
            MessageType::MsgAppend => "MsgApp",
            MessageType::MsgAppendResponse => "MsgAppResp",
            MessageType::MsgRequestVote => "MsgVote",
            MessageType::MsgRequestVoteResponse => "MsgVoteResp",
            MessageType::MsgSnapshot => "MsgSnap",
            MessageType::MsgHeartbeat => "MsgHeartbeat",
            MessageType::MsgHeartbeatResponse => "MsgHeartbeatResp",
            MessageType::MsgUnreachable => "MsgUnreachable",
            MessageType::MsgSnapStatus => "MsgSnapStatus",
            MessageType::MsgCheckQuorum => "MsgCheckQuorum",
            MessageType::MsgTransferLeader => "MsgTransferLeader",
            MessageType::MsgTimeoutNow => "MsgTimeoutNow",
            MessageType::MsgReadIndex => "MsgReadIndex",
            MessageType::MsgReadIndexResp => "MsgReadIndexResp",
            MessageType::MsgRequestPreVote => "MsgPreVote",
            MessageType::MsgRequestPreVoteResponse => "MsgPreVoteResp",
        }
    }

    /// The term that the sender is in, or wants to be in; 0 in forwarded requests.
    pub fn term(&self) -> u64 {
        self.0.term
    }

    /// Whether this is a leader's heartbeat.
    pub fn is_heartbeat(&self) -> bool {
        self.0.get_msg_type() == MessageType::MsgHeartbeat
    }

    /// Whether this announces a snapshot, whose data does not travel with it.
    pub fn is_snapshot(&self) -> bool {
        self.0.get_msg_type() == MessageType::MsgSnapshot
    }

    /// The place in the log of the snapshot that this message announces; `None` if it
    /// [announces none](Self::is_snapshot).
    pub fn snapshot_mark(&self) -> Option<ferretcd_wal::SnapshotMark> {
        self.is_snapshot().then(|| translate::mark_of(self.0.get_snapshot()))
    }

    /// The same message with another snapshot: a leader names the last entry applied when it decides to send one,
    /// and the snapshot that is sent in the end is at least as new. For messages that
    /// [announce one](Self::is_snapshot).
    #[must_use]
    pub fn with_snapshot_mark(mut self, mark: &ferretcd_wal::SnapshotMark) -> Self {
        self.0.set_snapshot(translate::snapshot_at(mark));
        self
    }

    /// Whether a member that is no leader may send this before what it has accepted is durable. A heartbeat's
    /// response promises nothing about the log, and neither do the requests that a member forwards.
    pub(crate) fn promises_nothing(&self) -> bool {
        matches!(
            self.0.get_msg_type(),
            MessageType::MsgHeartbeatResponse | MessageType::MsgPropose | MessageType::MsgReadIndex
        )
    }
}
