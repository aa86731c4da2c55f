//! Messages as they travel between members, ferretcd's and etcd's alike.
//!
//! The two sides mean the same by the same field numbers, except for configuration changes, which are translated
//! here, and fields above 12, which are not written and not read. Received messages are checked here, so that the raft
//! core can take them as they are: the library panics over much that no honest peer sends. Checks that depend on the
//! core's state are made by the core.

use ferretcd_api_proto::raftpb;
use ferretcd_base::LogPosition;
use protobuf::ProtobufEnum;
use raft::eraftpb::{self, EntryType, MessageType};

use crate::{ConfChange, Message, translate};

/// Indices and terms from here on come from no honest member; sums of them could overflow.
const NUMBER_END: u64 = 1 << 62;

/// A message from a peer that must not be handed to the node. Each text completes "failed to ...".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No message of this number travels between members.
    #[error("read a raft message: kind {kind} does not come from peers")]
    Kind {
        /// The number of the kind.
        kind: i32,
    },
    /// An entry is none that this version can have in its log.
    #[error("read a raft message: the entry at {index} cannot be read")]
    Entry {
        /// Its index; 0 in a forwarded proposal.
        index: u64,
    },
    /// The fields contradict each other or the kind of the message.
    #[error("read a raft message: a {kind} does not have this form")]
    Form {
        /// The name of the kind.
        kind: &'static str,
    },
}

impl From<Message> for raftpb::Message {
    /// Moves the payloads. Zeros are left out, as a reader takes them to be zero.
    fn from(Message(mut message): Message) -> Self {
        let number = |number: u64| (number != 0).then_some(number);
        let snapshot = message.has_snapshot().then(|| {
            let ferretcd_wal::SnapshotMark { index, term, conf_state } =
                translate::mark_of(message.get_snapshot());
            let ferretcd_wal::ConfState { voters, learners, .. } = conf_state.unwrap_or_default();
            let conf_state = raftpb::ConfState { voters, learners, ..raftpb::ConfState::default() };
            let metadata = raftpb::SnapshotMetadata {
                conf_state: Some(conf_state),
                index: Some(index),
                term: Some(term),
            };
            raftpb::Snapshot { data: None, metadata: Some(metadata) }
        });
        Self {
            r#type: Some(message.get_msg_type().value()),
            to: number(message.to),
            from: number(message.from),
            term: number(message.term),
            log_term: number(message.log_term),
            index: number(message.index),
            entries: message.take_entries().into_iter().map(entry_to_wire).collect(),
            commit: number(message.commit),
            snapshot,
            reject: message.reject.then_some(true),
            reject_hint: number(message.reject_hint),
            context: (!message.context.is_empty()).then(|| message.take_context()),
            ..Self::default()
        }
    }
}

impl TryFrom<raftpb::Message> for Message {
    type Error = MessageError;

    /// Moves the payloads. Errs for everything that the raft core is not prepared for.
    fn try_from(message: raftpb::Message) -> Result<Self, MessageError> {
        let number = message.r#type.unwrap_or_default();
        let kind = MessageType::from_i32(number).filter(|kind| travels(*kind));
        let kind = kind.ok_or(MessageError::Kind { kind: number })?;
        let mut translated = eraftpb::Message {
            to: message.to(),
            from: message.from(),
            term: message.term(),
            log_term: message.log_term(),
            index: message.index(),
            commit: message.commit(),
            reject: message.reject(),
            reject_hint: message.reject_hint(),
            context: message.context.unwrap_or_default(),
            ..eraftpb::Message::default()
        };
        translated.set_msg_type(kind);
        let entries: Vec<_> = message.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?;
        translated.set_entries(entries.into());
        let form = |message: &Self| MessageError::Form { kind: message.kind() };
        if kind == MessageType::MsgSnapshot {
            let mark = message.snapshot.and_then(|snapshot| snapshot.metadata).and_then(mark_from_wire);
            let Some(mark) = mark else { return Err(form(&Self(translated))) };
            translated.set_snapshot(translate::snapshot_at(&mark));
        }
        let message = Self(translated);
        if is_well_formed(&message.0) { Ok(message) } else { Err(form(&message)) }
    }
}

/// Whether messages of this kind travel between members; the others are sent by a core to itself.
fn travels(kind: MessageType) -> bool {
    !matches!(
        kind,
        MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum
    )
}

fn entry_to_wire(mut entry: eraftpb::Entry) -> raftpb::Entry {
    let number = |number: u64| (number != 0).then_some(number);
    let kind = entry.get_entry_type();
    let mut data = entry.take_data();
    if kind == EntryType::EntryConfChange
        && let Ok(change) = ConfChange::from_core(data.clone())
    {
        data = change.to_etcd();
    }
    raftpb::Entry {
        r#type: (kind != EntryType::EntryNormal).then(|| kind.value()),
        term: number(entry.term),
        index: number(entry.index),
        data: (!data.is_empty()).then_some(data),
    }
}

fn entry_from_wire(entry: raftpb::Entry) -> Result<eraftpb::Entry, MessageError> {
    let (term, index) = (entry.term(), entry.index());
    let data = entry.data.unwrap_or_default();
    let (kind, data) = match entry.r#type.unwrap_or_default() {
        0 => (EntryType::EntryNormal, data),
        1 => {
            let change = ConfChange::from_etcd(data).map_err(|_| MessageError::Entry { index })?;
            (EntryType::EntryConfChange, change.to_core())
        }
        // etcd's servers propose no changes of several members at once.
        _ => return Err(MessageError::Entry { index }),
    };
    let mut translated = eraftpb::Entry { term, index, data, ..eraftpb::Entry::default() };
    translated.set_entry_type(kind);
    Ok(translated)
}

/// `None` for a configuration that no member starts from; see [`translate::is_startable`].
fn mark_from_wire(metadata: raftpb::SnapshotMetadata) -> Option<ferretcd_wal::SnapshotMark> {
    let (index, term) = (metadata.index(), metadata.term());
    let conf_state = metadata.conf_state?;
    let auto_leave = conf_state.auto_leave();
    let raftpb::ConfState { voters, learners, voters_outgoing, learners_next, .. } = conf_state;
    let conf_state = ferretcd_wal::ConfState { voters, learners, voters_outgoing, learners_next, auto_leave };
    let is_mark = index > 0 && term > 0 && translate::is_startable(&conf_state);
    is_mark.then_some(ferretcd_wal::SnapshotMark { index, term, conf_state: Some(conf_state) })
}

fn is_well_formed(message: &eraftpb::Message) -> bool {
    let numbers = [message.term, message.log_term, message.index, message.commit, message.reject_hint];
    // A forwarded request keeps the name of its member, and has a term only once a leader has taken it.
    let is_request = matches!(message.get_msg_type(), MessageType::MsgPropose | MessageType::MsgReadIndex);
    numbers.iter().all(|number| *number < NUMBER_END)
        && message.from != raft::INVALID_ID
        && message.to != raft::INVALID_ID
        && (message.term == 0) == is_request
        && match message.get_msg_type() {
            MessageType::MsgPropose | MessageType::MsgReadIndex => !message.entries.is_empty(),
            MessageType::MsgAppend => is_consecutive(message),
            MessageType::MsgSnapshot => {
                let metadata = message.get_snapshot().get_metadata();
                metadata.index < NUMBER_END && metadata.term <= message.term
            }
            _ => true,
        }
}

/// Whether the entries follow each other and the one that the message says they follow.
fn is_consecutive(message: &eraftpb::Message) -> bool {
    let mut before = LogPosition::new(message.index, message.log_term);
    // No entry is before the first, and every other one has a term.
    (before.index == 0) == (before.term == 0)
        && message.entries.iter().all(|entry| {
            let LogPosition { index, term } = before;
            before = LogPosition::new(entry.index, entry.term);
            entry.index == index + 1 && entry.term >= term.max(1)
        })
        && before.term <= message.term
}
