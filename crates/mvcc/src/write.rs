//! Writing: one transaction at a time.

use std::cell::Cell;
use std::ops::AddAssign;
use std::sync::Arc;

use bytes::Bytes;
use ferretcd_backend::{Batch, Bucket};
use ferretcd_base::{KeyRange, LeaseId, Revision};

use crate::arena::Arena;
use crate::change::{Change, ChangeKind};
use crate::key_index::end_of;
use crate::row::{self, Fields};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// A running write transaction. Readers see nothing of it before [`WriteTxn::commit`].
///
/// A transaction can't be taken back: the caller checks all conditions before the first change.
/// Dropping one that has changed something without committing it panics.
#[derive(Debug)]
pub struct WriteTxn<'a> {
    shared: &'a Arc<Shared>,
    base: i64,
    changes: Vec<Change>,
    batch: &'a mut Batch,
    counts: Counts,
    /// Those that `counts` does not have yet.
    ranges: Cell<u64>,
}

/// What was requested of write transactions, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys put.
    pub puts: u64,
    /// Bytes of their keys and values.
    pub put_bytes: u64,
    /// Ranges deleted, and single keys by [`WriteTxn::delete_keys`].
    pub deletes: u64,
    /// Ranges read.
    pub ranges: u64,
    /// Transactions of more than one of these, where a transaction ends at [`WriteTxn::reads_first`] as well.
    pub txns: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.puts += other.puts;
        self.put_bytes += other.put_bytes;
        self.deletes += other.deletes;
        self.ranges += other.ranges;
        self.txns += other.txns;
    }
}

impl<'a> WriteTxn<'a> {
    pub(crate) fn new(shared: &'a Arc<Shared>, batch: &'a mut Batch) -> Self {
        let (counts, ranges) = (Counts::default(), Cell::default());
        Self { shared, base: shared.current(), changes: Vec::new(), batch, counts, ranges }
    }

    /// The main revision before this transaction.
    pub fn base_revision(&self) -> i64 {
        self.base
    }

    /// The main revision as of now: one more than before once something was changed.
    pub fn revision(&self) -> i64 {
        if self.changes.is_empty() { self.base } else { self.base + 1 }
    }

    /// Sets `key` to `value`, with the id of a lease or [`LeaseId::NONE`]; always a change, even if it
    /// sets what is there already. Returns the change's revision.
    ///
    /// Panics if key and value have 4 GiB together, which the log takes from no proposal.
    pub fn put(&mut self, key: Bytes, value: Bytes, lease: LeaseId) -> Revision {
        self.counts.puts += 1;
        self.counts.put_bytes += (key.len() + value.len()) as u64;
        let revision = self.next();
        let fields = |create_revision, version| Fields {
            key: &key,
            create_revision,
            mod_revision: revision.main,
            version,
            value: &value,
            lease,
        };
        let stamp = self.shared.index.put(&key, revision, |create, version| {
            u32::try_from(fields(create, version).encoded_len()).expect("a row is shorter than 4 GiB")
        });
        let row = fields(stamp.create, stamp.version).encode();
        self.changes.push(Change { revision, kind: ChangeKind::Put, key, lease, row });
        revision
    }

    /// Deletes the keys of `range` in key order and returns how many there were. Deleting nothing is no
    /// change.
    pub fn delete_range(&mut self, range: &KeyRange) -> usize {
        self.counts.deletes += 1;
        let (first, before) = (self.next(), self.changes.len());
        let deletions = deletions(first, &mut self.changes);
        self.shared.index.delete_range(range, first, deletions);
        self.changes.len() - before
    }

    /// Deletes those of some keys that are there, and returns how many there were. The keys have to ascend: then
    /// neighbours cost a step each, and only others a search.
    pub fn delete_keys<'k>(&mut self, ascending: impl IntoIterator<Item = &'k [u8]>) -> usize {
        let (first, before) = (self.next(), self.changes.len());
        let deletions = deletions(first, &mut self.changes);
        self.shared.index.delete_keys(ascending, first, deletions);
        let n_deleted = self.changes.len() - before;
        self.counts.deletes += n_deleted as u64;
        n_deleted
    }

    /// For reading at [`WriteTxn::revision`]: the transaction's own changes are seen. Counts as a range read.
    pub fn snapshot(&self) -> Snapshot<'_> {
        self.ranges.set(self.ranges.get() + 1);
        let last = match self.changes.last() {
            Some(change) => change.revision,
            None => end_of(self.base),
        };
        Snapshot { shared: self.shared, last, pending: &self.changes }
    }

    /// Counts the reads up to now, which come before the first change, as a transaction of their own. etcd's are one.
    pub fn reads_first(&mut self) {
        let ranges = self.ranges.take();
        self.counts += Counts { ranges, txns: u64::from(ranges > 1), ..Counts::default() };
    }

    /// Gives the transaction up. After changes the store is as if half of it had happened and must not be used
    /// any more: this is for a caller that stops because it could not read what it needs to go on.
    pub fn abandon(mut self) {
        self.changes.clear();
    }

    /// Ends the transaction: adds its rows to the batch and makes it visible to readers. A transaction
    /// without changes leaves no trace. Nothing is durable before the caller commits the batch.
    pub fn commit(mut self) -> Committed {
        let revision = self.revision();
        let changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() {
            let mut arena = Arena::default();
            for change in &changes {
                let key = row::key(change.revision, change.kind == ChangeKind::Delete, &mut arena);
                self.batch.put(Bucket::Key, key, change.row.clone());
            }
            let rows = changes.iter().map(|change| change.row.clone()).collect();
            self.shared.recent.write().push(revision, rows);
            self.shared.publish(revision);
        }
        Committed { revision, changes, counts: self.counts() }
    }

    fn counts(&self) -> Counts {
        let (ranges, mut counts) = (self.ranges.get(), self.counts);
        counts.ranges += ranges;
        counts.txns += u64::from(ranges + counts.puts + counts.deletes > 1);
        counts
    }

    fn next(&self) -> Revision {
        Revision::new(self.base + 1, self.changes.len() as i64)
    }
}

/// Notes deletions, the first of them at `first`.
fn deletions(first: Revision, changes: &mut Vec<Change>) -> impl FnMut(&[u8]) {
    let mut arena = Arena::default();
    let mut subs = first.sub..;
    move |key| {
        let (row, key) = row::tombstone(key, &mut arena);
        let revision = Revision::new(first.main, subs.next().expect("subs are few"));
        changes.push(Change { revision, kind: ChangeKind::Delete, lease: LeaseId::NONE, row, key });
    }
}

impl Drop for WriteTxn<'_> {
    fn drop(&mut self) {
        // The index already has the changes, under a revision that the next transaction would use again.
        let abandoned = !self.changes.is_empty() && !std::thread::panicking();
        assert!(!abandoned, "a write transaction with changes is always committed");
    }
}

/// The result of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The current main revision after it.
    pub revision: i64,
    /// Its changes by sub revision, from 0 without gaps; empty if it changed nothing.
    pub changes: Vec<Change>,
    /// What was requested of it.
    pub counts: Counts,
}
