//! What one read sees.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use ferretcd_base::{KeyRange, Revision};

use crate::change::Change;
use crate::cursor::{Access, RowCursor, Step};
use crate::error::ReadError;
use crate::index::Extent;
use crate::key_index::end_of;
use crate::range::{RangeOptions, RangeResult, Row};
use crate::rest::Rest;
use crate::selection::{KeyState, RowId, Selection};
use crate::shared::Shared;

/// Bytes of rows that are read together.
const READ_BYTES: usize = 64 << 10;

/// The state that a read is made of: all up to one revision, and within a write transaction its own changes as well.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    /// The last change that is seen.
    pub(crate) last: Revision,
    /// The changes of the running transaction, by sub revision; empty outside of one.
    pub(crate) pending: &'a [Change],
}

/// The state at one revision, see [`Reader::view`](crate::Reader::view). It keeps the state that it was made of, also when the store
/// is restored meanwhile.
#[derive(Clone, Debug)]
pub struct ReadView {
    pub(crate) shared: Arc<Shared>,
    /// The last change that is seen.
    pub(crate) last: Revision,
}

/// Views are equal if they show the same revision of the same state.
impl PartialEq for ReadView {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) && self.last == other.last
    }
}

impl Eq for ReadView {}

impl ReadView {
    /// The newest revision that can be read here.
    pub fn revision(&self) -> i64 {
        self.last.main
    }

    /// For reading.
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { shared: &self.shared, last: self.last, pending: &[] }
    }

    /// See [`Snapshot::range`].
    pub fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, ReadError> {
        self.snapshot().range(range, options)
    }
}

impl<'a> Snapshot<'a> {
    /// The main revision up to which it sees.
    pub fn revision(&self) -> i64 {
        self.last.main
    }

    /// The same state for later, without the transaction: its changes are seen when it has been committed.
    pub fn to_view(&self) -> ReadView {
        ReadView { shared: Arc::clone(self.shared), last: self.last }
    }

    /// How many keys of `range` exist at `at`, and what the first `limit` of them (0 for all) take in a response.
    ///
    /// Reads no row. Costs some microseconds for the current revision, however many keys there are; for an older one
    /// some 20 ns for each key near one that has changed since.
    pub fn extent(&self, range: &KeyRange, at: Option<i64>, limit: usize) -> Result<Extent, ReadError> {
        let at = self.bound(at)?;
        let extent = range.bounds().map(|bounds| self.shared.index.measure(bounds, at, limit));
        self.shared.check_readable(at)?;
        Ok(extent.unwrap_or_default())
    }

    /// Shows `visit` the keys of `range` that are selected, until it breaks.
    ///
    /// Reads no row. The index is locked for some hundred keys at a time. Costs some 20 ns for each key of the range,
    /// selected or not.
    pub fn walk(
        &self,
        range: &KeyRange,
        selection: &Selection,
        mut visit: impl FnMut(&KeyState<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let Selection { at, order, bounds } = *selection;
        let at = self.bound(at)?;
        if let KeyRange::Key(key) = range {
            let stamp =
                self.shared.index.at(key, at).filter(|stamp| !stamp.is_tombstone() && bounds.contains(stamp));
            self.shared.check_readable(at)?;
            if let Some(stamp) = &stamp {
                let _ = visit(&KeyState::new(key, stamp));
            }
            return Ok(());
        }
        let (mut rest, mut flow) = (Rest::new(range), ControlFlow::Continue(()));
        while !rest.is_empty() && flow.is_continue() {
            rest.scan(&self.shared.index, order, |key, state| {
                if let Some(stamp) = state.live_at(at).filter(|stamp| bounds.contains(stamp)) {
                    flow = visit(&KeyState::new(key, stamp));
                }
                flow
            });
            self.shared.check_readable(at)?;
        }
        Ok(())
    }

    /// The rows of the selected keys of `range`, to be read piece by piece; see [`RowCursor`]. Without `values` they are
    /// without value and lease, and come from the index alone.
    pub fn cursor(
        &self,
        range: &KeyRange,
        selection: &Selection,
        values: bool,
    ) -> Result<RowCursor, ReadError> {
        let at = self.bound(selection.at)?;
        Ok(RowCursor::over(Arc::clone(self.shared), at, Rest::new(range), *selection, values))
    }

    /// Rows that [`Self::walk`] has shown at the revision `at`, in any order, to be read piece by piece.
    pub fn cursor_of(&self, rows: Vec<RowId>, at: Option<i64>) -> Result<RowCursor, ReadError> {
        Ok(RowCursor::of(Arc::clone(self.shared), self.bound(at)?, rows))
    }

    /// As [`RowCursor::read`], for a cursor of this snapshot: within a transaction its changes are not seen otherwise.
    pub fn read(
        &self,
        cursor: &mut RowCursor,
        bytes: usize,
        n_rows: usize,
        access: Access,
        rows: &mut Vec<Bytes>,
    ) -> Result<Step, ReadError> {
        cursor.read_with(self.pending, bytes, n_rows, access, rows)
    }

    /// The keys of `range` that exist at [`RangeOptions::at`], in key order.
    ///
    /// If a compaction passes the revision meanwhile, the result is [`ReadError::Compacted`]: to read the newest
    /// state, take another view and try again. Cost: a few hundred nanoseconds for each row in memory, a few
    /// microseconds for each other, and the cost of [`Self::extent`] unless [`RangeOptions::skip_count`].
    pub fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, ReadError> {
        let RangeOptions { at, limit, count_only, keys_only, skip_count } = *options;
        let (mut rows, mut ids) = (Vec::new(), Vec::new());
        if !count_only {
            self.walk(range, &Selection { at, ..Selection::default() }, |key| {
                rows.push(Row::new(key, if keys_only { key.encode() } else { Bytes::new() }));
                ids.push(key.row);
                match rows.len() == limit {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?;
        }
        if !keys_only {
            let (mut cursor, mut encoded) = (self.cursor_of(ids, at)?, Vec::with_capacity(rows.len()));
            while self.read(&mut cursor, READ_BYTES, usize::MAX, Access::Backend, &mut encoded)? != Step::End
            {
            }
            rows.iter_mut().zip(encoded).for_each(|(row, encoded)| row.encoded = encoded);
        }
        let is_whole = matches!(range, KeyRange::Key(_)) && !count_only;
        let count = if skip_count || is_whole { rows.len() } else { self.extent(range, at, 1)?.count };
        Ok(RangeResult { rows, count })
    }

    /// The last change that a read at the main revision `at` sees.
    fn bound(&self, at: Option<i64>) -> Result<Revision, ReadError> {
        let current = self.last.main;
        let bound = match at {
            Some(requested) if requested > current => return Err(ReadError::Future { requested, current }),
            Some(requested) if requested < current => end_of(requested),
            _ => self.last,
        };
        self.shared.check_readable(bound)?;
        Ok(bound)
    }
}
