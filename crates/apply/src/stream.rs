//! Ranges read piece by piece, for streamed responses.

use bytes::{BufMut, Bytes, BytesMut};
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::RangeRequest;
use ferretcd_base::KeyRange;
use ferretcd_mvcc::{RangeOptions, ReadError, ReadView};

/// Keys of the first piece.
const FIRST_KEYS: usize = 10;

/// A range at one revision, read in pieces of about a given size. Holds no lock and no data between two
/// pieces; a compaction that passes the revision ends it with [`ReadError::Compacted`].
#[derive(Debug)]
pub struct RangeCursor {
    view: ReadView,
    rest: KeyRange,
    at: i64,
    keys_only: bool,
    /// Keys still to come.
    left: usize,
    /// Keys of the next piece.
    step: usize,
    /// Bytes that a piece should have, about.
    piece_bytes: usize,
    more: bool,
    count: usize,
}

/// One piece of a range.
#[derive(Debug)]
pub struct Piece {
    /// In key order, behind those of the piece before.
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
    /// Counts the range. The request has neither filters nor an order of its own.
    pub fn open(view: ReadView, request: &RangeRequest, piece_bytes: usize) -> Result<Self, ReadError> {
        let rest = KeyRange::from_wire(request.key.clone(), request.range_end.clone());
        let at = if request.revision > 0 { request.revision } else { view.revision() };
        let options = RangeOptions { at: Some(at), count_only: true, ..RangeOptions::default() };
        let count = view.range(&rest, &options)?.count;
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let left = if request.count_only { 0 } else { count.min(limit) };
        let more = !request.count_only && count > limit;
        let keys_only = request.keys_only;
        Ok(Self { view, rest, at, keys_only, left, step: FIRST_KEYS, piece_bytes, more, count })
    }

    /// Reads the next piece. Not to be called again after one with an [`End`].
    pub fn next_piece(&mut self) -> Result<Piece, ReadError> {
        let limit = self.step.min(self.left);
        let mut kvs = Vec::new();
        if limit > 0 {
            let options = RangeOptions {
                at: Some(self.at),
                limit,
                keys_only: self.keys_only,
                skip_count: true,
                count_only: false,
            };
            let rows = self.view.range(&self.rest, &options)?.rows;
            if let Some(last) = rows.last() {
                self.rest = behind(&self.rest, &last.key_value()?.key);
            }
            kvs = rows.into_iter().map(|row| EncodedKeyValue::from_encoded(row.encoded)).collect();
        }
        self.left -= kvs.len();
        self.adapt(kvs.iter().map(|kv| kv.as_bytes().len()).sum());
        let end = (self.left == 0).then(|| End {
            more: self.more,
            count: self.count as i64,
            revision: self.view.revision(),
        });
        Ok(Piece { kvs, end })
    }

    /// Doubles the number of keys after a small piece and halves it after a large one.
    fn adapt(&mut self, bytes: usize) {
        if bytes < self.piece_bytes / 2 {
            self.step = self.step.saturating_mul(2);
        } else if bytes > self.piece_bytes.saturating_mul(2) {
            self.step = (self.step / 2).max(1);
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
}
