//! Hashes of the history, equal on all members that have the same one, whatever they have scrubbed.
//!
//! A hash at R in a store compacted at C covers, in order, each row up to R that lies above C or is still the
//! value of its key at R. A tombstone of exactly C never counts: some releases of etcd remove it, others keep
//! it. One exception is part of the definition: if no key has a value at R, the rows up to C count too.

use std::collections::VecDeque;

use ferretcd_base::Revision;

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
    /// The store's revision when the hash was returned.
    pub current_revision: i64,
}

/// A hash under construction, fed with rows in order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsHash {
    compacted: i64,
    /// Whether any row was kept; decides which of the two sums counts.
    pub(crate) any_kept: bool,
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

    /// Adds a row; `keep` if it is the state of its key at the revision to be hashed.
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

    pub(crate) fn get(&self, revision: i64) -> Option<KvHash> {
        self.0.iter().find(|hash| hash.hash_revision == revision).copied()
    }

    pub(crate) fn all(&self) -> Vec<KvHash> {
        self.0.iter().copied().collect()
    }
}
