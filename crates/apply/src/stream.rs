//! Ranges read piece by piece, for streamed responses.

use std::vec;

use bytes::{BufMut, Bytes, BytesMut};
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::range_request::SortTarget;
use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use ferretcd_base::KeyRange;
use ferretcd_mvcc::{RangeOptions, ReadError, ReadView};

use crate::range::range;

/// Keys of the first piece.
const FIRST_KEYS: usize = 10;

/// A range at one revision, in pieces of about a given size. In key order it is read piece by piece, and holds no lock
/// and no data between two pieces; a compaction that passes the revision ends it with [`ReadError::Compacted`]. In
/// another order the last row may have to come first, so all rows are read at once, as for a Range with that order.
#[derive(Debug)]
pub struct RangeCursor {
    rows: Rows,
    /// Rows still to come.
    left: usize,
    /// Rows of the next piece.
    step: usize,
    /// Bytes that a piece should have, about.
    piece_bytes: usize,
    end: End,
}

/// Where the rows still to come are.
#[derive(Debug)]
enum Rows {
    InStore { view: ReadView, rest: KeyRange, at: i64, keys_only: bool },
    Sorted(vec::IntoIter<EncodedKeyValue>),
}

/// One piece of a range.
#[derive(Debug)]
pub struct Piece {
    /// In the order of the range, behind those of the piece before.
    pub kvs: Vec<EncodedKeyValue>,
    /// Set with the last piece.
    pub end: Option<End>,
}

/// Facts about the whole range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Whether the limit cut the range.
    pub more: bool,
    /// All keys of the range, whatever the limit.
    pub count: i64,
    /// The view's revision, for the header.
    pub revision: i64,
}

impl RangeCursor {
    /// Counts the range, and reads it if the request has a sort target: then the rows are those of a
    /// [Range](crate::range) with the same request. The request has neither filters nor a descending order.
    pub fn open(view: ReadView, request: &RangeRequest, piece_bytes: usize) -> Result<Self, ReadError> {
        let revision = view.revision();
        let (rows, left, more, count) = if request.sort_target == SortTarget::Key as i32 {
            in_store(view, request)?
        } else {
            let RangeResponse { kvs, more, count, .. } = range(&view, request)?;
            let n_rows = kvs.len();
            (Rows::Sorted(kvs.into_iter()), n_rows, more, count)
        };
        Ok(Self { rows, left, step: FIRST_KEYS, piece_bytes, end: End { more, count, revision } })
    }

    /// Reads the next piece. Not to be called again after one with an [`End`].
    pub fn next_piece(&mut self) -> Result<Piece, ReadError> {
        let kvs = self.rows.next(self.step.min(self.left))?;
        self.left -= kvs.len();
        self.adapt(kvs.iter().map(|kv| kv.as_bytes().len()).sum());
        Ok(Piece { kvs, end: (self.left == 0).then_some(self.end) })
    }

    /// Doubles the number of rows after a small piece and halves it after a large one.
    fn adapt(&mut self, bytes: usize) {
        if bytes < self.piece_bytes / 2 {
            self.step = self.step.saturating_mul(2);
        } else if bytes > self.piece_bytes.saturating_mul(2) {
            self.step = (self.step / 2).max(1);
        }
    }
}

/// The rows in key order with their number, whether the limit cuts them, and how many there are without it.
fn in_store(view: ReadView, request: &RangeRequest) -> Result<(Rows, usize, bool, i64), ReadError> {
    let rest = KeyRange::from_wire(request.key.clone(), request.range_end.clone());
    let at = if request.revision > 0 { request.revision } else { view.revision() };
    let options = RangeOptions { at: Some(at), count_only: true, ..RangeOptions::default() };
    let count = view.range(&rest, &options)?.count;
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let left = if request.count_only { 0 } else { count.min(limit) };
    let more = !request.count_only && count > limit;
    Ok((Rows::InStore { view, rest, at, keys_only: request.keys_only }, left, more, count as i64))
}

impl Rows {
    /// The next rows, `limit` of them.
    fn next(&mut self, limit: usize) -> Result<Vec<EncodedKeyValue>, ReadError> {
        match self {
            Self::Sorted(rows) => Ok(rows.take(limit).collect()),
            // The store takes it for no limit.
            Self::InStore { .. } if limit == 0 => Ok(Vec::new()),
            Self::InStore { view, rest, at, keys_only } => {
                let options = RangeOptions {
                    at: Some(*at),
                    limit,
                    keys_only: *keys_only,
                    skip_count: true,
                    count_only: false,
                };
                let rows = view.range(rest, &options)?.rows;
                if let Some(last) = rows.last() {
                    *rest = behind(rest, &last.key_value()?.key);
                }
                Ok(rows.into_iter().map(|row| EncodedKeyValue::from_encoded(row.encoded)).collect())
            }
        }
    }
}

/// The part of a range behind a key.
fn behind(range: &KeyRange, key: &[u8]) -> KeyRange {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    let next: Bytes = next.freeze();
    match range {
        // Nothing lies behind the only key; an interval that ends where it starts is empty.
        KeyRange::Key(_) => KeyRange::Interval(next.clone(), next),
        KeyRange::Interval(_, end) => KeyRange::Interval(next, end.clone()),
        KeyRange::From(_) => KeyRange::From(next),
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_backend::{Backend, Batch};
    use ferretcd_base::LeaseId;
    use ferretcd_mvcc::{Config, Store};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn store(n_keys: usize, value_bytes: usize) -> Store {
        let mut store = Store::open(Backend::in_memory(), &Config { cache_bytes: 1 << 20 }).expect("empty");
        let mut batch = Batch::default();
        let mut txn = store.write(&mut batch);
        for i in 0..n_keys {
            txn.put(format!("k{i:05}").into(), vec![b'v'; value_bytes].into(), LeaseId::NONE);
        }
        txn.commit();
        store
    }

    /// Sizes of the pieces and the end; checks that no key is missing or doubled.
    fn check(n_keys: usize, value_bytes: usize, limit: i64, expected: &[usize], more: bool) {
        let store = store(n_keys, value_bytes);
        let request =
            RangeRequest { key: "k".into(), range_end: "l".into(), limit, ..RangeRequest::default() };
        let mut cursor = RangeCursor::open(store.reader().view(), &request, 1000).expect("latest");
        let (mut pieces, mut keys) = (Vec::new(), Vec::new());
        let end = loop {
            let piece = cursor.next_piece().expect("latest");
            pieces.push(piece.kvs.len());
            keys.extend(piece.kvs.iter().map(|kv| kv.decode().expect("own row").key));
            if let Some(end) = piece.end {
                break end;
            }
        };
        let all: Vec<Bytes> = (0..keys.len()).map(|i| format!("k{i:05}").into()).collect();
        assert_eq!(keys, all);
        assert_eq!(pieces, expected);
        assert_eq!((end.more, end.count), (more, n_keys as i64));
    }

    #[test]
    fn pieces_grow_and_shrink_with_their_size() {
        check(0, 1, 0, &[0], false);
        check(10, 1, 0, &[10], false);
        check(70, 1, 0, &[10, 20, 40], false);
        check(30, 400, 0, &[10, 5, 2, 2, 2, 2, 2, 2, 2, 1], false);
        check(12, 3000, 0, &[10, 2], false);
    }

    #[test]
    fn the_limit_cuts() {
        check(70, 1, 15, &[10, 5], true);
        check(70, 1, 10, &[10], true);
        check(70, 1, 70, &[10, 20, 40], false);
    }

    /// A store in which versions, revisions and values stand in other orders than the keys.
    fn mixed_store(puts: &[(u8, u8)]) -> Store {
        let mut store = store(0, 0);
        for (key, value) in puts {
            let mut batch = Batch::default();
            let mut txn = store.write(&mut batch);
            txn.put(format!("k{key:03}").into(), vec![*value; usize::from(*value)].into(), LeaseId::NONE);
            txn.commit();
        }
        store
    }

    proptest! {
        /// A streamed range has the rows of a Range, in the same order.
        #[test]
        fn streamed_rows_are_those_of_a_range(
            puts in vec((0_u8..60, any::<u8>()), 0..120),
            sort_target in 0..5,
            limit in -1_i64..70,
            back in 0_i64..130,
            flags in any::<[bool; 2]>(),
            piece_bytes in 1_usize..4000,
        ) {
            let store = mixed_store(&puts);
            let revision = if back < store.revision() { store.revision() - back } else { 0 };
            let [keys_only, count_only] = flags;
            let request = RangeRequest {
                key: "k".into(),
                range_end: "k050".into(),
                limit,
                revision,
                sort_target,
                keys_only,
                count_only,
                ..RangeRequest::default()
            };
            let view = store.reader().view();
            let whole = range(&view, &request).expect("nothing is compacted");
            let header = view.revision();
            let mut cursor = RangeCursor::open(view, &request, piece_bytes).expect("nothing is compacted");
            let mut kvs = Vec::new();
            let end = loop {
                let piece = cursor.next_piece().expect("nothing is compacted");
                kvs.extend(piece.kvs);
                if let Some(end) = piece.end {
                    break end;
                }
            };
            prop_assert_eq!(kvs, whole.kvs);
            prop_assert_eq!(end, End { more: whole.more, count: whole.count, revision: header });
        }
    }
}
