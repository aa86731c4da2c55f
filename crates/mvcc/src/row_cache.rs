//! A bounded cache of rows read from the backend.

use std::hash::{BuildHasherDefault, Hasher};

use bytes::Bytes;
use ferretcd_base::Revision;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// Bytes of an entry beside those of the row: key, handles, the row's own allocation, table slots.
const ENTRY_OVERHEAD: usize = 128;

/// The size of a typical entry; only the cache's first table size depends on it.
const ENTRY_TYPICAL: usize = 512;

/// Rows by revision. A row never changes, so nothing in here is ever wrong, at worst useless.
pub(crate) struct RowCache(Cache<Revision, Bytes, ByBytes, BuildHasherDefault<Mix>>);

impl RowCache {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let lifecycle = DefaultLifecycle::default();
        Self(Cache::with(
            bytes_max / ENTRY_TYPICAL,
            bytes_max as u64,
            ByBytes,
            BuildHasherDefault::new(),
            lifecycle,
        ))
    }

    pub(crate) fn get(&self, revision: Revision) -> Option<Bytes> {
        self.0.get(&revision)
    }

    pub(crate) fn insert(&self, revision: Revision, row: Bytes) {
        self.0.insert(revision, row);
    }

    /// Forgets a row that the store has deleted, to make room.
    pub(crate) fn remove(&self, revision: Revision) {
        self.0.remove(&revision);
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Revision, Bytes> for ByBytes {
    fn weight(&self, _: &Revision, row: &Bytes) -> u64 {
        (row.len() + ENTRY_OVERHEAD) as u64
    }
}

/// A hash for revisions: two multiplications with folding, several times cheaper than the standard one.
/// Clients can't choose revisions, so it needn't resist them.
#[derive(Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write_i64(&mut self, number: i64) {
        let product = u128::from(self.0 ^ number.cast_unsigned() ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(0xd6e8_feb8_6659_fd93_u64);
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_i64(byte.into());
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_and_recent_rows_are_found() {
        let cache = RowCache::new(1 << 20);
        for main in 0..100_000 {
            let revision = Revision::new(main, 0);
            cache.insert(revision, Bytes::from(vec![0; 100]));
            assert!(cache.get(revision).is_some());
        }
        assert!(cache.0.weight() <= 1 << 20);
        assert!(cache.0.len() > 2_000);
    }

    #[test]
    fn the_hash_spreads_neighbours() {
        use std::hash::BuildHasher;
        let build = BuildHasherDefault::<Mix>::new();
        let mut buckets = [0; 64];
        for main in 0..64_000 {
            buckets[build.hash_one(Revision::new(main, 0)) as usize % 64] += 1;
            buckets[(build.hash_one(Revision::new(main, 0)) >> 58) as usize] += 1;
        }
        assert!(buckets.iter().all(|n| (1_600..2_400).contains(n)), "{buckets:?}");
    }
}
