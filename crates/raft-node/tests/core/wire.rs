//! Messages as they travel: nothing is lost on the way, and no message of a peer brings a member down.

use bytes::Bytes;
use ferretcd_api_proto::raftpb::{self, EntryType, MessageType};
use ferretcd_raft_node::{ConfChangeKind, Event, Message, MessageError};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use crate::harness::{ELECTION_TICKS, Member, cluster, deliver};

fn written(message: Message) -> raftpb::Message {
    message.into()
}

fn number(number: u64) -> Option<u64> {
    (number != 0).then_some(number)
}

fn bytes(bytes: &[u8]) -> Option<Bytes> {
    (!bytes.is_empty()).then(|| Bytes::copy_from_slice(bytes))
}

fn conf_change(kind: i32, node: u64) -> Bytes {
    let context = Some(Bytes::from_static(b"{}"));
    raftpb::ConfChange { id: Some(7), r#type: Some(kind), node_id: Some(node), context }
        .encode_to_vec()
        .into()
}

/// An entry of a kind: mostly a request, now and then a change, rarely something that cannot be read.
fn entry((kind, data): (u8, Vec<u8>)) -> raftpb::Entry {
    let (kind, data) = match kind {
        0..20 => (None, bytes(&data)),
        20..24 => (Some(EntryType::EntryConfChange), Some(conf_change(i32::from(kind) - 20, 2))),
        24 => (Some(EntryType::EntryConfChange), Some(conf_change(9, 2))),
        _ => (Some(EntryType::EntryConfChangeV2), bytes(&data)),
    };
    raftpb::Entry { r#type: kind.map(Into::into), data, ..raftpb::Entry::default() }
}

fn any_entry() -> impl Strategy<Value = raftpb::Entry> {
    (0..26u8, vec(any::<u8>(), 0..4)).prop_map(entry)
}

/// Mostly a number that occurs in a small cluster, now and then one at the end of the range.
fn any_number() -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => 0..12u64,
        1 => (0..3u64).prop_map(|n| u64::MAX - n),
        1 => (0..3u64).prop_map(|n| (1 << 62) - n),
    ]
}

fn any_snapshot() -> impl Strategy<Value = Option<raftpb::Snapshot>> {
    let ids = || {
        vec(0..5u64, 0..4).prop_map(|mut ids| {
            ids.sort_unstable();
            ids
        })
    };
    let conf_state = (ids(), ids(), prop::bool::weighted(0.1)).prop_map(|(voters, learners, is_joint)| {
        raftpb::ConfState { voters, learners, auto_leave: is_joint.then_some(true), ..Default::default() }
    });
    let metadata = (prop::option::weighted(0.9, conf_state), any_number(), any_number());
    let metadata = metadata.prop_map(|(conf_state, index, term)| raftpb::SnapshotMetadata {
        conf_state,
        index: number(index),
        term: number(term),
    });
    prop::option::weighted(0.8, prop::option::weighted(0.9, metadata))
        .prop_map(|metadata| metadata.map(|metadata| raftpb::Snapshot { data: None, metadata }))
}

fn any_message() -> impl Strategy<Value = raftpb::Message> {
    let head = (0..25i32, 0..5u64, 0..5u64, any_number(), any_number(), any_number());
    let entries = (vec(any_entry(), 0..4), prop::bool::weighted(0.9), any_number());
    let rest = (any_number(), any::<bool>(), any_number(), vec(any::<u8>(), 0..3), any_snapshot());
    (head, entries, rest).prop_map(|(head, (mut entries, is_honest, noise), rest)| {
        let (kind, to, from, term, log_term, index) = head;
        let (commit, reject, reject_hint, context, snapshot) = rest;
        let travels_with_place = kind == MessageType::MsgApp as i32;
        for (entry, offset) in entries.iter_mut().zip(1..) {
            let place = if is_honest { index.wrapping_add(offset) } else { noise };
            if travels_with_place {
                (entry.index, entry.term) = (number(place), number(log_term.max(1)));
            }
        }
        raftpb::Message {
            r#type: Some(kind),
            to: number(to),
            from: number(from),
            term: number(term),
            log_term: number(log_term),
            index: number(index),
            entries,
            commit: number(commit),
            snapshot: snapshot.filter(|_| kind == MessageType::MsgSnap as i32),
            reject: reject.then_some(true),
            reject_hint: number(reject_hint),
            context: bytes(&context),
            vote: None,
            responses: Vec::new(),
        }
    })
}

/// The role of a member of three when strange messages come.
fn member(standing: u8) -> Member {
    let mut members = cluster(3);
    members[0].propose(1, "a");
    members[0].propose(2, "b");
    deliver(&mut members);
    let mut member = members.remove(usize::from(standing > 0));
    match standing {
        // A leader or follower with an unsynced tail, and a pre-candidate.
        0 => member.propose(3, "tail"),
        1 => members[0].propose(3, "tail"),
        _ => member.tick(2 * ELECTION_TICKS),
    }
    for message in std::mem::take(&mut members[0].sent) {
        if message.to() == member.config.id {
            member.handle(Event::Message(message));
        }
    }
    member
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn messages_survive_encoding(message in any_message()) {
        if let Ok(read) = Message::try_from(message.clone()) {
            prop_assert_eq!(written(read), message);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_peer_brings_a_member_down(standing in 0..3u8, messages in vec((any_message(), 0..8u8), 1..40)) {
        let mut member = member(standing);
        for (mut message, then) in messages {
            message.to = Some(member.config.id.0);
            if let Ok(message) = Message::try_from(message) {
                member.handle(Event::Message(message));
            }
            match then {
                0 => member.tick(1),
                1 => member.tick(2 * ELECTION_TICKS),
                2..5 => member.flush(),
                5 => member.propose(9, "c"),
                6 => member.change(9, ConfChangeKind::AddLearnerNode, 4),
                _ => member.read(9),
            }
        }
    }
}

#[test]
fn a_proposal_keeps_its_bytes_in_place() {
    let data = Bytes::from_static(b"payload");
    let entry = raftpb::Entry { data: Some(data.clone()), ..raftpb::Entry::default() };
    let proposal = raftpb::Message {
        r#type: Some(MessageType::MsgProp.into()),
        to: Some(1),
        from: Some(2),
        entries: vec![entry],
        ..raftpb::Message::default()
    };
    let read = Message::try_from(proposal.clone()).unwrap();
    assert_eq!((read.kind(), read.from().0, read.to().0, read.term()), ("MsgProp", 2, 1, 0));
    let written = written(read);
    assert_eq!(written, proposal);
    assert_eq!(written.entries[0].data.as_ref().unwrap().as_ptr(), data.as_ptr());
}

#[test]
fn fields_that_only_the_library_knows_stay_here() {
    let mut members = cluster(3);
    members[1].tick(2 * ELECTION_TICKS);
    members[1].flush();
    let request = written(members[1].sent.pop().unwrap());
    assert_eq!(request.r#type(), MessageType::MsgPreVote);
    assert_eq!((request.vote, request.responses.len()), (None, 0));
    let length = request.encoded_len();
    let again = raftpb::Message::decode(request.encode_to_vec().as_slice()).unwrap();
    assert_eq!((again.encoded_len(), again), (length, request));
}

#[test]
fn errors_name_what_is_wrong_with_a_message() {
    let append = |entries: Vec<raftpb::Entry>| raftpb::Message {
        r#type: Some(MessageType::MsgApp.into()),
        to: Some(1),
        from: Some(2),
        term: Some(3),
        log_term: Some(2),
        index: Some(5),
        entries,
        ..raftpb::Message::default()
    };
    let entry = |index: u64, term: u64| raftpb::Entry {
        index: Some(index),
        term: Some(term),
        ..raftpb::Entry::default()
    };
    let check = |message: raftpb::Message, expected: MessageError| {
        assert_eq!(Message::try_from(message.clone()), Err(expected), "{message:?}");
    };
    let form = MessageError::Form { kind: "MsgApp" };
    assert!(Message::try_from(append(vec![entry(6, 2), entry(7, 3)])).is_ok());
    check(append(vec![entry(7, 2)]), form);
    check(append(vec![entry(6, 2), entry(8, 2)]), form);
    check(append(vec![entry(6, 0)]), form);
    check(append(vec![entry(6, 1)]), form);
    check(append(vec![entry(6, 4)]), form);
    check(raftpb::Message { log_term: None, ..append(vec![]) }, form);
    check(raftpb::Message { term: None, ..append(vec![]) }, form);
    check(raftpb::Message { from: None, ..append(vec![]) }, form);
    check(raftpb::Message { commit: Some(u64::MAX), ..append(vec![]) }, form);
    let noise = raftpb::Entry { r#type: Some(1), data: Some("noise".into()), ..entry(6, 2) };
    check(append(vec![noise]), MessageError::Entry { index: 6 });
    let joint = raftpb::Entry { r#type: Some(2), ..entry(6, 2) };
    check(append(vec![joint]), MessageError::Entry { index: 6 });
    for kind in [0, 1, 10, 11, 12, 19, 23, 24, -1] {
        let message = raftpb::Message { r#type: Some(kind), ..append(vec![]) };
        check(message, MessageError::Kind { kind });
    }
    let snapshot = raftpb::Message { r#type: Some(MessageType::MsgSnap.into()), ..append(vec![]) };
    check(snapshot, MessageError::Form { kind: "MsgSnap" });
}
