//! The hash of the history, from the rows or from a finished compaction.

use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::{Bucket, View};
use ferretcd_base::Revision;

use crate::error::{Corruption, ReadError};
use crate::hash::{KvHash, RowsHash};
use crate::key_index::end_of;
use crate::read::Reader;
use crate::row::{self, Fields};
use crate::shared::Shared;

impl Reader {
    /// The hash of the history up to the main revision `revision`, 0 meaning the current one.
    ///
    /// At the revision of one of the last 10 compactions finished since the store was opened, the result
    /// is the hash of the history before that compaction. Any other is computed from the backend, which
    /// must show all rows up to the revision: the caller commits it first. That takes about a second
    /// per million rows; no lock is held between rows, but the backend's view is held throughout.
    pub fn hash_kv(&self, revision: i64) -> Result<KvHash, ReadError> {
        let shared = self.shared();
        let finished = shared.hashes.lock().get(revision);
        match finished {
            Some(hash) => Ok(KvHash { current_revision: shared.current(), ..hash }),
            None => shared.compute_hash_kv(revision),
        }
    }

    /// The hashes that the last 10 compactions finished since the store was opened have left, ascending by revision.
    pub fn finished_hashes(&self) -> Vec<KvHash> {
        self.shared().hashes.lock().all()
    }

    /// As [`Self::hash_kv`], but from the rows even where a compaction has left a hash.
    pub fn compute_hash_kv(&self, revision: i64) -> Result<KvHash, ReadError> {
        self.shared().compute_hash_kv(revision)
    }
}

impl Shared {
    fn compute_hash_kv(&self, revision: i64) -> Result<KvHash, ReadError> {
        let current_revision = self.current();
        // The view comes first: whatever a compaction has removed from it, that compaction counts below.
        let view = self.backend.view();
        let compacted = self.compacted();
        let at = if revision == 0 { current_revision } else { revision };
        if 0 < at && at < compacted {
            return Err(ReadError::Compacted { requested: at, compacted });
        }
        if at > current_revision {
            return Err(ReadError::Future { requested: at, current: current_revision });
        }
        let hash = self.hash_rows(&view, at, compacted)?;
        if at > 0 {
            // About rows up to a later compaction the index is right only above it.
            self.check_not_compacted(at)?;
        }
        Ok(hash.finish(at, current_revision))
    }

    fn hash_rows(&self, view: &View, at: i64, compacted: i64) -> Result<RowsHash, ReadError> {
        let mut hash = RowsHash::new(compacted);
        if at < 0 {
            return Ok(hash);
        }
        let end = Revision::new(at.saturating_add(1), 0).to_bytes();
        for row in view.range(Bucket::Key, (Bound::Unbounded, Bound::Excluded(&end)))? {
            let (row_key, value) = row?;
            let (revision, tombstone) = row::parse_key(&row_key)?;
            // Above the compacted revision the index has a say only on whether any row is kept at all.
            let matters = !tombstone && (revision.main <= compacted || !hash.any_kept);
            let keep = matters && self.is_value_at(revision, &value, at)?;
            hash.add(&row_key, &value, revision, tombstone, keep);
        }
        Ok(hash)
    }

    /// Whether the row is the value of its key at the main revision `at`.
    fn is_value_at(&self, revision: Revision, value: &Bytes, at: i64) -> Result<bool, Corruption> {
        let key = Fields::parse(value).ok_or(Corruption::Row { revision })?.key;
        let stamp = self.index.at(key, end_of(at));
        Ok(stamp.is_some_and(|stamp| !stamp.is_tombstone() && stamp.revision() == revision))
    }
}
