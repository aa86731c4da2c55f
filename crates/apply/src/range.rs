//! Range requests: which rows of the store a response has, and in which order.
//!
//! A range is *opened* first. That counts its keys and chooses its rows, with the numbers of the index alone where that
//! is possible. Then the rows are read, at once or piece by piece.

use std::ops::ControlFlow;
use std::{cmp::Reverse, vec};

use bytes::Bytes;
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_base::KeyRange;
use ferretcd_mvcc::{
    Access, Corruption, Extent, KeyOrder, KeyState, ReadError, ReadView, RevisionBounds, RowCursor, RowId,
    Selection, Snapshot, Step,
};
use prost::Message;
use prost::encoding::encoded_len_varint;

use crate::top::Top;

/// Bytes of rows that are looked at together.
pub(crate) const READ_BYTES: usize = 64 << 10;
/// Bytes that a row which is sorted is reckoned to need beside those of the row.
const SORTED_ROW_BYTES: u64 = 128;
/// Bytes of the longest row that is reckoned with.
const LONG_ROW_BYTES: u64 = 2 << 20;

/// Executes a Range request on one view. The form of the request has been checked; the caller fills the header
/// of the response. Every revision of zero or below means the view's.
pub fn range(view: &ReadView, request: &RangeRequest) -> Result<RangeResponse, ReadError> {
    let snapshot = view.snapshot();
    OpenRange::open(&snapshot, request)?.read_all(&snapshot)
}

/// A range whose rows are known and not read.
#[derive(Debug)]
pub struct OpenRange {
    /// The response without its rows, and without its header.
    pub response: RangeResponse,
    /// The rows.
    pub rows: ListedRows,
}

impl OpenRange {
    /// Finds the rows of a response. The form of the request has been checked.
    ///
    /// A range in the order of the keys, with values and without bounds of revisions, costs what [`Snapshot::extent`] does.
    /// Others look at each key, and an order of values reads each row, which may block; see [`is_walk`]. What it holds of
    /// the rows then is at most [`held_bytes`].
    pub fn open(snapshot: &Snapshot<'_>, request: &RangeRequest) -> Result<Self, ReadError> {
        let plan = Plan::new(request);
        let count = |count: usize| RangeResponse { count: count as i64, ..RangeResponse::default() };
        if request.count_only {
            let count = count(snapshot.extent(&plan.keys, plan.selection.at, 1)?.count);
            return Ok(Self { response: count, rows: ListedRows::default() });
        }
        let (rows, n_found, n_keys) = match plan.order {
            Order::Keys if plan.is_known_by_extent() => plan.by_extent(snapshot)?,
            Order::Keys => plan.by_key(snapshot)?,
            Order::Numbers { target, descending: false } => plan.by_number(snapshot, |key| target.of(key))?,
            // `!` turns the order of numbers around; keys of equal numbers stay in theirs.
            Order::Numbers { target, descending: true } => plan.by_number(snapshot, |key| !target.of(key))?,
            Order::Values { descending: false } => plan.by_value(snapshot, |value| value)?,
            Order::Values { descending: true } => plan.by_value(snapshot, Reverse)?,
        };
        let more = plan.limit.is_some_and(|limit| n_found > limit);
        Ok(Self { response: RangeResponse { more, ..count(n_keys) }, rows })
    }

    /// Reads the rows into the response, with the snapshot that it was opened with. Blocks while rows are read that are not
    /// in memory.
    pub fn read_all(self, snapshot: &Snapshot<'_>) -> Result<RangeResponse, ReadError> {
        Ok(RangeResponse { kvs: self.rows.read_all(snapshot)?, ..self.response })
    }
}

/// Whether a range has another order than that of its keys.
pub fn is_sorted(request: &RangeRequest) -> bool {
    !request.count_only && Plan::new(request).order != Order::Keys
}

/// Whether the opening of a range looks at each of its keys.
pub fn is_walk(request: &RangeRequest) -> bool {
    let plan = Plan::new(request);
    let is_old = plan.selection.at.is_some();
    let is_known = request.count_only || plan.order == Order::Keys && plan.is_known_by_extent();
    is_old || !is_known
}

/// Bytes that an [`OpenRange`] has to hold of its rows, at most and estimated: none in the order of the keys, a number for
/// each row that is sorted by one, and the rows themselves in an order of values.
pub fn held_bytes(snapshot: &Snapshot<'_>, request: &RangeRequest) -> Result<u64, ReadError> {
    let plan = Plan::new(request);
    if request.count_only || plan.order == Order::Keys {
        return Ok(0);
    }
    let extent = snapshot.extent(&plan.keys, plan.selection.at, 0)?;
    let n_kept =
        plan.limit.map_or(extent.count, |limit| Top::<(), ()>::n_kept(limit).min(extent.count)) as u64;
    let rows_bytes = match plan.order {
        Order::Numbers { .. } if plan.values => 0,
        // The longest may be the ones that are kept.
        _ => extent.bytes.min(n_kept.saturating_mul(LONG_ROW_BYTES)),
    };
    Ok(n_kept * SORTED_ROW_BYTES + rows_bytes)
}

/// How a request is executed.
struct Plan {
    keys: KeyRange,
    selection: Selection,
    order: Order,
    limit: Option<usize>,
    /// Keys that are looked at, at most.
    candidates: Option<usize>,
    values: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// That of the selection.
    Keys,
    Numbers {
        target: Number,
        descending: bool,
    },
    Values {
        descending: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Version,
    Create,
    Mod,
}

impl Number {
    fn of(self, key: &KeyState<'_>) -> i64 {
        match self {
            Self::Version => key.version,
            Self::Create => key.create_revision,
            Self::Mod => key.mod_revision,
        }
    }
}

/// The rows, how many keys are in the order before the limit cuts it, and how many keys the range has.
type Found = (ListedRows, usize, usize);

impl Plan {
    fn new(request: &RangeRequest) -> Self {
        // Requests with numbers that are no enum value have been rejected before.
        let target = SortTarget::try_from(request.sort_target).unwrap_or(SortTarget::Key);
        let requested = SortOrder::try_from(request.sort_order).unwrap_or(SortOrder::None);
        let descending = requested == SortOrder::Descend;
        let order = match target {
            SortTarget::Key => Order::Keys,
            SortTarget::Version => Order::Numbers { target: Number::Version, descending },
            SortTarget::Create => Order::Numbers { target: Number::Create, descending },
            SortTarget::Mod => Order::Numbers { target: Number::Mod, descending },
            SortTarget::Value => Order::Values { descending },
        };
        let bounds = RevisionBounds {
            mod_min: request.min_mod_revision,
            mod_max: request.max_mod_revision,
            create_min: request.min_create_revision,
            create_max: request.max_create_revision,
        };
        let key_order = match order {
            Order::Keys if descending => KeyOrder::Descending,
            _ => KeyOrder::Ascending,
        };
        let at = (request.revision > 0).then_some(request.revision);
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0);
        // etcd cuts before it sorts when a sort target comes without an order; one more than the limit shows that there
        // is more.
        let is_cut_first = requested == SortOrder::None && bounds.is_unbounded();
        let candidates = limit.filter(|_| is_cut_first).map(|limit| limit.saturating_add(1));
        Self {
            keys: KeyRange::from_wire(request.key.clone(), request.range_end.clone()),
            selection: Selection { at, order: key_order, bounds },
            order,
            limit,
            candidates,
            values: !request.keys_only,
        }
    }

    /// Whether the sums of the index say all about a range in the order of the keys.
    fn is_known_by_extent(&self) -> bool {
        self.values && self.selection.bounds.is_unbounded()
    }

    fn by_extent(&self, snapshot: &Snapshot<'_>) -> Result<Found, ReadError> {
        let extent = |limit| snapshot.extent(&self.keys, self.selection.at, limit);
        let limit = self.limit.unwrap_or(0);
        let Extent { count, rows, bytes } = match self.selection.order {
            KeyOrder::Ascending => extent(limit)?,
            KeyOrder::Descending => {
                let all = extent(0)?;
                match all.count.checked_sub(limit).filter(|n_before| *n_before > 0 && limit > 0) {
                    Some(n_before) => {
                        let bytes = all.bytes - extent(n_before)?.bytes;
                        Extent { rows: limit, bytes, ..all }
                    }
                    None => all,
                }
            }
        };
        Ok((self.list(snapshot, rows, bytes)?, count, count))
    }

    fn by_key(&self, snapshot: &Snapshot<'_>) -> Result<Found, ReadError> {
        let (mut n_found, mut n_rows, mut bytes) = (0, 0, 0);
        snapshot.walk(&self.keys, &self.selection, |key| {
            n_found += 1;
            if self.limit.is_some_and(|limit| n_found > limit) {
                return ControlFlow::Break(());
            }
            n_rows += 1;
            bytes += listed_len(if self.values { key.row.row_bytes() } else { key.encoded_len() });
            ControlFlow::Continue(())
        })?;
        Ok((self.list(snapshot, n_rows, bytes)?, n_found, self.n_keys(snapshot)?))
    }

    fn by_number(
        &self,
        snapshot: &Snapshot<'_>,
        number: impl Fn(&KeyState<'_>) -> i64,
    ) -> Result<Found, ReadError> {
        let (mut ids, mut rows) = (Top::new(self.limit), Top::new(self.limit));
        let mut n_found = 0;
        snapshot.walk(&self.keys, &self.selection, |key| {
            n_found += 1;
            match self.values {
                true => ids.add(number(key), || key.row),
                false => rows.add(number(key), || key.encode()),
            }
            match self.candidates.is_some_and(|candidates| n_found == candidates) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        let rows = match self.values {
            true => ListedRows::of_ids(snapshot, ids.into_sorted(), self.selection.at)?,
            false => ListedRows::held(rows.into_sorted()),
        };
        Ok((rows, n_found, self.n_keys(snapshot)?))
    }

    fn by_value<K: Ord>(
        &self,
        snapshot: &Snapshot<'_>,
        order: impl Fn(Bytes) -> K,
    ) -> Result<Found, ReadError> {
        let mut cursor = snapshot.cursor(&self.keys, &self.selection, true)?;
        let (mut top, mut n_found, mut rows) = (Top::new(self.limit), 0, Vec::new());
        loop {
            let n_left = self.candidates.map_or(usize::MAX, |candidates| candidates - n_found);
            let step = snapshot.read(&mut cursor, READ_BYTES, n_left, Access::Backend, &mut rows)?;
            for row in rows.drain(..) {
                n_found += 1;
                // What was read shares memory with rows that are not kept.
                let row = Bytes::copy_from_slice(&row);
                top.add(order(decode(&row, snapshot)?.value), || row);
            }
            if step == Step::End || self.candidates == Some(n_found) {
                break;
            }
        }
        let rows = top.into_sorted();
        let rows = match self.values {
            true => rows,
            false => rows.iter().map(|row| without_value(row, snapshot)).collect::<Result<_, _>>()?,
        };
        Ok((ListedRows::held(rows), n_found, self.n_keys(snapshot)?))
    }

    fn list(&self, snapshot: &Snapshot<'_>, n_rows: usize, bytes: u64) -> Result<ListedRows, ReadError> {
        let cursor = snapshot.cursor(&self.keys, &self.selection, self.values)?;
        Ok(ListedRows { source: Source::Store(cursor), n_rows, bytes, revision: snapshot.revision() })
    }

    fn n_keys(&self, snapshot: &Snapshot<'_>) -> Result<usize, ReadError> {
        Ok(snapshot.extent(&self.keys, self.selection.at, 1)?.count)
    }
}

/// The rows of a list that are still to be read, in their order.
#[derive(Debug, Default)]
pub struct ListedRows {
    source: Source,
    n_rows: usize,
    bytes: u64,
    /// What it shows, for errors.
    revision: i64,
}

#[derive(Debug)]
enum Source {
    /// Of the same state that they were counted in, so there are as many.
    Store(RowCursor),
    Held(vec::IntoIter<Bytes>),
}

impl Default for Source {
    fn default() -> Self {
        Self::Held(Vec::new().into_iter())
    }
}

impl ListedRows {
    fn of_ids(snapshot: &Snapshot<'_>, ids: Vec<RowId>, at: Option<i64>) -> Result<Self, ReadError> {
        let bytes = ids.iter().map(|id| listed_len(id.row_bytes())).sum();
        let n_rows = ids.len();
        let revision = snapshot.revision();
        Ok(Self { source: Source::Store(snapshot.cursor_of(ids, at)?), n_rows, bytes, revision })
    }

    pub(crate) fn held(rows: Vec<Bytes>) -> Self {
        let bytes = rows.iter().map(|row| listed_len(row.len())).sum();
        Self { n_rows: rows.len(), bytes, source: Source::Held(rows.into_iter()), revision: 0 }
    }

    /// How many there are.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The bytes that they take in a message, each with its tag and length.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds the next rows, as [`RowCursor::read`] does: so many that they have `bytes` or a little more.
    pub fn read(&mut self, bytes: usize, access: Access, rows: &mut Vec<Bytes>) -> Result<Step, ReadError> {
        self.read_some(bytes, usize::MAX, access, rows)
    }

    /// The same with at most so many rows, of which there has to be one.
    pub(crate) fn read_some(
        &mut self,
        bytes: usize,
        n_rows: usize,
        access: Access,
        rows: &mut Vec<Bytes>,
    ) -> Result<Step, ReadError> {
        self.read_by(bytes, n_rows, rows, |cursor, n_rows, rows| cursor.read(bytes, n_rows, access, rows))
    }

    fn read_by(
        &mut self,
        bytes: usize,
        n_rows_max: usize,
        rows: &mut Vec<Bytes>,
        read: impl FnOnce(&mut RowCursor, usize, &mut Vec<Bytes>) -> Result<Step, ReadError>,
    ) -> Result<Step, ReadError> {
        if self.n_rows == 0 {
            return Ok(Step::End);
        }
        let n_before = rows.len();
        let step = match &mut self.source {
            Source::Store(cursor) => read(cursor, self.n_rows.min(n_rows_max), rows)?,
            Source::Held(held) => {
                let mut bytes_left = bytes;
                while bytes_left > 0
                    && rows.len() - n_before < n_rows_max
                    && let Some(row) = held.next()
                {
                    bytes_left = bytes_left.saturating_sub(row.len());
                    rows.push(row);
                }
                Step::More
            }
        };
        let bytes_read = rows[n_before..].iter().map(|row| listed_len(row.len())).sum::<u64>();
        self.n_rows -= rows.len() - n_before;
        let bytes_left = self.bytes.checked_sub(bytes_read);
        match (self.n_rows, bytes_left, step) {
            (0, Some(0), _) => {
                self.bytes = 0;
                Ok(Step::End)
            }
            (1.., Some(bytes_left), Step::More | Step::NotInMemory) => {
                self.bytes = bytes_left;
                Ok(step)
            }
            // The index has said otherwise, and the length may have been sent already.
            _ => Err(Corruption::Range { revision: self.revision }.into()),
        }
    }

    fn read_all(mut self, snapshot: &Snapshot<'_>) -> Result<Vec<EncodedKeyValue>, ReadError> {
        let mut rows = Vec::with_capacity(self.n_rows);
        let read = |cursor: &mut RowCursor, n_rows, rows: &mut Vec<Bytes>| {
            snapshot.read(cursor, READ_BYTES, n_rows, Access::Backend, rows)
        };
        while self.read_by(READ_BYTES, usize::MAX, &mut rows, read)? != Step::End {}
        Ok(rows.into_iter().map(EncodedKeyValue::from_encoded).collect())
    }
}

/// The bytes that a row takes in a list: with a tag of one byte, and its length.
pub(crate) fn listed_len(row_bytes: usize) -> u64 {
    (1 + encoded_len_varint(row_bytes as u64) + row_bytes) as u64
}

pub(crate) fn decode(row: &Bytes, snapshot: &Snapshot<'_>) -> Result<KeyValue, ReadError> {
    let decoded = EncodedKeyValue::from_encoded(row.clone()).decode();
    decoded.map_err(|_| Corruption::Range { revision: snapshot.revision() }.into())
}

fn without_value(row: &Bytes, snapshot: &Snapshot<'_>) -> Result<Bytes, ReadError> {
    let stripped = KeyValue { value: Bytes::new(), ..decode(row, snapshot)? };
    Ok(stripped.encode_to_vec().into())
}

#[cfg(test)]
mod tests;
