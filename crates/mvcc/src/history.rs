//! The history in its own order: revision by revision, for watches.

use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::Bucket;
use ferretcd_base::Revision;

use crate::change::{Change, ChangeKind};
use crate::error::{Corruption, ReadError};
use crate::key_index::end_of;
use crate::read::Reader;
use crate::row::{self, Fields};
use crate::shared::Shared;

/// How far one read of the history goes. Main revisions are never cut: the last one is read whole, and at
/// least one is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimit {
    /// The last main revision of interest.
    pub until: i64,
    /// Once there are so many changes no further revision is begun.
    pub changes: usize,
    /// Once the rows have so many bytes no further revision is begun.
    pub bytes: usize,
}

/// A stretch of the history.
///
/// A follower of the history reads what comes after `last`, from memory if it is there:
///
/// ```
/// use ferretcd_backend::{Backend, Batch};
/// use ferretcd_base::LeaseId;
/// use ferretcd_mvcc::{Config, HistoryLimit, Store};
///
/// let mut store = Store::open(Backend::in_memory(), &Config { cache_bytes: 1 << 20 })?;
/// let reader = store.reader();
/// let mut next = reader.revision() + 1;
///
/// let mut batch = Batch::default();
/// let mut txn = store.write(&mut batch);
/// txn.put("color".into(), "blue".into(), LeaseId::NONE);
/// txn.commit();
///
/// let limit = HistoryLimit { until: i64::MAX, changes: 1_000, bytes: 1 << 20 };
/// let stretch = match reader.recent_history(next, &limit) {
///     Some(stretch) => stretch,
///     None => reader.history(next, &limit)?,
/// };
/// assert_eq!(stretch.changes[0].key, "color");
/// assert_eq!(reader.previous_row(&stretch.changes[0])?, None);
/// next = stretch.last + 1;
/// assert_eq!(next, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// By revision.
    pub changes: Vec<Change>,
    /// The stretch ends with this main revision, inclusive: nothing up to it is missing. It is the one
    /// before the first requested one if there was nothing to read.
    pub last: i64,
}

impl Reader {
    /// The changes from the main revision `from` on, if they are all still in memory, as those of the last
    /// moments are; `None` if not. Never touches the backend; compactions don't matter.
    ///
    /// Costs some 50 ns for each change.
    pub fn recent_history(&self, from: i64, limit: &HistoryLimit) -> Option<History> {
        self.current.load().recent_history(from, limit)
    }

    /// The oldest main revision that [`Reader::recent_history`] can begin with now.
    pub fn recent_from(&self) -> i64 {
        self.current.load().recent.read().first()
    }

    /// The changes from the main revision `from` on, wherever they are. Blocks while the backend reads.
    /// History below the compacted revision is an error, also if a compaction passes `from` meanwhile. A
    /// stretch that is partly in memory ends with what the backend has. At the compacted revision itself a
    /// change is missing once it is removed, which happens only to one that another change of the same
    /// transaction has replaced.
    ///
    /// Costs about a microsecond for each change.
    pub fn history(&self, from: i64, limit: &HistoryLimit) -> Result<History, ReadError> {
        self.shared().history(from, limit)
    }

    /// The row that the key of `change` had before the transaction of `change`; `None` if the key didn't
    /// exist, or if a compaction has passed.
    ///
    /// Costs less than a microsecond if the row is in memory; else the backend is read.
    pub fn previous_row(&self, change: &Change) -> Result<Option<Bytes>, ReadError> {
        let before = change.revision.main - 1;
        let shared = self.shared();
        let row = shared.row_at(&change.key, before);
        match shared.check_not_compacted(before) {
            Ok(()) => row,
            Err(_) => Ok(None),
        }
    }
}

impl Shared {
    fn recent_history(&self, from: i64, limit: &HistoryLimit) -> Option<History> {
        let until = limit.until.min(self.current());
        let mut stretch = Stretch::new(limit);
        let mut last = until;
        {
            let recent = self.recent.read();
            if from < recent.first() {
                return None;
            }
            for main in from..=until {
                if stretch.is_full() {
                    last = main - 1;
                    break;
                }
                for (sub, row) in (0..).zip(recent.transaction(main)) {
                    stretch.add(Revision::new(main, sub), row.clone());
                }
            }
        }
        let changes = stretch.rows.into_iter().map(|(revision, row)| {
            let fields = Fields::parse(&row).expect("a row in memory was encoded by this store");
            // A put always has its revision in the row.
            let kind = if fields.mod_revision == 0 { ChangeKind::Delete } else { ChangeKind::Put };
            Change { revision, kind, key: row.slice_ref(fields.key), lease: fields.lease, row }
        });
        Some(History { changes: changes.collect(), last: last.max(from - 1) })
    }

    fn history(&self, from: i64, limit: &HistoryLimit) -> Result<History, ReadError> {
        self.check_not_compacted(from)?;
        if let Some(history) = self.recent_history(from, limit) {
            return Ok(history);
        }
        let history = self.stored_history(from, limit);
        // Rows that a compaction has removed meanwhile are no corruption.
        self.check_not_compacted(from)?;
        history
    }

    fn stored_history(&self, from: i64, limit: &HistoryLimit) -> Result<History, ReadError> {
        // In this order: rows leave the memory only when a view of the backend has them.
        let stored = self.recent.read().first() - 1;
        let view = self.backend.view();
        let until = limit.until.min(stored);
        // Negative numbers come behind all others in the order of bytes.
        let start = Revision::new(from.max(0), 0).to_bytes();
        let end = Revision::new(until.max(0) + 1, 0).to_bytes();
        let mut stretch = Stretch::new(limit);
        let mut kinds = Vec::new();
        let mut last = until;
        for row in view.range(Bucket::Key, (Bound::Included(&start), Bound::Excluded(&end)))? {
            let (row_key, row) = row?;
            let (revision, tombstone) = row::parse_key(&row_key)?;
            if stretch.is_full() && stretch.main() != Some(revision.main) {
                last = revision.main - 1;
                break;
            }
            kinds.push(if tombstone { ChangeKind::Delete } else { ChangeKind::Put });
            stretch.add(revision, row);
        }
        let changes = stretch.rows.into_iter().zip(kinds).map(|((revision, row), kind)| {
            let fields = Fields::parse(&row).ok_or(Corruption::Row { revision })?;
            Ok(Change { revision, kind, key: row.slice_ref(fields.key), lease: fields.lease, row })
        });
        let changes = changes.collect::<Result<_, ReadError>>()?;
        Ok(History { changes, last: last.max(from - 1) })
    }

    fn row_at(&self, key: &[u8], main: i64) -> Result<Option<Bytes>, ReadError> {
        let Some(stamp) = self.index.at(key, end_of(main)).filter(|stamp| !stamp.is_tombstone()) else {
            return Ok(None);
        };
        if let Some(row) = self.recent.read().get(stamp.revision()) {
            return Ok(Some(row.clone()));
        }
        self.stored_row(stamp.revision()).map(Some)
    }
}

/// Rows gathered up to a limit.
struct Stretch<'a> {
    limit: &'a HistoryLimit,
    rows: Vec<(Revision, Bytes)>,
    bytes: usize,
}

impl<'a> Stretch<'a> {
    fn new(limit: &'a HistoryLimit) -> Self {
        Self { limit, rows: Vec::new(), bytes: 0 }
    }

    fn add(&mut self, revision: Revision, row: Bytes) {
        self.bytes += row.len();
        self.rows.push((revision, row));
    }

    fn is_full(&self) -> bool {
        !self.rows.is_empty() && (self.rows.len() >= self.limit.changes || self.bytes >= self.limit.bytes)
    }

    /// The main revision of the last row.
    fn main(&self) -> Option<i64> {
        self.rows.last().map(|(revision, _)| revision.main)
    }
}
