//! Events as they go over the wire, encoded once for all watches that want them.

use bytes::{BufMut, Bytes, BytesMut};
use ferretcd_mvcc::{Change, ChangeKind};
use prost::encoding::{encode_varint, encoded_len_varint};

// Tags: field number and wire type (0 varint, 2 length-delimited).
/// `events` of `etcdserverpb.WatchResponse`.
const EVENTS: u8 = 11 << 3 | 2;
/// `type` of `mvccpb.Event`; a put is its zero value and left out.
const TYPE: u8 = 1 << 3;
const TYPE_DELETE: u8 = 1;
const KV: u8 = 2 << 3 | 2;
const PREV_KV: u8 = 3 << 3 | 2;
/// `mod_revision` of `mvccpb.KeyValue`, which a stored tombstone doesn't have.
const MOD_REVISION: u8 = 3 << 3;

/// A block of encoded events: the field `events` of a `WatchResponse`, as often as there are events. It is
/// the last field of the message, so a response is its other fields and then this.
///
/// Clones share the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Events {
    encoded: Bytes,
    len: usize,
}

impl Events {
    /// The encoded fields.
    pub fn as_bytes(&self) -> &Bytes {
        &self.encoded
    }

    /// Number of events; at least 1.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }
}

/// Some changes of a stretch of history, encoded one behind the other.
pub(crate) struct Encoded {
    /// Indices of the changes, ascending.
    picked: Vec<u32>,
    /// Where each ends in the bytes.
    ends: Vec<usize>,
    bytes: Bytes,
}

impl Encoded {
    /// Encodes the changes at the indices `picked`, which ascend, each with the previous row that `previous` finds.
    pub(crate) fn new<E>(
        changes: &[Change],
        picked: Vec<u32>,
        mut previous: impl FnMut(usize) -> Result<Option<Bytes>, E>,
    ) -> Result<Self, E> {
        let mut bytes = BytesMut::new();
        let mut ends = Vec::with_capacity(picked.len());
        for &index in &picked {
            let index = index as usize;
            encode(&changes[index], previous(index)?.as_deref(), &mut bytes);
            ends.push(bytes.len());
        }
        Ok(Self { picked, ends, bytes: bytes.freeze() })
    }

    /// The block of the changes at `indices`: at least one, ascending, all of them picked.
    pub(crate) fn block(&self, indices: impl ExactSizeIterator<Item = u32> + Clone) -> Events {
        let len = indices.len();
        let mut positions = indices.map(|index| {
            self.picked.binary_search(&index).expect("every index that a group matched was picked")
        });
        let first = positions.clone().next().expect("a block has an event");
        let last = positions.clone().last().expect("a block has an event");
        let whole = self.start(first)..self.ends[last];
        let is_contiguous = last - first + 1 == len;
        // A slice keeps all of the bytes in memory, which a small one isn't worth.
        if is_contiguous && whole.len() >= self.bytes.len() / 2 {
            return Events { encoded: self.bytes.slice(whole), len };
        }
        let mut encoded = BytesMut::with_capacity(if is_contiguous { whole.len() } else { 0 });
        positions.by_ref().for_each(|position| {
            encoded.extend_from_slice(&self.bytes[self.start(position)..self.ends[position]]);
        });
        Events { encoded: encoded.freeze(), len }
    }

    fn start(&self, position: usize) -> usize {
        position.checked_sub(1).map_or(0, |before| self.ends[before])
    }
}

/// Appends the field `events` with one event. The row is a `KeyValue` already.
fn encode(change: &Change, previous: Option<&[u8]>, out: &mut BytesMut) {
    let main = change.revision.main.cast_unsigned();
    let is_delete = change.kind == ChangeKind::Delete;
    let kv_len = change.row.len() + if is_delete { 1 + encoded_len_varint(main) } else { 0 };
    let field_len = |len: usize| 1 + encoded_len_varint(len as u64) + len;
    let len =
        if is_delete { 2 } else { 0 } + field_len(kv_len) + previous.map_or(0, |row| field_len(row.len()));
    out.reserve(field_len(len));
    put_len(out, EVENTS, len);
    if is_delete {
        out.put_slice(&[TYPE, TYPE_DELETE]);
    }
    put_len(out, KV, kv_len);
    out.put_slice(&change.row);
    if is_delete {
        out.put_u8(MOD_REVISION);
        encode_varint(main, out);
    }
    if let Some(row) = previous {
        put_len(out, PREV_KV, row.len());
        out.put_slice(row);
    }
}

fn put_len(out: &mut BytesMut, tag: u8, len: usize) {
    out.put_u8(tag);
    encode_varint(len as u64, out);
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::EncodedKeyValue;
    use ferretcd_api_proto::etcdserverpb::WatchResponse;
    use ferretcd_api_proto::mvccpb::{Event, KeyValue, event::EventType};
    use ferretcd_base::{LeaseId, Revision};
    use prost::Message;

    use super::*;

    fn row(key: &str, main: i64, value: &str) -> KeyValue {
        KeyValue {
            key: key.to_owned().into(),
            create_revision: main,
            mod_revision: main,
            version: i64::from(main > 0),
            value: value.to_owned().into(),
            lease: 0,
        }
    }

    fn change(kind: ChangeKind, main: i64, sub: i64, row: &KeyValue) -> Change {
        let encoded = row.encode_to_vec().into();
        Change {
            revision: Revision::new(main, sub),
            kind,
            key: row.key.clone(),
            lease: LeaseId::NONE,
            row: encoded,
        }
    }

    fn event(kind: EventType, kv: KeyValue, prev_kv: Option<KeyValue>) -> Event {
        Event {
            r#type: kind.into(),
            kv: Some(EncodedKeyValue::from(kv)),
            prev_kv: prev_kv.map(EncodedKeyValue::from),
        }
    }

    #[test]
    fn events_are_the_bytes_that_protobuf_gives() {
        let long = "x".repeat(300);
        let changes = [
            change(ChangeKind::Put, 7, 0, &row("a", 7, &long)),
            change(ChangeKind::Delete, 300, 0, &row("b", 0, "")),
            change(ChangeKind::Put, 301, 0, &row("c", 301, "")),
        ];
        let previous = [None, Some(row("b", 5, &long)), Some(row("c", 6, "v"))];
        let events = [
            event(EventType::Put, row("a", 7, &long), None),
            event(
                EventType::Delete,
                KeyValue { mod_revision: 300, key: "b".into(), ..KeyValue::default() },
                previous[1].clone(),
            ),
            event(EventType::Put, row("c", 301, ""), previous[2].clone()),
        ];
        let previous =
            |index: usize| Ok::<_, ()>(previous[index].as_ref().map(|row| row.encode_to_vec().into()));
        let encoded = Encoded::new(&changes, vec![0, 1, 2], previous).unwrap();
        for picks in [&[0, 1, 2][..], &[0], &[1], &[2], &[0, 2], &[1, 2]] {
            let events = picks.iter().map(|&index| events[index as usize].clone()).collect();
            let expected = WatchResponse { events, ..WatchResponse::default() }.encode_to_vec();
            let block = encoded.block(picks.iter().copied());
            assert_eq!(block.as_bytes()[..], expected[..], "{picks:?}");
            assert_eq!(block.len(), picks.len());
        }
    }

    #[test]
    fn a_large_part_is_shared_and_a_small_one_copied() {
        let changes: Vec<_> =
            (2..12).map(|main| change(ChangeKind::Put, main, 0, &row("k", main, "v"))).collect();
        let encoded = Encoded::new(&changes, (0..10).collect(), |_| Ok::<_, ()>(None)).unwrap();
        let is_shared = |range: std::ops::Range<u32>| {
            let block = encoded.block(range.collect::<Vec<_>>().into_iter());
            encoded.bytes.as_ptr_range().contains(&block.as_bytes().as_ptr())
        };
        assert!(is_shared(0..10) && is_shared(4..10));
        assert!(!is_shared(3..5));
    }
}
