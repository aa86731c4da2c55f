//! The naive model: one sorted map per bucket.

use std::collections::BTreeMap;
use std::ops::Bound;

use ferretcd_backend::{Bucket, View};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    maps: [Map; Bucket::ALL.len()],
}

impl Model {
    pub(crate) fn put(&mut self, bucket: Bucket, key: Vec<u8>, value: Vec<u8>) {
        self.maps[bucket as usize].insert(key, value);
    }

    pub(crate) fn delete(&mut self, bucket: Bucket, key: &[u8]) {
        self.maps[bucket as usize].remove(key);
    }

    pub(crate) fn rows(&self, bucket: Bucket) -> &Map {
        &self.maps[bucket as usize]
    }

    /// The size as documented: 8 bytes per row and a twentieth for pages.
    pub(crate) fn in_use(&self) -> u64 {
        let rows = self.maps.iter().flatten();
        let in_leaves: usize = rows.map(|(key, value)| key.len() + value.len() + 8).sum();
        (in_leaves + in_leaves / 20) as u64
    }
}

/// Everything that a view shows.
pub(crate) fn contents(view: &View) -> Model {
    let mut model = Model::default();
    for bucket in Bucket::ALL {
        let rows = view.range(bucket, (Bound::Unbounded, Bound::Unbounded)).expect("a view stays readable");
        for row in rows {
            let (key, value) = row.expect("a view stays readable");
            model.put(bucket, key.to_vec(), value.to_vec());
        }
    }
    model
}

/// A small repeatable source of numbers.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}
