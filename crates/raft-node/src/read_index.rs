//! The read-index protocol where it needs no decision of the raft core: a follower sends a request to its leader, and
//! the leader responds at once.
//!
//! A read may go ahead from an index that is at least everything committed when it began. The leader of a term knows
//! such an index, its own commit index, as soon as it has committed something in its term. It cannot know by itself
//! whether a later leader had been elected when the read began; for that the read-index protocol (Ongaro, *Consensus:
//! Bridging Theory and Practice*, 6.4) contacts a quorum. But the requester is a voter as well, and its request names
//! its term: if the two of them are a quorum, every later leader needs a vote of one of them, and neither had given one
//! when the read began. So in clusters of two and three voters a read through a follower costs one request and one
//! response. All other reads go through the raft core, which sends heartbeats to a quorum.
//!
//! The argument is about one configuration, and that of the leader may be ahead of that of others. One change ahead is
//! harmless: a quorum with and a quorum without one voter have a voter in common. Two changes ahead would not be: a
//! leader that has removed two of five is a quorum with one of the three left, while the other four members believe
//! in five, and three of them could elect. They cannot, because of three facts:
//!
//! * the second change arrives with a commit index that covers the first: the leader proposes it only when the first is
//!   in force at the leader (`Core::propose_conf_change`, `Core::advance_applied`);
//! * a member starts no election while it knows of a committed change that is not in force (the raft library asks what is
//!   applied, and `Core::advance_applied` lets no undecided change count as applied);
//! * the commit index that came with an entry is durable together with the entry, before that is acknowledged, so a
//!   restart does not forget it (`Core::persist` in `core/ready.rs`, `write` in `log_thread.rs`).
//!
//! So each member that has acknowledged the second change is at most one change behind when it is a candidate; the other
//! members have shorter logs than those, and too few votes without them.
//!
//! For all this it is enough that a role was in force at some time after the request was received. So the role is
//! published for all threads, and no thread has to wake the driver. The driver publishes a new role before it sends
//! anything that follows from it: a vote must not leave before the role that ends with it is withdrawn.

use bytes::Bytes;
use ferretcd_base::MemberId;
use raft::eraftpb::{self, MessageType};

use crate::{Message, ReadToken};

/// A node's role in the read-index protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadIndexRole {
    pub(crate) requester: Requester,
    pub(crate) source: ReadSource,
}

/// Where the index comes from from which a read is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadSource {
    /// This node knows no source.
    Unknown,
    /// This node by itself: it is the sole voter.
    Own,
    /// This node, the leader of this term, together with any one of these members. Each of the pairs is a quorum.
    Pair { term: u64, with: Vec<MemberId> },
    /// The leader of this term.
    Leader { id: MemberId, term: u64 },
}

impl ReadIndexRole {
    /// The same node when it knows no source.
    pub(crate) fn without_source(&self) -> Self {
        Self { requester: self.requester, source: ReadSource::Unknown }
    }

    /// Whether the node's own commit index is one from which a read that begins now is linearizable.
    pub(crate) fn is_own(&self) -> bool {
        self.source == ReadSource::Own
    }

    /// The request for the leader; `None` if the core has to find the index. A token may be used once.
    pub fn read_request(&self, token: ReadToken) -> Option<Message> {
        let ReadSource::Leader { id, term } = self.source else { return None };
        let context = self.requester.context(token, term);
        Some(message(MessageType::MsgReadIndex, self.requester.member, id, context))
    }

    /// The response to another member's request, if no further member is needed for it. `committed` must be a commit
    /// index that this node had while it was in this role.
    pub fn read_response(&self, request: &Message, committed: u64) -> Option<Message> {
        let (from, to) = (request.from(), request.to());
        let ReadSource::Pair { term, with } = &self.source else { return None };
        let context = context_of(request, MessageType::MsgReadIndex)?;
        let requested = Context::parse(context).filter(|context| context.requester.member == from)?;
        if requested.term != *term || to != self.requester.member || !with.contains(&from) {
            return None;
        }
        let mut response = message(MessageType::MsgReadIndexResp, to, from, context.clone());
        (response.0.term, response.0.index) = (*term, committed);
        Some(response)
    }

    /// The read that a response confirms, with the index from which it is linearizable. `None` also if this node does
    /// not know yet that the index is committed: the core learns it from the message.
    pub fn confirmed_read(&self, message: &Message, committed: u64) -> Option<(ReadToken, u64)> {
        let context = context_of(message, MessageType::MsgReadIndexResp)?;
        let (to, index) = (message.to(), message.0.index);
        let token =
            self.requester.token(context).filter(|_| to == self.requester.member && index <= committed)?;
        Some((token, index))
    }
}

/// One run of one member. No two requests of a cluster have the same context: otherwise an acknowledgement of one
/// request could confirm a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requester {
    pub(crate) member: MemberId,
    /// Different for each start of the member.
    pub(crate) boot: u64,
}

impl Requester {
    /// The context of a request, which comes back with its response.
    pub(crate) fn context(self, token: ReadToken, term: u64) -> Bytes {
        [self.member.0, self.boot, token.0, term].map(u64::to_be_bytes).concat().into()
    }

    /// The token of a request of this requester.
    pub(crate) fn token(self, context: &[u8]) -> Option<ReadToken> {
        Context::parse(context).filter(|context| context.requester == self).map(|context| context.token)
    }
}

/// The context of a request. Contexts of etcd have another length.
struct Context {
    requester: Requester,
    token: ReadToken,
    /// The term that the requester was in.
    term: u64,
}

impl Context {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        let [member, boot, token, term] =
            [0, 8, 16, 24].map(|at| u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i])));
        let requester = Requester { member: MemberId(member), boot };
        Some(Self { requester, token: ReadToken(token), term })
    }
}

fn message(kind: MessageType, from: MemberId, to: MemberId, context: Bytes) -> Message {
    let mut message = eraftpb::Message { from: from.0, to: to.0, ..eraftpb::Message::default() };
    message.set_msg_type(kind);
    message.set_entries(vec![eraftpb::Entry { data: context, ..eraftpb::Entry::default() }].into());
    Message(message)
}

fn context_of(message: &Message, kind: MessageType) -> Option<&Bytes> {
    match &*message.0.entries {
        [entry] if message.0.get_msg_type() == kind => Some(&entry.data),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requester(member: u64) -> Requester {
        Requester { member: MemberId(member), boot: 70 + member }
    }

    fn leader(term: u64) -> ReadIndexRole {
        ReadIndexRole { requester: requester(1), source: ReadSource::Pair { term, with: vec![MemberId(2)] } }
    }

    fn follower(member: u64, term: u64) -> ReadIndexRole {
        ReadIndexRole { requester: requester(member), source: ReadSource::Leader { id: MemberId(1), term } }
    }

    #[test]
    fn a_leader_responds_to_a_follower_that_is_a_quorum_with_it() {
        let request = follower(2, 5).read_request(ReadToken(9)).expect("it has a leader");
        let response = leader(5).read_response(&request, 100).expect("both are in the same term");
        assert_eq!(follower(2, 6).confirmed_read(&response, 100), Some((ReadToken(9), 100)));
        assert_eq!(follower(2, 5).confirmed_read(&response, 99), None, "the commit index is news");
        let restarted = ReadIndexRole { requester: Requester { boot: 1, ..requester(2) }, ..follower(2, 5) };
        assert_eq!(restarted.confirmed_read(&response, 100), None, "requested in an earlier run");
    }

    #[test]
    fn without_a_quorum_in_one_term_there_is_no_response() {
        let check = |role: ReadIndexRole, requesting: ReadIndexRole| {
            let request = requesting.read_request(ReadToken(9)).expect("it has a leader");
            assert_eq!(role.read_response(&request, 100), None, "{role:?} {requesting:?}");
        };
        check(leader(5), follower(2, 6));
        check(leader(5), follower(2, 4));
        check(leader(5), follower(3, 5));
        for source in [ReadSource::Unknown, ReadSource::Own, follower(3, 5).source] {
            check(ReadIndexRole { requester: requester(1), source }, follower(2, 5));
        }
        // A request of member 3 in the name of member 2, and a request for member 3.
        let mut request = follower(3, 5).read_request(ReadToken(9)).expect("it has a leader");
        request.0.from = 2;
        assert_eq!(leader(5).read_response(&request, 100), None);
        let mut request = follower(2, 5).read_request(ReadToken(9)).expect("it has a leader");
        request.0.to = 3;
        assert_eq!(leader(5).read_response(&request, 100), None);
    }

    #[test]
    fn requests_of_etcd_go_through_the_core() {
        let request =
            message(MessageType::MsgReadIndex, MemberId(2), MemberId(1), Bytes::from_static(&[0; 8]));
        assert_eq!(leader(5).read_response(&request, 100), None);
        let mut response = message(MessageType::MsgReadIndexResp, MemberId(1), MemberId(2), Bytes::new());
        assert_eq!(follower(2, 5).confirmed_read(&response, 100), None);
        response.0.take_entries();
        assert_eq!(follower(2, 5).confirmed_read(&response, 100), None);
    }
}
