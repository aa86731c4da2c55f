//! What members say to each other.

use base::MemberId;
use raft::eraftpb::{self, MessageType};

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

    /// Whether the raft core can take this message from a peer. It panics over some that no honest peer sends,
    /// and snapshots do not travel as messages here.
    pub(crate) fn is_acceptable(&self) -> bool {
        match self.0.get_msg_type() {
            MessageType::MsgPropose | MessageType::MsgReadIndex => !self.0.entries.is_empty(),
            MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum
            | MessageType::MsgSnapshot => false,
            _ => self.0.term != 0,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_would_panic_or_are_local_are_not_acceptable() {
        let check = |kind, term, entries: usize, expected| {
            let mut message = eraftpb::Message::default();
            message.set_msg_type(kind);
            message.term = term;
            message.set_entries(vec![eraftpb::Entry::default(); entries].into());
            assert_eq!(Message(message).is_acceptable(), expected, "{kind:?}");
        };
        check(MessageType::MsgPropose, 0, 0, false);
        check(MessageType::MsgPropose, 0, 1, true);
        check(MessageType::MsgReadIndex, 0, 0, false);
        check(MessageType::MsgReadIndex, 0, 1, true);
        check(MessageType::MsgRequestVote, 0, 0, false);
        check(MessageType::MsgRequestVote, 1, 0, true);
        check(MessageType::MsgAppend, 1, 0, true);
        check(MessageType::MsgSnapshot, 1, 0, false);
        check(MessageType::MsgHup, 0, 0, false);
    }
}
