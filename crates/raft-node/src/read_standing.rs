//! Reads that need no decision: a follower asks its leader, and the leader answers who asks.
//!
//! A read may go ahead from an index that is at least everything committed when it began. The leader of a term knows
//! such an index, its own commit index, as soon as it has committed something in its term; what it cannot know by
//! itself is whether a later leader had been elected when the read began. The read-index protocol (Ongaro, *Consensus:
//! Bridging Theory and Practice*, 6.4) makes it ask a quorum. But who asks is a voter as well, and names the term it is
//! in: if the two of them are a quorum, every later leader needs a vote of one of them, and neither had given one when
//! the read began. So in clusters of two and three voters a read through a follower costs one question and one answer.
//! Everybody else's goes through the raft core, which asks around.
//!
//! The argument is about one configuration. It holds while that changes: configurations change by one voter at a time,
//! so that each quorum of one has a voter in common with each quorum of the next, and the change after that takes a
//! leader that has put the one before into force.
//!
//! For all this it is enough that a standing was in force at some time after the question was there. So it is published
//! for all threads, and no thread has to wake the driver. That has to happen before anything leaves the node that
//! follows from a newer one: a vote must not be out before the standing that ends with it.

use bytes::Bytes;
use ferretcd_base::MemberId;
use raft::eraftpb::{self, MessageType};

use crate::{Message, ReadToken};

/// What a node can say about reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadStanding {
    pub(crate) asker: Asker,
    pub(crate) source: ReadSource,
}

/// Who knows from which index a read is linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadSource {
    /// Nobody that this node knows.
    Unknown,
    /// This node by itself: nobody else has a vote.
    Own,
    /// This node together with any one of some others, in this term. Each of the pairs is a quorum.
    Pair { term: u64, with: Vec<MemberId> },
    /// The leader of this term.
    Leader { id: MemberId, term: u64 },
}

impl ReadStanding {
    /// The same node when it has nothing to say.
    pub(crate) fn silenced(&self) -> Self {
        Self { asker: self.asker, source: ReadSource::Unknown }
    }

    /// Whether the node's own commit index is one from which a read that begins now is linearizable.
    pub(crate) fn is_own(&self) -> bool {
        self.source == ReadSource::Own
    }

    /// The question to put to the leader; `None` if the core has to find out. A token may be used once.
    pub fn question(&self, token: ReadToken) -> Option<Message> {
        let ReadSource::Leader { id, term } = self.source else { return None };
        let context = self.asker.context(token, term);
        Some(message(MessageType::MsgReadIndex, self.asker.member, id, context))
    }

    /// The answer to another member's question, if there is one without asking anybody else. `committed` must be a
    /// commit index that this node had while it stood so.
    pub fn answer(&self, question: &Message, committed: u64) -> Option<Message> {
        let (from, to) = (question.from(), question.to());
        let ReadSource::Pair { term, with } = &self.source else { return None };
        let context = context_of(question, MessageType::MsgReadIndex)?;
        let asked_in = Context::parse(context).filter(|asked| asked.asker.member == from)?.term;
        if asked_in != *term || to != self.asker.member || !with.contains(&from) {
            return None;
        }
        let mut answer = message(MessageType::MsgReadIndexResp, to, from, context.clone());
        (answer.0.term, answer.0.index) = (*term, committed);
        Some(answer)
    }

    /// The read that a message answers, with the index from which it is linearizable. `None` also if this node has not
    /// heard of that index: the core learns from the message that it is committed.
    pub fn answered(&self, message: &Message, committed: u64) -> Option<(ReadToken, u64)> {
        let context = context_of(message, MessageType::MsgReadIndexResp)?;
        let (to, index) = (message.to(), message.0.index);
        let token = self.asker.token(context).filter(|_| to == self.asker.member && index <= committed)?;
        Some((token, index))
    }
}

/// One life of one member. No context is ever used twice by anybody: otherwise an acknowledgement of one question
/// could confirm another that was put later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) member: MemberId,
    /// Another one for each start of the member.
    pub(crate) boot: u64,
}

impl Asker {
    /// What goes with a question and comes back with its answer.
    pub(crate) fn context(self, token: ReadToken, term: u64) -> Bytes {
        [self.member.0, self.boot, token.0, term].map(u64::to_be_bytes).concat().into()
    }

    /// The token of a question of this asker.
    pub(crate) fn token(self, context: &[u8]) -> Option<ReadToken> {
        Context::parse(context).filter(|context| context.asker == self).map(|context| context.token)
    }
}

/// Those of other programs are of another length.
struct Context {
    asker: Asker,
    token: ReadToken,
    /// The term that the asker was in.
    term: u64,
}

impl Context {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        let [member, boot, token, term] =
            [0, 8, 16, 24].map(|at| u64::from_be_bytes(std::array::from_fn(|i| bytes[at + i])));
        let asker = Asker { member: MemberId(member), boot };
        Some(Self { asker, token: ReadToken(token), term })
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

    fn asker(member: u64) -> Asker {
        Asker { member: MemberId(member), boot: 70 + member }
    }

    fn leader(term: u64) -> ReadStanding {
        ReadStanding { asker: asker(1), source: ReadSource::Pair { term, with: vec![MemberId(2)] } }
    }

    fn follower(member: u64, term: u64) -> ReadStanding {
        ReadStanding { asker: asker(member), source: ReadSource::Leader { id: MemberId(1), term } }
    }

    #[test]
    fn the_leader_answers_whom_it_is_a_quorum_with() {
        let question = follower(2, 5).question(ReadToken(9)).expect("it has a leader");
        let answer = leader(5).answer(&question, 100).expect("both are in the same term");
        assert_eq!(follower(2, 6).answered(&answer, 100), Some((ReadToken(9), 100)));
        assert_eq!(follower(2, 5).answered(&answer, 99), None, "the commit index is news");
        let restarted = ReadStanding { asker: Asker { boot: 1, ..asker(2) }, ..follower(2, 5) };
        assert_eq!(restarted.answered(&answer, 100), None, "asked in another life");
    }

    #[test]
    fn no_answer_without_a_quorum_in_one_term() {
        let check = |standing: ReadStanding, asked: ReadStanding| {
            let question = asked.question(ReadToken(9)).expect("it has a leader");
            assert_eq!(standing.answer(&question, 100), None, "{standing:?} {asked:?}");
        };
        check(leader(5), follower(2, 6));
        check(leader(5), follower(2, 4));
        check(leader(5), follower(3, 5));
        for source in [ReadSource::Unknown, ReadSource::Own, follower(3, 5).source] {
            check(ReadStanding { asker: asker(1), source }, follower(2, 5));
        }
        // Somebody else's question in the second member's name, and a question for somebody else.
        let mut question = follower(3, 5).question(ReadToken(9)).expect("it has a leader");
        question.0.from = 2;
        assert_eq!(leader(5).answer(&question, 100), None);
        let mut question = follower(2, 5).question(ReadToken(9)).expect("it has a leader");
        question.0.to = 3;
        assert_eq!(leader(5).answer(&question, 100), None);
    }

    #[test]
    fn what_another_program_asks_goes_through_the_core() {
        let question =
            message(MessageType::MsgReadIndex, MemberId(2), MemberId(1), Bytes::from_static(&[0; 8]));
        assert_eq!(leader(5).answer(&question, 100), None);
        let mut answer = message(MessageType::MsgReadIndexResp, MemberId(1), MemberId(2), Bytes::new());
        assert_eq!(follower(2, 5).answered(&answer, 100), None);
        answer.0.take_entries();
        assert_eq!(follower(2, 5).answered(&answer, 100), None);
    }
}
