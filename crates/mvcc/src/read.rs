//! Reading: many at a time, from any thread, each at one revision.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ferretcd_base::KeyRange;

use crate::change::Change;
use crate::error::{Corruption, ReadError};
use crate::index::Bounds;
use crate::key_index::{KeyIndex, Stamp, end_of};
use crate::row::Fields;
use crate::shared::Shared;

/// Keys looked at in one go. The writer waits for that long when it creates a key.
const CHUNK_KEYS: usize = 256;

/// A handle for reading from any thread while the [`Store`](crate::Store) is written to. Cheap to clone. It
/// outlives the state that it reads: after [`Store::restore`](crate::Store::restore) it shows the new one.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(crate) current: Arc<ArcSwap<Shared>>,
}

impl Reader {
    /// A view at the current revision: all transactions committed so far and none of the following ones.
    /// Costs next to nothing and holds nothing back; once a compaction passes its revision its reads fail.
    pub fn view(&self) -> ReadView {
        let shared = self.shared();
        ReadView { revision: shared.current(), shared }
    }

    /// The current main revision; 1 in an empty store.
    pub fn revision(&self) -> i64 {
        self.current.load().current()
    }

    /// The compacted revision; -1 if there never was a compaction.
    pub fn compacted(&self) -> i64 {
        self.current.load().compacted()
    }

    /// The number of keys that exist, counting what a running transaction has changed already.
    pub fn key_count(&self) -> usize {
        self.current.load().index.n_live()
    }

    /// Memory held by rows that the backend's view does not have yet.
    pub fn buffered_bytes(&self) -> usize {
        self.current.load().recent.read().bytes()
    }

    /// The state as it is now. Two facts that have to fit together must come from one call: the next one
    /// may return the state of a restored store.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        self.current.load_full()
    }
}

/// The state at one revision, see [`Reader::view`]. It keeps the state that it was made of, also when the store
/// is restored meanwhile.
#[derive(Clone, Debug)]
pub struct ReadView {
    shared: Arc<Shared>,
    revision: i64,
}

impl ReadView {
    /// The newest revision that can be read here.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The keys of `range` that exist at [`RangeOptions::at`], in key order.
    ///
    /// Works in chunks of some hundred keys; the index is locked for one chunk at a time. If a compaction
    /// passes the revision meanwhile, the result is [`ReadError::Compacted`]: to read the newest
    /// state, take another view and try again. Cost: a few hundred nanoseconds for each row in memory, a few
    /// microseconds for each other, and without [`RangeOptions::skip_count`] some 50 ns for each key in
    /// the range.
    pub fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, ReadError> {
        Snapshot { shared: &self.shared, revision: self.revision, pending: &[] }.range(range, options)
    }
}

/// The selection of a range read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeOptions {
    /// The main revision to read at, not below the compacted one; `None` is the newest of the view. No key
    /// exists at numbers below 2.
    pub at: Option<i64>,
    /// The largest number of rows; 0 is no bound.
    pub limit: usize,
    /// No rows, only the count.
    pub count_only: bool,
    /// Rows without value and lease. They come from the index alone.
    pub keys_only: bool,
    /// Stops at the limit; the count is then that of the rows.
    pub skip_count: bool,
}

/// The result of a range read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeResult {
    /// In key order, no more than the limit.
    pub rows: Vec<Row>,
    /// All keys of the range that exist at the revision, whatever the limit.
    pub count: usize,
}

/// One key's state at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The protobuf `mvccpb.KeyValue`, byte for byte as stored and shared with the store's own memory.
    /// In a keys-only read it is made anew, without value and lease.
    pub encoded: Bytes,
    /// Main revision of the put that created the key.
    pub create_revision: i64,
    /// Main revision of the last put.
    pub mod_revision: i64,
    /// Number of puts since the key was created.
    pub version: i64,
}

impl Row {
    /// The row decoded; key and value share its bytes. Fails only for a corrupt backend.
    pub fn key_value(&self) -> Result<ferretcd_api_proto::mvccpb::KeyValue, ReadError> {
        let revision = ferretcd_base::Revision::new(self.mod_revision, 0);
        prost::Message::decode(self.encoded.clone()).map_err(|_| Corruption::Row { revision }.into())
    }

    fn new(stamp: &Stamp, encoded: Bytes) -> Self {
        Self { encoded, create_revision: stamp.create, mod_revision: stamp.main, version: stamp.version }
    }

    fn key_only(stamp: &Stamp, key: &[u8]) -> Self {
        let fields = Fields {
            key,
            create_revision: stamp.create,
            mod_revision: stamp.main,
            version: stamp.version,
            ..Fields::default()
        };
        Self::new(stamp, fields.encode())
    }
}

/// What one read looks at: everything up to `revision`, with the rows in `pending`, which no other
/// reader sees.
#[derive(Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) revision: i64,
    /// The changes of the running transaction, by sub revision; empty outside of one. Their main revision
    /// is `revision`.
    pub(crate) pending: &'a [Change],
}

impl Snapshot<'_> {
    pub(crate) fn range(&self, range: &KeyRange, options: &RangeOptions) -> Result<RangeResult, ReadError> {
        let at = options.at.unwrap_or(self.revision);
        if at > self.revision {
            return Err(ReadError::Future { requested: at, current: self.revision });
        }
        self.shared.check_not_compacted(at)?;
        if options.count_only {
            let limit = if options.skip_count { options.limit } else { 0 };
            let extent = range.bounds().map(|bounds| self.shared.index.measure(bounds, end_of(at), limit));
            self.shared.check_not_compacted(at)?;
            let count = extent.unwrap_or_default().rows;
            return Ok(RangeResult { count, ..RangeResult::default() });
        }
        let mut collector = Collector::new(at, options);
        if let Some(bounds) = range.bounds() {
            self.collect(bounds, &mut collector)?;
        }
        Ok(collector.result)
    }

    fn collect(&self, (start, end): Bounds<'_>, collector: &mut Collector) -> Result<(), ReadError> {
        let index = &self.shared.index;
        let mut last = index.scan((start, end), CHUNK_KEYS, |key, state| collector.visit(key, state));
        self.finish_chunk(collector)?;
        while let Some(key) = last {
            let rest = (Bound::Excluded(&key[..]), end);
            last = index.scan(rest, CHUNK_KEYS, |key, state| collector.visit(key, state));
            self.finish_chunk(collector)?;
        }
        Ok(())
    }

    /// Loads the rows of a chunk. A compaction that has passed meanwhile may have taken stamps from the
    /// index or rows from the backend, so that is looked at last, and before anything is called corrupt.
    fn finish_chunk(&self, collector: &mut Collector) -> Result<(), ReadError> {
        let loaded = self.load(&collector.wanted, &mut collector.result.rows);
        collector.wanted.clear();
        self.shared.check_not_compacted(collector.at)?;
        loaded
    }

    fn load(&self, stamps: &[Stamp], rows: &mut Vec<Row>) -> Result<(), ReadError> {
        if stamps.is_empty() {
            return Ok(());
        }
        let n_before = rows.len();
        {
            // An empty row stands for one that isn't in memory: a stored row has at least its key.
            let recent = self.shared.recent.read();
            let in_memory = |stamp| self.pending_row(stamp).or_else(|| recent.get(stamp));
            rows.extend(
                stamps.iter().map(|stamp| Row::new(stamp, in_memory(stamp).cloned().unwrap_or_default())),
            );
        }
        for (row, stamp) in rows[n_before..].iter_mut().zip(stamps) {
            if row.encoded.is_empty() {
                row.encoded = self.shared.stored_row(stamp.revision())?;
            }
        }
        Ok(())
    }

    fn pending_row(&self, stamp: &Stamp) -> Option<&Bytes> {
        let is_pending = stamp.main == self.revision && !self.pending.is_empty();
        is_pending.then(|| &self.pending[stamp.sub as usize].row)
    }
}

/// Picks from the keys of a range those that the options select.
struct Collector {
    at: i64,
    limit: usize,
    count_only: bool,
    keys_only: bool,
    skip_count: bool,
    /// Found in the running chunk, rows not yet loaded.
    wanted: Vec<Stamp>,
    result: RangeResult,
}

impl Collector {
    fn new(at: i64, options: &RangeOptions) -> Self {
        let &RangeOptions { limit, count_only, keys_only, skip_count, .. } = options;
        let limit = if limit == 0 { usize::MAX } else { limit };
        let result = RangeResult::default();
        Self { at, limit, count_only, keys_only, skip_count, wanted: Vec::new(), result }
    }

    fn visit(&mut self, key: &[u8], state: &KeyIndex) -> ControlFlow<()> {
        let Some(stamp) = state.live_at(end_of(self.at)) else { return ControlFlow::Continue(()) };
        self.result.count += 1;
        if !self.count_only && self.result.count <= self.limit {
            match self.keys_only {
                true => self.result.rows.push(Row::key_only(stamp, key)),
                false => self.wanted.push(*stamp),
            }
        }
        match self.skip_count && self.result.count >= self.limit {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
