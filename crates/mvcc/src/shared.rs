//! The state that the writer and the readers share.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use ferretcd_backend::{Backend, Bucket};
use ferretcd_base::Revision;
use parking_lot::{Mutex, RwLock};

use crate::error::{Corruption, ReadError};
use crate::hash::FinishedHashes;
use crate::index::Index;
use crate::key_index::end_of;
use crate::recent::Recent;
use crate::row_cache::RowCache;

/// The state of a store behind one `Arc`. The writer alone changes index, recent rows and the two numbers;
/// readers only add to the cache.
pub(crate) struct Shared {
    /// Of the file that this state belongs to, whatever takes its place elsewhere.
    pub(crate) backend: Backend,
    pub(crate) cache_bytes: usize,
    pub(crate) index: Index,
    pub(crate) recent: RwLock<Recent>,
    pub(crate) cache: RowCache,
    /// Hashes of the last finished compactions.
    pub(crate) hashes: Mutex<FinishedHashes>,
    /// The newest published revision: stored after everything it makes visible.
    current: AtomicI64,
    /// The compacted revision, -1 if none: stored before anything below it is removed, so that a reader
    /// that finds it unchanged after its work has missed nothing.
    compacted: AtomicI64,
}

impl Shared {
    pub(crate) fn new(
        backend: Backend,
        index: Index,
        cache_bytes: usize,
        current: i64,
        compacted: i64,
    ) -> Self {
        Self {
            backend,
            cache_bytes,
            index,
            recent: RwLock::new(Recent::after(current)),
            cache: RowCache::new(cache_bytes),
            hashes: Mutex::default(),
            current: AtomicI64::new(current),
            compacted: AtomicI64::new(compacted),
        }
    }

    pub(crate) fn current(&self) -> i64 {
        self.current.load(Ordering::Acquire)
    }

    pub(crate) fn publish(&self, main: i64) {
        self.current.store(main, Ordering::Release);
    }

    pub(crate) fn compacted(&self) -> i64 {
        self.compacted.load(Ordering::Acquire)
    }

    pub(crate) fn set_compacted(&self, revision: i64) {
        self.compacted.store(revision, Ordering::Release);
    }

    /// An error if `requested` lies below the compacted revision by now.
    pub(crate) fn check_not_compacted(&self, requested: i64) -> Result<(), ReadError> {
        self.check_readable(end_of(requested))
    }

    /// An error if a state that ends with the change `last` cannot be read any more. What a transaction had changed up to its
    /// middle is gone with the compaction of its own revision.
    pub(crate) fn check_readable(&self, last: Revision) -> Result<(), ReadError> {
        let (requested, compacted) = (last.main, self.compacted());
        let is_gone = requested < compacted || requested == compacted && last != end_of(requested);
        if is_gone { Err(ReadError::Compacted { requested, compacted }) } else { Ok(()) }
    }

    /// The row of a put that is no longer among the recent ones, from the cache or the backend.
    /// The caller looked at the recent rows first: they are released only once the backend shows them.
    pub(crate) fn stored_row(&self, revision: Revision) -> Result<Bytes, ReadError> {
        if let Some(row) = self.cache.get(revision) {
            return Ok(row);
        }
        let row = self.backend.view().get(Bucket::Key, &revision.to_bytes())?;
        let row = row.ok_or(Corruption::MissingRow { revision })?;
        self.cache.insert(revision, row.clone());
        Ok(row)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("current", &self.current())
            .field("compacted", &self.compacted())
            .field("n_live", &self.index.n_live())
            .finish_non_exhaustive()
    }
}
