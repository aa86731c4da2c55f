//! All keys in order, each with its history.
//!
//! One writer and any number of readers. The tree's lock is taken for writing only to create or remove a
//! key; a change of an existing key takes it for reading and locks the key's leaf alone, so that long reads
//! don't stop the writer. Readers look up the state at a published revision and thereby overlook whatever
//! the writer is adding.

#[cfg(test)]
mod tests;

use std::ops::{Bound, ControlFlow};

use ferretcd_base::{KeyRange, Revision};
use parking_lot::RwLock;

use crate::key_index::{KeyIndex, Stamp, end_of};
use crate::selection::KeyOrder;
use crate::tree::{Measuring, Tree};

pub use crate::tree::Extent;
pub(crate) use crate::tree::{Bounds, Key};

#[derive(Debug, Default)]
pub(crate) struct Index {
    tree: RwLock<Tree>,
}

impl Index {
    /// An index of keys read from a file.
    pub(crate) fn new(tree: Tree) -> Self {
        Self { tree: RwLock::new(tree) }
    }

    /// The number of live keys, counting what a running transaction has changed already.
    pub(crate) fn n_live(&self) -> usize {
        self.tree.read().n_live()
    }

    /// Adds a put of `key`. `row_bytes` gives the length of its row from its create revision and version. Only the
    /// writer calls this.
    pub(crate) fn put(&self, key: &[u8], revision: Revision, row_bytes: impl Fn(i64, i64) -> u32) -> Stamp {
        if let Some(stamp) = self.tree.read().change(key, |state| state.put(revision, &row_bytes)) {
            return stamp;
        }
        let stamp = Stamp::put(revision, revision.main, 1, row_bytes(revision.main, 1));
        self.tree.write().insert(Key::from_slice(key), stamp);
        stamp
    }

    /// Adds a tombstone to each live key of `range`, the first at `first` and the others at consecutive
    /// subs, and shows the keys. Only the writer calls this.
    pub(crate) fn delete_range(&self, range: &KeyRange, first: Revision, deleted: impl FnMut(&[u8])) {
        let Some(bounds) = range.bounds() else { return };
        self.tree.read().delete_range(bounds, first.main, tombstones(first, deleted));
    }

    /// The same with those of some keys that are there. They have to ascend: where they are neighbours, the next
    /// one is found with a step instead of a search.
    pub(crate) fn delete_keys<'a>(
        &self,
        ascending: impl IntoIterator<Item = &'a [u8]>,
        first: Revision,
        deleted: impl FnMut(&[u8]),
    ) {
        self.tree.read().delete_keys(ascending.into_iter(), first.main, tombstones(first, deleted));
    }

    /// The newest change of `key` at or below `at`, tombstones included.
    pub(crate) fn at(&self, key: &[u8], at: Revision) -> Option<Stamp> {
        self.tree.read().state(key)?.at(at).copied()
    }

    /// Shows the next `n_keys` keys of `bounds` to `visit`, holding the lock for that long, and returns the last one if
    /// there may be more behind it. Descending, it begins with the last key of `bounds`.
    pub(crate) fn scan(
        &self,
        bounds: Bounds<'_>,
        order: KeyOrder,
        n_keys: usize,
        mut visit: impl FnMut(&[u8], &KeyIndex) -> ControlFlow<()>,
    ) -> Option<Key> {
        let (mut n_seen, mut last) = (0, None);
        self.tree.read().scan(bounds, order == KeyOrder::Descending, |key, state| {
            visit(key, state)?;
            n_seen += 1;
            if n_seen < n_keys {
                return ControlFlow::Continue(());
            }
            last = Some(key.clone());
            ControlFlow::Break(())
        });
        last
    }

    /// Measures the keys of `bounds` at the revision `at`, with `limit` rows at most; 0 is no limit.
    ///
    /// The cost grows with the logarithm of the number of keys, and with the number of those that were changed
    /// since `at`. The lock is held for some thousand keys at a time; the result is as of `at` all the same. As
    /// with every read, a compaction that passes `at` meanwhile makes it wrong.
    pub(crate) fn measure(&self, (start, end): Bounds<'_>, at: Revision, limit: usize) -> Extent {
        let mut measuring = Measuring::new(at, limit);
        let mut next = self.tree.read().measure((start, end), &mut measuring);
        while let Some(key) = next {
            next = self.tree.read().measure((Bound::Included(&key), end), &mut measuring);
        }
        measuring.extent
    }

    /// Forgets what a compaction at `main` removes of `key`. Returns the newest change up to `main` from
    /// before. Only the writer calls this.
    pub(crate) fn compact(&self, key: &[u8], main: i64) -> Option<Stamp> {
        let (newest, nothing_left) = {
            let tree = self.tree.read();
            let mut state = tree.state(key)?;
            (state.at(end_of(main)).copied(), state.compact(main))
        };
        if nothing_left {
            self.tree.write().remove(key);
        }
        newest
    }
}

/// Tombstones at consecutive revisions, each for a key that is shown.
fn tombstones(first: Revision, mut deleted: impl FnMut(&[u8])) -> impl FnMut(&[u8]) -> Stamp {
    let mut subs = first.sub..;
    move |key| {
        deleted(key);
        Stamp::tombstone(Revision::new(first.main, subs.next().expect("subs are few")))
    }
}
