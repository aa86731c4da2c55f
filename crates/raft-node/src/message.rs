//! What members say to each other.

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

    /// The term that the sender is in, or asks to be in; 0 in forwarded requests.
    pub fn term(&self) -> u64 {
        self.0.term
    }

    /// Whether a leader says with it that it is still there.
    pub fn is_heartbeat(&self) -> bool {
        self.0.get_msg_type() == MessageType::MsgHeartbeat
    }

    /// Whether this stands for a whole state, which does not travel with it.
    pub fn is_snapshot(&self) -> bool {
        self.0.get_msg_type() == MessageType::MsgSnapshot
    }

    /// Where in the log the state stands that this message is about; `None` if it is not
    /// [about one](Self::is_snapshot).
    pub fn snapshot_mark(&self) -> Option<ferretcd_wal::SnapshotMark> {
        self.is_snapshot().then(|| translate::mark_of(self.0.get_snapshot()))
    }

    /// The same message about another state: a leader names the last entry applied when it decides to send one,
    /// and the state that is sent in the end is at least as new. For messages that are
    /// [about one](Self::is_snapshot).
    #[must_use]
    pub fn with_snapshot_mark(mut self, mark: &ferretcd_wal::SnapshotMark) -> Self {
        self.0.set_snapshot(translate::snapshot_at(mark));
        self
    }

    /// Whether a member that is no leader may send this before what it has accepted is durable. A heartbeat's
    /// answer promises nothing about the log, and the forwarded requests are none of this member's statements.
    pub(crate) fn promises_nothing(&self) -> bool {
        matches!(
            self.0.get_msg_type(),
            MessageType::MsgHeartbeatResponse | MessageType::MsgPropose | MessageType::MsgReadIndex
        )
    }
}
