//! Compaction in two parts: a revision is declared compacted at once, its rows are removed step by step.
//!
//! The removal walks the rows up to the compacted revision C in order and asks the index about each. A row
//! stays if it is the newest change of its key up to C, and a put or a tombstone of exactly C. On the first
//! row of a key the index forgets the key's compacted history as well. Order matters: the oldest row of a
//! key goes first, so that an interruption never leaves a put without the tombstone that ended it.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::{Batch, Bucket, View};
use ferretcd_base::Revision;

use crate::error::{CompactError, Corruption, Error};
use crate::hash::{KvHash, RowsHash};
use crate::markers::Marker;
use crate::row::{self, Fields};
use crate::shared::Shared;
use crate::write::Store;

/// What one step of [`Store::scrub`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrub {
    /// There is nothing to remove.
    Idle,
    /// The backend doesn't show yet what the next step needs: commit, release, then call again.
    Waiting,
    /// There is more to do.
    Progress {
        /// Rows removed by this step.
        removed: usize,
    },
    /// A compaction is complete. Another one may be waiting.
    Finished {
        /// Its revision.
        revision: i64,
        /// Rows removed by this last step.
        removed: usize,
        /// The hash of the history up to its revision as it was before, which [`Reader::hash_kv`] gives
        /// from now on; `None` if the compaction before it hadn't finished when this one was accepted.
        ///
        /// [`Reader::hash_kv`]: crate::Reader::hash_kv
        hash: Option<KvHash>,
    },
}

/// Accepted compactions whose rows are still to be removed, in order; the front one is being worked on.
#[derive(Debug, Default)]
pub(crate) struct Compactions(VecDeque<Compaction>);

impl Compactions {
    /// The queue of a store just opened: what was interrupted goes on from the start of the history, and
    /// leaves no hash, because some of its rows may be gone.
    pub(crate) fn resumed(finished: i64, scheduled: i64) -> Self {
        let interrupted = (scheduled > finished).then(|| Compaction::new(scheduled, finished, false));
        Self(interrupted.into_iter().collect())
    }
}

#[derive(Debug)]
struct Compaction {
    revision: i64,
    /// The compacted revision before it.
    previous: i64,
    /// Whether the compaction before it had finished when it was accepted.
    keeps_hash: bool,
    /// The last row key looked at.
    cursor: Option<Bytes>,
    hash: RowsHash,
}

impl Compaction {
    fn new(revision: i64, previous: i64, keeps_hash: bool) -> Self {
        Self { revision, previous, keeps_hash, cursor: None, hash: RowsHash::new(previous) }
    }

    /// All rows up to the revision must be in the backend, and those the compaction before has removed must
    /// be gone from there.
    fn can_go_on(&self, released: i64, view: &View) -> Result<bool, Error> {
        let started = self.cursor.is_some();
        Ok(started || (released >= self.revision && Marker::Finished.read::<Error>(view)? == self.previous))
    }

    /// Looks at the next rows, at most `limit`, and returns how many it removed and whether these were the
    /// last.
    fn step(
        &mut self,
        shared: &Shared,
        view: &View,
        limit: usize,
        batch: &mut Batch,
    ) -> Result<(usize, bool), Error> {
        let start = self.cursor.clone();
        let start = start.as_ref().map_or(Bound::Unbounded, |cursor| Bound::Excluded(&cursor[..]));
        let end = Revision::new(self.revision.saturating_add(1), 0).to_bytes();
        let mut n_seen = 0;
        let mut n_removed = 0;
        for row in view.range(Bucket::Key, (start, Bound::Excluded(&end)))?.take(limit) {
            let (key, value) = row?;
            if !self.look_at(shared, &key, &value)? {
                batch.delete(Bucket::Key, key.clone());
                n_removed += 1;
            }
            n_seen += 1;
            self.cursor = Some(key);
        }
        Ok((n_removed, n_seen < limit))
    }

    /// Accounts for one row and returns whether it stays.
    fn look_at(&mut self, shared: &Shared, row_key: &Bytes, value: &[u8]) -> Result<bool, Corruption> {
        let (revision, tombstone) = row::parse_key(row_key)?;
        let key = Fields::parse(value).ok_or(Corruption::Row { revision })?.key;
        let newest = shared.index.compact(key, self.revision);
        let is_newest = newest.is_some_and(|stamp| stamp.revision() == revision);
        let stays = is_newest && (!tombstone || revision.main == self.revision);
        self.hash.add(row_key, value, revision, tombstone, stays);
        if !stays {
            shared.cache.remove(revision);
        }
        Ok(stays)
    }
}

impl Store {
    /// Declares `revision` compacted: from now on reads below it fail, and only what is needed to read at
    /// it and above is kept. `revision` must be above the compacted one and at most the current one. Adds
    /// to `batch` the row that makes the compaction survive a restart. The cost doesn't depend on the size
    /// of the history: rows are removed by [`Store::scrub`].
    pub fn compact(&mut self, revision: i64, batch: &mut Batch) -> Result<(), CompactError> {
        let (compacted, current) = (self.compacted(), self.revision());
        if revision <= compacted {
            return Err(CompactError::Compacted { requested: revision, compacted });
        }
        if revision > current {
            return Err(CompactError::Future { requested: revision, current });
        }
        let keeps_hash = self.compactions.0.is_empty();
        self.compactions.0.push_back(Compaction::new(revision, compacted, keeps_hash));
        Marker::Scheduled.write(revision, batch);
        self.shared.set_compacted(revision);
        Ok(())
    }

    /// Does one bounded step of the physical removal: looks at no more than `limit` (at least 1) rows of the
    /// committed history and adds their deletions to `batch`, with the last step also the row that marks
    /// the compaction as finished. Batches must be committed in the order they were made. After a restart
    /// an interrupted removal starts over by itself.
    pub fn scrub(&mut self, limit: usize, batch: &mut Batch) -> Result<Scrub, Error> {
        let Some(compaction) = self.compactions.0.front_mut() else { return Ok(Scrub::Idle) };
        let view = self.shared.backend.view();
        if !compaction.can_go_on(self.released, &view)? {
            return Ok(Scrub::Waiting);
        }
        let (removed, last) = compaction.step(&self.shared, &view, limit.max(1), batch)?;
        if !last {
            return Ok(Scrub::Progress { removed });
        }
        let &Compaction { revision, keeps_hash, .. } = &*compaction;
        let hash = keeps_hash.then(|| compaction.hash.finish(revision, self.shared.current()));
        self.shared.hashes.lock().extend(hash);
        Marker::Finished.write(revision, batch);
        self.compactions.0.pop_front();
        Ok(Scrub::Finished { revision, removed, hash })
    }
}
