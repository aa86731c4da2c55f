//! All keys in order, each with its history.
//!
//! One writer and any number of readers. The map's lock is taken for writing only to create or remove a
//! key; a change of an existing key takes it for reading and locks the key alone, so that long reads
//! don't stop the writer. Readers look up the state at a published revision and thereby overlook whatever
//! the writer is adding.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::atomic::{AtomicUsize, Ordering};

use ferretcd_base::{KeyRange, Revision};
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::key_index::{KeyIndex, Stamp};

/// Bounds of a scan.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A key as the index holds it. Keys up to 24 bytes lie in the node of the map itself: they need no
/// allocation, and comparing them no way to another place in memory, which is what a search mostly waits for.
pub(crate) type Key = SmallVec<[u8; 24]>;

pub(crate) type Keys = BTreeMap<Key, Mutex<KeyIndex>>;

#[derive(Debug, Default)]
pub(crate) struct Index {
    keys: RwLock<Keys>,
    /// Keys whose newest stamp is a put.
    n_live: AtomicUsize,
}

impl Index {
    /// An index of keys read from a file.
    pub(crate) fn from_keys(keys: Keys) -> Self {
        let live = keys.values().filter(|key| !key.lock().newest().tombstone).count();
        Self { keys: RwLock::new(keys), n_live: AtomicUsize::new(live) }
    }

    pub(crate) fn n_live(&self) -> usize {
        self.n_live.load(Ordering::Relaxed)
    }

    /// Adds a put of `key`. Only the writer calls this.
    pub(crate) fn put(&self, key: &[u8], revision: Revision) -> Stamp {
        if let Some(state) = self.keys.read().get(key) {
            let mut state = state.lock();
            if state.newest().tombstone {
                self.n_live.fetch_add(1, Ordering::Relaxed);
            }
            return state.put(revision);
        }
        let stamp = Stamp::put(revision, revision.main, 1);
        self.keys.write().insert(Key::from_slice(key), Mutex::new(KeyIndex::new(stamp)));
        self.n_live.fetch_add(1, Ordering::Relaxed);
        stamp
    }

    /// Adds a tombstone to each live key of `range`, the first at `first` and the others at consecutive
    /// subs, and shows the keys. Only the writer calls this.
    pub(crate) fn delete_range(&self, range: &KeyRange, first: Revision, mut deleted: impl FnMut(&[u8])) {
        let Some(bounds) = range.bounds() else { return };
        let mut deletions = Deletions { next: first, n_deleted: 0 };
        for (key, state) in self.keys.read().range::<[u8], _>(bounds) {
            if deletions.add(state) {
                deleted(key);
            }
        }
        self.n_live.fetch_sub(deletions.n_deleted, Ordering::Relaxed);
    }

    /// The same with those of some keys that are there. They have to ascend: where they are neighbours, the next
    /// one is found with a step instead of a search.
    pub(crate) fn delete_keys<'a>(
        &self,
        ascending: impl IntoIterator<Item = &'a [u8]>,
        first: Revision,
        mut deleted: impl FnMut(&[u8]),
    ) {
        let mut deletions = Deletions { next: first, n_deleted: 0 };
        let keys = self.keys.read();
        let mut places = keys.range::<[u8], _>(..);
        for key in ascending {
            // The last one that was found was before this one, so its neighbour is the first guess.
            let place = places.next().filter(|(found, _)| found[..] == *key).or_else(|| {
                places = keys.range::<[u8], _>((Bound::Included(key), Bound::Unbounded));
                places.next()
            });
            if let Some((found, state)) = place
                && found[..] == *key
                && deletions.add(state)
            {
                deleted(key);
            }
        }
        self.n_live.fetch_sub(deletions.n_deleted, Ordering::Relaxed);
    }

    /// The newest change of `key` with a main revision of at most `main`, tombstones included.
    pub(crate) fn at(&self, key: &[u8], main: i64) -> Option<Stamp> {
        self.keys.read().get(key)?.lock().at(main).copied()
    }

    /// Shows the next `n_keys` keys of `bounds` to `visit`, holding the lock for that long, and returns
    /// the last one if there may be more behind it.
    pub(crate) fn scan(
        &self,
        bounds: Bounds<'_>,
        n_keys: usize,
        mut visit: impl FnMut(&[u8], &KeyIndex) -> ControlFlow<()>,
    ) -> Option<Key> {
        let mut last = None;
        for (n_seen, (key, state)) in (1..).zip(self.keys.read().range::<[u8], _>(bounds)) {
            if visit(key, &state.lock()).is_break() {
                return None;
            }
            if n_seen == n_keys {
                last = Some(key.clone());
                break;
            }
        }
        last
    }

    /// Forgets what a compaction at `main` removes of `key`. Returns the newest change up to `main` from
    /// before. Only the writer calls this.
    pub(crate) fn compact(&self, key: &[u8], main: i64) -> Option<Stamp> {
        let (newest, nothing_left) = {
            let keys = self.keys.read();
            let mut state = keys.get(key)?.lock();
            (state.at(main).copied(), state.compact(main))
        };
        if nothing_left {
            self.keys.write().remove(key);
        }
        newest
    }
}

/// Tombstones at consecutive revisions.
struct Deletions {
    next: Revision,
    n_deleted: usize,
}

impl Deletions {
    /// Adds one, unless there is nothing to delete.
    fn add(&mut self, state: &Mutex<KeyIndex>) -> bool {
        let mut state = state.lock();
        let is_live = !state.newest().tombstone;
        if is_live {
            state.push(Stamp::tombstone(self.next));
            self.next.sub += 1;
            self.n_deleted += 1;
        }
        is_live
    }
}
