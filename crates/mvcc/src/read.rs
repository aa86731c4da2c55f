//! Reading: many at a time, from any thread, each at one revision.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ferretcd_base::{KeyRange, Revision};

use crate::error::{Corruption, ReadError};
use crate::key_index::{Stamp, end_of};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

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
        ReadView { last: end_of(shared.current()), shared }
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

    pub(crate) fn new(stamp: &Stamp, encoded: Bytes) -> Self {
        Self { encoded, create_revision: stamp.create, mod_revision: stamp.main, version: stamp.version }
    }
}
