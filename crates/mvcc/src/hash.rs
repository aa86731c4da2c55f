//! Hashes of the history, equal on all members that have the same one, whatever they have scrubbed.
//!
//! A hash at R in a store compacted at C covers, in order, each row up to R that lies above C or is still the
//! value of its key at R. A tombstone of exactly C never counts: some releases of etcd remove it, others keep
//! it. One exception is part of the definition: if no key has a value at R, the rows up to C count too.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::{Bucket, View};
use ferretcd_base::Revision;

use crate::error::{Corruption, ReadError};
use crate::read::Reader;
use crate::row::{self, Fields};
use crate::shared::Shared;

/// The bucket's name opens every hash.
const SEED: &[u8] = b"key";

/// How many finished compactions are remembered.
const HASHES_KEPT: usize = 10;

/// A hash of the history. Comparable between members if both hash and compact revision are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvHash {
    /// CRC-32C of the rows.
    pub hash: u32,
    /// The compacted revision that decided which rows count; -1 if none.
    pub compact_revision: i64,
    /// The revision up to which rows count.
    pub hash_revision: i64,
    /// The store's revision at the time of the answer.
    pub current_revision: i64,
}

/// A hash under construction, fed with rows in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsHash {
    compacted: i64,
    /// Whether any row was kept; decides which of the two sums counts.
    any_kept: bool,
    /// Without the rows up to `compacted` that aren't kept.
    kept: u32,
    /// With them.
    all: u32,
}

impl RowsHash {
    pub(crate) fn new(compacted: i64) -> Self {
        let seed = crc32c::crc32c(SEED);
        Self { compacted, any_kept: false, kept: seed, all: seed }
    }

    /// Adds a row; `keep` says that it is the state of its key at the revision to be hashed.
    pub(crate) fn add(
        &mut self,
        row_key: &[u8],
        value: &[u8],
        revision: Revision,
        tombstone: bool,
        keep: bool,
    ) {
        self.any_kept |= keep;
        if tombstone && revision.main == self.compacted {
            return;
        }
        let add = |sum| crc32c::crc32c_append(crc32c::crc32c_append(sum, row_key), value);
        let same = self.kept == self.all;
        if keep || revision.main > self.compacted {
            self.kept = add(self.kept);
        }
        // Where the sums have not parted the work is done once; once a row was kept, `all` is of no use.
        if same && (keep || revision.main > self.compacted) {
            self.all = self.kept;
        } else if !self.any_kept {
            self.all = add(self.all);
        }
    }

    pub(crate) fn finish(&self, hash_revision: i64, current_revision: i64) -> KvHash {
        let hash = if self.any_kept { self.kept } else { self.all };
        KvHash { hash, compact_revision: self.compacted, hash_revision, current_revision }
    }
}

/// The hashes of the last finished compactions, ascending by revision.
#[derive(Debug, Default)]
pub(crate) struct FinishedHashes(VecDeque<KvHash>);

impl FinishedHashes {
    pub(crate) fn extend(&mut self, hash: Option<KvHash>) {
        self.0.extend(hash);
        if self.0.len() > HASHES_KEPT {
            self.0.pop_front();
        }
    }

    fn get(&self, revision: i64) -> Option<KvHash> {
        self.0.iter().find(|hash| hash.hash_revision == revision).copied()
    }
}

impl Reader {
    /// The hash of the history up to the main revision `revision`, 0 meaning the current one.
    ///
    /// At the revision of one of the last 10 compactions finished since the store was opened, the answer
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
        self.shared().hashes.lock().0.iter().copied().collect()
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
            // What the index said about rows up to a later compaction was the truth only above it.
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
        let stamp = self.index.at(key, at);
        Ok(stamp.is_some_and(|stamp| !stamp.tombstone && stamp.revision() == revision))
    }
}
