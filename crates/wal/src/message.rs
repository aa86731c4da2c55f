//! The four messages that records carry: entry, hard state, snapshot mark, metadata.
//!
//! Numbers are written even when zero, as etcd does; only an entry's type and empty payload are left out. Readers
//! take both forms, repeated numbers packed or not, and skip unknown fields.

use bytes::Bytes;

use crate::proto::{Fields, Malformed, Value, put_bytes_head, put_number, take_varint};
use crate::{ConfState, Entry, EntryKind, HardState, Metadata, SnapshotMark};

/// Everything of an entry but the payload's bytes, which follow it unchanged.
pub(crate) fn put_entry_head(out: &mut Vec<u8>, entry: &Entry) {
    match entry.kind {
        EntryKind::Normal => {}
        EntryKind::ConfChange => put_number(out, 1, 1),
        EntryKind::ConfChangeV2 => put_number(out, 1, 2),
    }
    put_number(out, 2, entry.term);
    put_number(out, 3, entry.index);
    if !entry.data.is_empty() {
        put_bytes_head(out, 4, entry.data.len());
    }
}

/// Copies the payload, so that an entry does not keep its segment's bytes alive.
pub(crate) fn take_entry(bytes: &[u8]) -> Result<Entry, Malformed> {
    let (mut kind, mut term, mut index, mut data) = (0, 0, 0, &[][..]);
    for field in Fields::new(bytes) {
        match field? {
            (1, Value::Varint(v)) => kind = v,
            (2, Value::Varint(v)) => term = v,
            (3, Value::Varint(v)) => index = v,
            (4, Value::Bytes(v)) => data = v,
            (1..=4, _) => return Err(Malformed),
            _ => {}
        }
    }
    let kind = match kind {
        0 => EntryKind::Normal,
        1 => EntryKind::ConfChange,
        2 => EntryKind::ConfChangeV2,
        _ => return Err(Malformed),
    };
    Ok(Entry { term, index, kind, data: Bytes::copy_from_slice(data) })
}

pub(crate) fn put_hard_state(out: &mut Vec<u8>, state: &HardState) {
    put_number(out, 1, state.term);
    put_number(out, 2, state.vote);
    put_number(out, 3, state.commit);
}

pub(crate) fn take_hard_state(bytes: &[u8]) -> Result<HardState, Malformed> {
    let mut state = HardState::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, Value::Varint(v)) => state.term = v,
            (2, Value::Varint(v)) => state.vote = v,
            (3, Value::Varint(v)) => state.commit = v,
            (1..=3, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(state)
}

pub(crate) fn put_metadata(out: &mut Vec<u8>, metadata: Metadata) {
    put_number(out, 1, metadata.node_id);
    put_number(out, 2, metadata.cluster_id);
}

pub(crate) fn take_metadata(bytes: &[u8]) -> Result<Metadata, Malformed> {
    let mut metadata = Metadata::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, Value::Varint(v)) => metadata.node_id = v,
            (2, Value::Varint(v)) => metadata.cluster_id = v,
            (1..=2, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(metadata)
}

pub(crate) fn put_mark(out: &mut Vec<u8>, mark: &SnapshotMark) {
    put_number(out, 1, mark.index);
    put_number(out, 2, mark.term);
    if let Some(conf_state) = &mark.conf_state {
        let mut members = Vec::new();
        put_conf_state(&mut members, conf_state);
        put_bytes_head(out, 3, members.len());
        out.extend_from_slice(&members);
    }
}

pub(crate) fn take_mark(bytes: &[u8]) -> Result<SnapshotMark, Malformed> {
    let mut mark = SnapshotMark::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, Value::Varint(v)) => mark.index = v,
            (2, Value::Varint(v)) => mark.term = v,
            (3, Value::Bytes(v)) => mark.conf_state = Some(take_conf_state(v)?),
            (1..=3, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(mark)
}

fn put_conf_state(out: &mut Vec<u8>, state: &ConfState) {
    let lists = [&state.voters, &state.learners, &state.voters_outgoing, &state.learners_next];
    for (list, field) in lists.into_iter().zip(1..) {
        for &id in list {
            put_number(out, field, id);
        }
    }
    put_number(out, 5, u64::from(state.auto_leave));
}

fn take_conf_state(bytes: &[u8]) -> Result<ConfState, Malformed> {
    let mut state = ConfState::default();
    for field in Fields::new(bytes) {
        match field? {
            (1, ids) => take_ids(&mut state.voters, ids)?,
            (2, ids) => take_ids(&mut state.learners, ids)?,
            (3, ids) => take_ids(&mut state.voters_outgoing, ids)?,
            (4, ids) => take_ids(&mut state.learners_next, ids)?,
            (5, Value::Varint(v)) => state.auto_leave = v != 0,
            (5, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(state)
}

fn take_ids(ids: &mut Vec<u64>, value: Value<'_>) -> Result<(), Malformed> {
    match value {
        Value::Varint(id) => ids.push(id),
        Value::Bytes(mut packed) => {
            while !packed.is_empty() {
                ids.push(take_varint(&mut packed)?);
            }
        }
        Value::Fixed => return Err(Malformed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_of_all_releases() {
        let check = |bytes: &[u8], index, data: &'static [u8], kind| {
            let entry = Entry { term: 2, index, kind, data: Bytes::from_static(data) };
            assert_eq!(take_entry(bytes), Ok(entry), "{bytes:02x?}");
        };
        check(b"\x10\x02\x18\x05", 5, b"", EntryKind::Normal);
        check(b"\x08\x00\x10\x02\x18\x05", 5, b"", EntryKind::Normal);
        check(b"\x08\x01\x10\x02\x18\x05\x22\x02ab", 5, b"ab", EntryKind::ConfChange);
        check(b"\x08\x02\x10\x02\x18\x05\x22\x00", 5, b"", EntryKind::ConfChangeV2);
        // An unknown field, and a known one twice: the last counts.
        check(b"\x10\x02\x32\x01z\x18\x04\x18\x05", 5, b"", EntryKind::Normal);
    }

    #[test]
    fn malformed_entries_are_rejected() {
        let check = |bytes: &[u8]| assert_eq!(take_entry(bytes), Err(Malformed), "{bytes:02x?}");
        check(b"\x08\x03\x10\x02\x18\x05"); // an unknown kind
        check(b"\x12\x01\x02"); // a term made of bytes
        check(b"\x10\x02\x18"); // an end inside a field
    }

    #[test]
    fn marks_carry_their_members() {
        let conf_state = ConfState { voters: vec![1, 300], auto_leave: true, ..ConfState::default() };
        let mark = SnapshotMark { index: 9, term: 2, conf_state: Some(conf_state) };
        let mut out = Vec::new();
        put_mark(&mut out, &mark);
        assert_eq!(out, b"\x08\x09\x10\x02\x1a\x07\x08\x01\x08\xac\x02\x28\x01");
        assert_eq!(take_mark(&out), Ok(mark.clone()));
        assert_eq!(take_mark(b"\x08\x09\x10\x02\x1a\x07\x0a\x03\x01\xac\x02\x28\x01"), Ok(mark), "packed");
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_rejected_or_read(bytes in prop::collection::vec(any::<u8>(), 0..48)) {
            let _ = take_entry(&bytes);
            let _ = take_hard_state(&bytes);
            let _ = take_metadata(&bytes);
            let _ = take_mark(&bytes);
        }
    }
}
