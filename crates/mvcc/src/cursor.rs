//! Rows read piece by piece.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use ferretcd_base::Revision;

use crate::change::Change;
use crate::error::{Corruption, ReadError};
use crate::rest::Rest;
use crate::selection::{KeyState, RowId, Selection};
use crate::shared::Shared;
use crate::stored_rows::Caching;

/// Chunks of the index that one call looks at, at most: what a range of deleted keys costs at once.
const CHUNKS_MAX: usize = 16;
/// Bytes of a list whose rows are kept in the cache.
const CACHED_BYTES_MAX: usize = 1 << 20;

/// Rows of one state, in their order. It holds no lock and no row between two calls, and nothing back: when a compaction
/// passes the revision its reads fail with [`ReadError::Compacted`].
#[derive(Debug)]
pub struct RowCursor {
    shared: Arc<Shared>,
    at: Revision,
    source: Source,
    bytes_read: usize,
    /// Found and not yet read.
    wanted: VecDeque<RowId>,
}

/// Where the rows still to come are.
#[derive(Debug)]
enum Source {
    /// Behind the keys of a range.
    Range { rest: Rest, selection: Selection, values: bool },
    /// All are known.
    Known,
}

/// Where rows may be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// From memory alone: never blocks.
    Memory,
    /// From the backend as well: blocks while it reads.
    Backend,
}

/// What a step of a [`RowCursor`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more rows.
    More,
    /// There are no more rows.
    End,
    /// One of the next rows is not in memory; none was added.
    NotInMemory,
}

impl RowCursor {
    pub(crate) fn over(
        shared: Arc<Shared>,
        at: Revision,
        rest: Rest,
        selection: Selection,
        values: bool,
    ) -> Self {
        let source = Source::Range { rest, selection, values };
        Self { shared, at, source, bytes_read: 0, wanted: VecDeque::new() }
    }

    pub(crate) fn of(shared: Arc<Shared>, at: Revision, rows: Vec<RowId>) -> Self {
        Self { shared, at, source: Source::Known, bytes_read: 0, wanted: rows.into() }
    }

    /// Adds the next rows, so many that they have `bytes` or a little more, and at most `n_rows`. Looks at some thousand keys
    /// at most: with [`Step::More`] there may be few rows or none.
    ///
    /// Costs some 100 ns for each row in memory, a few microseconds for each other.
    pub fn read(
        &mut self,
        bytes: usize,
        n_rows: usize,
        access: Access,
        rows: &mut Vec<Bytes>,
    ) -> Result<Step, ReadError> {
        self.read_with(&[], bytes, n_rows, access, rows)
    }

    /// The same with the changes of a running transaction.
    pub(crate) fn read_with(
        &mut self,
        pending: &[Change],
        bytes: usize,
        n_rows: usize,
        access: Access,
        rows: &mut Vec<Bytes>,
    ) -> Result<Step, ReadError> {
        let n_before = rows.len();
        if self.wanted.is_empty() {
            self.find(bytes, n_rows, rows);
        }
        let loaded = self.load(pending, bytes, n_rows - (rows.len() - n_before), access, rows);
        // Looked at last, and before anything is called corrupt: a compaction that has passed meanwhile may have taken
        // keys from the index or rows from the backend.
        self.shared.check_readable(self.at)?;
        if !loaded? {
            return Ok(Step::NotInMemory);
        }
        let is_end = self.wanted.is_empty()
            && match &self.source {
                Source::Range { rest, .. } => rest.is_empty(),
                Source::Known => true,
            };
        Ok(if is_end { Step::End } else { Step::More })
    }

    /// Finds the next rows in the index, and adds those that come from there.
    fn find(&mut self, bytes: usize, n_rows: usize, rows: &mut Vec<Bytes>) {
        let Source::Range { rest, selection, values } = &mut self.source else { return };
        let (mut n_left, mut bytes_left) = (n_rows, bytes);
        for _ in 0..CHUNKS_MAX {
            if rest.is_empty() || n_left == 0 || bytes_left == 0 {
                return;
            }
            rest.scan(&self.shared.index, selection.order, |key, state| {
                let stamp = state.live_at(self.at).filter(|stamp| selection.bounds.contains(stamp));
                let Some(stamp) = stamp else { return ControlFlow::Continue(()) };
                let key = KeyState::new(key, stamp);
                let row_bytes = if *values {
                    self.wanted.push_back(key.row);
                    key.row.row_bytes()
                } else {
                    let row = key.encode();
                    let row_bytes = row.len();
                    rows.push(row);
                    row_bytes
                };
                (n_left, bytes_left) = (n_left - 1, bytes_left.saturating_sub(row_bytes));
                match n_left == 0 || bytes_left == 0 {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        }
    }

    /// Reads rows that are wanted; false, and none, if one of them is not in memory and may not be read from elsewhere.
    fn load(
        &mut self,
        pending: &[Change],
        bytes: usize,
        n_rows: usize,
        access: Access,
        rows: &mut Vec<Bytes>,
    ) -> Result<bool, ReadError> {
        let mut bytes_left = bytes;
        let n_wanted = self.wanted.iter().take(n_rows).take_while(|row| {
            let is_within = bytes_left > 0;
            bytes_left = bytes_left.saturating_sub(row.row_bytes());
            is_within
        });
        let n_wanted = n_wanted.count();
        let n_before = rows.len();
        {
            // An empty row stands for one that isn't among the recent: a stored row has at least its key.
            let recent = self.shared.recent.read();
            let first = recent.first();
            rows.extend(self.wanted.iter().take(n_wanted).map(|row| match row.main < first {
                true => Bytes::new(),
                false => {
                    recent.get(row.revision()).or_else(|| find(pending, *row)).cloned().unwrap_or_default()
                }
            }));
        }
        let missing = self.wanted.iter().take(n_wanted).zip(n_before..);
        let missing = missing.filter(|(_, number)| rows[*number].is_empty());
        let missing: Vec<_> = missing.map(|(row, number)| (row.revision(), number)).collect();
        if access == Access::Backend {
            let is_long = self.bytes_read > CACHED_BYTES_MAX;
            let caching = if is_long { Caching::No } else { Caching::Yes };
            self.shared.stored_rows(missing, caching, |number, row| rows[number] = row)?;
        } else {
            for (revision, number) in missing {
                let Some(row) = self.shared.cache.get(revision) else {
                    rows.truncate(n_before);
                    return Ok(false);
                };
                rows[number] = row;
            }
        }
        self.bytes_read += rows[n_before..].iter().map(Bytes::len).sum::<usize>();
        let of_wrong_length = self
            .wanted
            .drain(..n_wanted)
            .zip(&rows[n_before..])
            .find(|(id, row)| id.row_bytes() != row.len());
        match of_wrong_length {
            // Readers rely on the lengths in the index.
            Some((id, _)) => Err(Corruption::Row { revision: id.revision() }.into()),
            None => Ok(true),
        }
    }
}

/// A row among the changes of a transaction.
fn find(pending: &[Change], row: RowId) -> Option<&Bytes> {
    let change = pending.get(row.sub as usize)?;
    (change.revision == row.revision()).then_some(&change.row)
}
