//! One change of the members, and its form in a configuration change of the log.

use ferretcd_base::MemberId;
use serde::{Deserialize, Serialize};

use crate::Member;
use crate::member::{escape_like_go, is_false};

/// Learners that a cluster may have where an addition does not say; etcd's default.
const LEARNERS_MAX: usize = 1;

/// One change of the members, as a configuration change describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A voter or learner joins.
    Add {
        /// The new member.
        member: Member,
        /// How many learners there may be with it, if it is one. It travels with the change, so that members
        /// that were started with different limits decide alike.
        learners_max: usize,
    },
    /// A learner, or a member that is joining, becomes a voter.
    Promote(MemberId),
    /// A member's peer URLs change.
    UpdatePeerUrls(MemberId, Vec<String>),
    /// A member leaves and never comes back under this id.
    Remove(MemberId),
}

/// Why a [`Change`] was rejected. Nothing has been changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The id is a member's already.
    #[error("change the members: id {0} is in use")]
    IdExists(MemberId),
    /// The id was removed earlier.
    #[error("change the members: id {0} was removed from the cluster")]
    IdRemoved(MemberId),
    /// No member has the id.
    #[error("change the members: no member has id {0}")]
    NotFound(MemberId),
    /// A URL belongs to another member.
    #[error("change the members: a peer URL is in use by member {0}")]
    PeerUrlExists(MemberId),
    /// Only a learner can be promoted.
    #[error("change the members: member {0} is no learner")]
    NotLearner(MemberId),
    /// The cluster has all the learners that it may have.
    #[error("change the members: there are {learners} learners, and {max} are allowed")]
    TooManyLearners {
        /// How many there are.
        learners: usize,
        /// How many there may be.
        max: usize,
    },
    /// The entry is about one member, and describes another.
    #[error("change the members: the entry is about member {node} and describes {described}")]
    OtherMember {
        /// The member whose vote the entry changes.
        node: MemberId,
        /// The member in the description.
        described: MemberId,
    },
    /// Without this member there would be no voter, and nothing could be changed ever again.
    #[error("change the members: {0} is the last voter")]
    LastVoter(MemberId),
}

/// The JSON of an addition or promotion; the fields behind the member are left out where they say nothing.
#[derive(Serialize, Deserialize)]
struct Context {
    #[serde(flatten)]
    member: Member,
    #[serde(rename = "isPromote", default, skip_serializing_if = "is_false")]
    is_promote: bool,
    /// A field of our own, only with learners.
    #[serde(rename = "maxLearners", default, skip_serializing_if = "Option::is_none")]
    learners_max: Option<usize>,
}

impl Change {
    /// An addition to a cluster that may have as many learners as etcd's default allows: one.
    pub fn add(member: Member) -> Self {
        Self::Add { member, learners_max: LEARNERS_MAX }
    }

    /// The member that is added, changed or removed.
    pub fn member(&self) -> MemberId {
        match self {
            Self::Add { member, .. } => member.id,
            Self::Promote(id) | Self::UpdatePeerUrls(id, _) | Self::Remove(id) => *id,
        }
    }

    /// The JSON that goes with the configuration change; empty for a removal. etcd reads it, and writes the
    /// same but for the fields that it does not know.
    pub fn to_context(&self) -> String {
        let json = |member: Member, is_promote, learners_max| {
            let context = Context { member, is_promote, learners_max };
            let plain = serde_json::to_string(&context).expect("only strings, numbers and lists of them");
            escape_like_go(&plain)
        };
        match self {
            Self::Add { member, learners_max } => {
                json(member.clone(), false, member.is_learner.then_some(*learners_max))
            }
            Self::Promote(id) => json(Member { id: *id, ..Member::default() }, true, None),
            Self::UpdatePeerUrls(id, peer_urls) => {
                json(Member { id: *id, peer_urls: peer_urls.clone(), ..Member::default() }, false, None)
            }
            Self::Remove(_) => String::new(),
        }
    }

    /// Reads the JSON of a configuration change that adds a node, which may also mean a promotion.
    pub fn from_addition(context: &[u8]) -> Result<Self, serde_json::Error> {
        let Context { member, is_promote, learners_max } = serde_json::from_slice(context)?;
        Ok(match is_promote {
            true => Self::Promote(member.id),
            false => Self::Add { member, learners_max: learners_max.unwrap_or(LEARNERS_MAX) },
        })
    }

    /// Reads the JSON of a configuration change that updates a node.
    pub fn from_update(context: &[u8]) -> Result<Self, serde_json::Error> {
        let member = Member::from_json(context)?;
        Ok(Self::UpdatePeerUrls(member.id, member.peer_urls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64) -> Member {
        Member { id: MemberId(id), peer_urls: vec!["http://a:1".into()], ..Member::default() }
    }

    fn check(change: Change, context: &str) {
        assert_eq!(change.to_context(), context);
        let read = match change {
            Change::Add { .. } | Change::Promote(_) => Change::from_addition(context.as_bytes()),
            Change::UpdatePeerUrls(..) => Change::from_update(context.as_bytes()),
            Change::Remove(id) => Ok(Change::Remove(id)),
        };
        assert_eq!(read.expect("own text"), change);
    }

    #[test]
    fn contexts_are_etcds() {
        check(Change::add(member(7)), r#"{"id":7,"peerURLs":["http://a:1"]}"#);
        check(Change::Promote(MemberId(7)), r#"{"id":7,"peerURLs":null,"isPromote":true}"#);
        check(Change::UpdatePeerUrls(MemberId(7), vec!["a&b".into()]), r#"{"id":7,"peerURLs":["a\u0026b"]}"#);
        check(Change::Remove(MemberId(7)), "");
    }

    #[test]
    fn our_own_fields_are_those_that_etcd_skips() {
        check(
            Change::add(Member { is_joining: true, ..member(7) }),
            r#"{"id":7,"peerURLs":["http://a:1"],"isLearner":true,"isJoining":true}"#,
        );
        check(
            Change::Add { member: Member { is_learner: true, ..member(7) }, learners_max: 3 },
            r#"{"id":7,"peerURLs":["http://a:1"],"isLearner":true,"maxLearners":3}"#,
        );
    }

    #[test]
    fn descriptions_of_etcd_are_read() {
        let etcds = br#"{"id":7,"peerURLs":["http://a:1"],"isLearner":true,"isPromote":false}"#;
        let learner = Member { is_learner: true, ..member(7) };
        assert_eq!(Change::from_addition(etcds).expect("etcd's text"), Change::add(learner));
        assert!(Change::from_addition(b"{}").is_err() && Change::from_update(b"").is_err());
    }
}
