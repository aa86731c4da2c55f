//! Accepted compactions, and the removal of their rows.
//!
//! The removal walks the rows up to the compacted revision C in order and looks each up in the index. A row
//! stays if it is the newest change of its key up to C, and a put or a tombstone of exactly C. On the first
//! row of a key the index forgets the key's compacted history as well. Order matters: the oldest row of a
//! key goes first, so that an interruption never leaves a put without the tombstone that ended it.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::{Batch, Bucket, View};
use ferretcd_base::Revision;

use crate::error::{Corruption, Error};
use crate::hash::{KvHash, RowsHash};
use crate::markers::Marker;
use crate::row::{self, Fields};
use crate::shared::Shared;

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

    /// Adds a compaction behind those that wait; `previous` is the compacted revision before it.
    pub(crate) fn accept(&mut self, revision: i64, previous: i64) {
        let keeps_hash = self.0.is_empty();
        self.0.push_back(Compaction::new(revision, previous, keeps_hash));
    }

    /// The compaction that is being worked on.
    pub(crate) fn front_mut(&mut self) -> Option<&mut Compaction> {
        self.0.front_mut()
    }

    /// Takes out the front compaction, whose rows are removed, and returns its revision and hash. `current` is the
    /// store's revision.
    pub(crate) fn finish_front(&mut self, current: i64) -> Option<(i64, Option<KvHash>)> {
        let Compaction { revision, keeps_hash, hash, .. } = self.0.pop_front()?;
        Some((revision, keeps_hash.then(|| hash.finish(revision, current))))
    }
}

#[derive(Debug)]
pub(crate) struct Compaction {
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
    pub(crate) fn can_go_on(&self, released: i64, view: &View) -> Result<bool, Error> {
        let started = self.cursor.is_some();
        Ok(started || (released >= self.revision && Marker::Finished.read::<Error>(view)? == self.previous))
    }

    /// Looks at the next rows, at most `limit`, and returns how many it removed and whether these were the
    /// last.
    pub(crate) fn step(
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
