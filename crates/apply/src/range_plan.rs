//! How a Range request is executed: which keys are looked at, and which rows the response has in which order.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse};
use ferretcd_base::KeyRange;
use ferretcd_mvcc::{
    Access, Extent, KeyOrder, KeyState, ReadError, RevisionBounds, Selection, Snapshot, Step,
};

use crate::range::{ListedRows, OpenRange, READ_BYTES, decode, listed_len, without_value};
use crate::top::Top;

/// Bytes that a row which is sorted is reckoned to need beside those of the row.
const SORTED_ROW_BYTES: u64 = 128;
/// Bytes of the longest row that is reckoned with.
const LONG_ROW_BYTES: u64 = 2 << 20;

/// How a Range request is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangePlan {
    pub(crate) keys: KeyRange,
    pub(crate) selection: Selection,
    order: Order,
    limit: Option<usize>,
    /// Keys that are looked at, at most.
    candidates: Option<usize>,
    values: bool,
    count_only: bool,
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

impl RangePlan {
    /// For a request whose form has been checked. Every revision of zero or below means the newest that is seen.
    pub fn new(request: &RangeRequest) -> Self {
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
            count_only: request.count_only,
        }
    }

    /// Whether the order is another than that of the keys.
    pub fn is_sorted(&self) -> bool {
        !self.count_only && self.order != Order::Keys
    }

    /// Whether [`Self::open`] looks at each key.
    pub fn is_walk(&self) -> bool {
        let is_old = self.selection.at.is_some();
        let is_known = self.count_only || self.order == Order::Keys && self.is_known_by_extent();
        is_old || !is_known
    }

    /// Bytes that an [`OpenRange`] has to hold of its rows, at most and estimated: none in the order of the keys, a number
    /// for each row that is sorted by one, and the rows themselves in an order of values.
    pub fn held_bytes(&self, snapshot: &Snapshot<'_>) -> Result<u64, ReadError> {
        if !self.is_sorted() {
            return Ok(0);
        }
        let extent = snapshot.extent(&self.keys, self.selection.at, 0)?;
        let n_kept =
            self.limit.map_or(extent.count, |limit| Top::<(), ()>::n_kept(limit).min(extent.count)) as u64;
        let rows_bytes = match self.order {
            Order::Numbers { .. } if self.values => 0,
            // The longest may be the ones that are kept.
            _ => extent.bytes.min(n_kept.saturating_mul(LONG_ROW_BYTES)),
        };
        Ok(n_kept * SORTED_ROW_BYTES + rows_bytes)
    }

    /// Finds the rows of the response.
    ///
    /// A range in the order of the keys, with values and without bounds of revisions, costs what [`Snapshot::extent`] does.
    /// Others look at each key, and an order of values reads each row, which may block; see [`Self::is_walk`]. What it holds
    /// of the rows then is at most [`Self::held_bytes`].
    pub fn open(&self, snapshot: &Snapshot<'_>) -> Result<OpenRange, ReadError> {
        let count = |count: usize| RangeResponse { count: count as i64, ..RangeResponse::default() };
        if self.count_only {
            let count = count(snapshot.extent(&self.keys, self.selection.at, 1)?.count);
            return Ok(OpenRange { response: count, rows: ListedRows::default() });
        }
        let (rows, n_found, n_keys) = match self.order {
            Order::Keys if self.is_known_by_extent() => self.by_extent(snapshot)?,
            Order::Keys => self.by_key(snapshot)?,
            Order::Numbers { target, descending: false } => self.by_number(snapshot, |key| target.of(key))?,
            // `!` turns the order of numbers around; keys of equal numbers stay in theirs.
            Order::Numbers { target, descending: true } => self.by_number(snapshot, |key| !target.of(key))?,
            Order::Values { descending: false } => self.by_value(snapshot, |value| value)?,
            Order::Values { descending: true } => self.by_value(snapshot, Reverse)?,
        };
        let more = self.limit.is_some_and(|limit| n_found > limit);
        Ok(OpenRange { response: RangeResponse { more, ..count(n_keys) }, rows })
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
        Ok(ListedRows::stored(cursor, n_rows, bytes, snapshot.revision()))
    }

    fn n_keys(&self, snapshot: &Snapshot<'_>) -> Result<usize, ReadError> {
        Ok(snapshot.extent(&self.keys, self.selection.at, 1)?.count)
    }
}
