//! Changes of the cluster's configuration, and their two encodings.
//!
//! etcd's encoding (`raftpb.ConfChange`) is what the log on disk, the peers and the appliers see. The raft
//! library parses its own (`eraftpb.ConfChange`) when a change is proposed. They differ in the numbers of the
//! kinds, and the library has no "update" at all:
//!
//! | kind | etcd | library |
//! |---|---|---|
//! | add voter | 0 | 0 |
//! | remove | 1 | 1 |
//! | update | 2 | 0 and [`Encoded::update`] |
//! | add learner | 3 | 2 |
//!
//! The in-memory log holds the library's encoding only; everything that crosses its border is translated.

use bytes::Bytes;
use ferretcd_base::MemberId;
use prost::Message as _;
use raft::eraftpb;

/// One change of one member, in the terms of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfChange {
    /// Chosen by the proposer to recognise its change; 0 in the entries a cluster starts with.
    pub id: u64,
    /// The kind of change.
    pub kind: ConfChangeKind,
    /// The member concerned.
    pub node: MemberId,
    /// Not read here. etcd puts the member's JSON description there.
    pub context: Bytes,
}

/// The effect of a [`ConfChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConfChangeKind {
    /// The member becomes a voter; a learner is promoted.
    AddNode,
    /// The member leaves.
    RemoveNode,
    /// The member's description changes; quorums do not.
    UpdateNode,
    /// The member receives the log without a vote.
    AddLearnerNode,
}

/// The bytes are not a configuration change, or one of an unknown kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// Both encodings. Numbers are written even when zero, as etcd writes them.
#[derive(Clone, PartialEq, prost::Message)]
struct Encoded {
    #[prost(uint64, optional, tag = "1")]
    id: Option<u64>,
    #[prost(int32, optional, tag = "2")]
    kind: Option<i32>,
    #[prost(uint64, optional, tag = "3")]
    node: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    context: Option<Bytes>,
    /// Only in the library's encoding, which skips fields it does not know: the change is an update.
    #[prost(bool, optional, tag = "100")]
    update: Option<bool>,
}

impl ConfChange {
    /// The form on disk and between peers.
    pub(crate) fn to_etcd(&self) -> Bytes {
        let kind = match self.kind {
            ConfChangeKind::AddNode => 0,
            ConfChangeKind::RemoveNode => 1,
            ConfChangeKind::UpdateNode => 2,
            ConfChangeKind::AddLearnerNode => 3,
        };
        self.encode(kind, None)
    }

    /// Reads what [`Self::to_etcd`] or etcd wrote.
    pub(crate) fn from_etcd(bytes: Bytes) -> Result<Self, Malformed> {
        let encoded = Encoded::decode(bytes).map_err(|_| Malformed)?;
        let kind = match encoded.kind() {
            0 => ConfChangeKind::AddNode,
            1 => ConfChangeKind::RemoveNode,
            2 => ConfChangeKind::UpdateNode,
            3 => ConfChangeKind::AddLearnerNode,
            _ => return Err(Malformed),
        };
        Ok(encoded.into_change(kind))
    }

    /// The form in the in-memory log.
    pub(crate) fn to_core(&self) -> Bytes {
        let (kind, update) = match self.kind {
            ConfChangeKind::AddNode => (0, None),
            ConfChangeKind::RemoveNode => (1, None),
            ConfChangeKind::UpdateNode => (0, Some(true)),
            ConfChangeKind::AddLearnerNode => (2, None),
        };
        self.encode(kind, update)
    }

    /// Reads what [`Self::to_core`] wrote.
    pub(crate) fn from_core(bytes: Bytes) -> Result<Self, Malformed> {
        let encoded = Encoded::decode(bytes).map_err(|_| Malformed)?;
        let kind = match (encoded.kind(), encoded.update()) {
            (0, true) => ConfChangeKind::UpdateNode,
            (0, false) => ConfChangeKind::AddNode,
            (1, false) => ConfChangeKind::RemoveNode,
            (2, false) => ConfChangeKind::AddLearnerNode,
            _ => return Err(Malformed),
        };
        Ok(encoded.into_change(kind))
    }

    /// The change that the raft core makes when this one is committed. `None` for an update: applied as what its
    /// bytes say to the library, it would promote a learner.
    pub(crate) fn to_transition(&self) -> Option<eraftpb::ConfChangeV2> {
        let kind = match self.kind {
            ConfChangeKind::AddNode => eraftpb::ConfChangeType::AddNode,
            ConfChangeKind::RemoveNode => eraftpb::ConfChangeType::RemoveNode,
            ConfChangeKind::AddLearnerNode => eraftpb::ConfChangeType::AddLearnerNode,
            ConfChangeKind::UpdateNode => return None,
        };
        let mut single = eraftpb::ConfChangeSingle::default();
        single.set_change_type(kind);
        single.node_id = self.node.0;
        let mut transition = eraftpb::ConfChangeV2::default();
        transition.mut_changes().push(single);
        Some(transition)
    }

    fn encode(&self, kind: i32, update: Option<bool>) -> Bytes {
        let context = (!self.context.is_empty()).then(|| self.context.clone());
        let encoded =
            Encoded { id: Some(self.id), kind: Some(kind), node: Some(self.node.0), context, update };
        encoded.encode_to_vec().into()
    }
}

impl Encoded {
    fn into_change(self, kind: ConfChangeKind) -> ConfChange {
        let (id, node) = (self.id(), MemberId(self.node()));
        ConfChange { id, kind, node, context: self.context.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use protobuf::Message as _;

    use super::*;

    const KINDS: [ConfChangeKind; 4] = [
        ConfChangeKind::AddNode,
        ConfChangeKind::RemoveNode,
        ConfChangeKind::UpdateNode,
        ConfChangeKind::AddLearnerNode,
    ];

    fn change(kind: ConfChangeKind) -> ConfChange {
        ConfChange { id: 7, kind, node: MemberId(3), context: Bytes::from_static(b"{}") }
    }

    #[test]
    fn both_encodings_keep_every_kind() {
        for change in KINDS.map(change) {
            assert_eq!(ConfChange::from_etcd(change.to_etcd()), Ok(change.clone()));
            assert_eq!(ConfChange::from_core(change.to_core()), Ok(change));
        }
    }

    #[test]
    fn disk_has_etcds_bytes() {
        let check = |kind, number| {
            let expected = [&[0x08, 7, 0x10, number, 0x18, 3, 0x22, 2][..], b"{}"].concat();
            assert_eq!(change(kind).to_etcd(), expected, "{kind:?}");
        };
        KINDS.into_iter().zip(0..).for_each(|(kind, number)| check(kind, number));

        let bootstrap =
            ConfChange { id: 0, kind: ConfChangeKind::AddNode, node: MemberId(1), context: Bytes::new() };
        assert_eq!(bootstrap.to_etcd(), [0x08, 0, 0x10, 0, 0x18, 1][..]);
    }

    #[test]
    fn absent_fields_are_zero() {
        let decoded = ConfChange::from_etcd(Bytes::from_static(&[0x18, 1])).unwrap();
        assert_eq!((decoded.id, decoded.kind, decoded.node), (0, ConfChangeKind::AddNode, MemberId(1)));
    }

    #[test]
    fn the_library_reads_the_core_encoding() {
        let check = |kind, expected| {
            let mut parsed = eraftpb::ConfChange::default();
            parsed.merge_from_bytes(&change(kind).to_core()).unwrap();
            assert_eq!((parsed.get_change_type(), parsed.node_id), (expected, 3), "{kind:?}");
        };
        check(ConfChangeKind::AddNode, eraftpb::ConfChangeType::AddNode);
        check(ConfChangeKind::RemoveNode, eraftpb::ConfChangeType::RemoveNode);
        check(ConfChangeKind::UpdateNode, eraftpb::ConfChangeType::AddNode);
        check(ConfChangeKind::AddLearnerNode, eraftpb::ConfChangeType::AddLearnerNode);
    }

    #[test]
    fn unknown_kinds_and_noise_are_malformed() {
        for bytes in [&[0x10, 4][..], &[0x10, 0xff, 0xff, 0xff, 0xff, 0x0f], &[0xff]] {
            assert_eq!(ConfChange::from_etcd(Bytes::copy_from_slice(bytes)), Err(Malformed), "{bytes:?}");
        }
        assert_eq!(ConfChange::from_core(Bytes::from_static(&[0x10, 3])), Err(Malformed));
    }
}
