//! The keys of one node.

use std::cmp::Ordering;
use std::ops::{Bound, Index, Range};

use smallvec::SmallVec;

/// Bounds of a scan.
pub(crate) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A key as the index holds it. Keys up to 24 bytes lie in the node itself: they need no allocation, and
/// comparing them no way to another place in memory, which is what a search mostly waits for.
pub(crate) type Key = SmallVec<[u8; 24]>;

/// Keys of a leaf, and children of an inner node.
pub(super) const NODE_LEN_MAX: usize = 32;

/// Entries that memory is taken for and given back for at once. Vectors that double would be two thirds full.
pub(super) const STEP: usize = 8;

/// Ascending keys. They are searched by a number that each of them has: numbers lie side by side and are compared
/// without branches, while keys are long, begin with the same bytes, and often lie elsewhere in memory.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Key>,
    /// So many bytes at their beginning are the same in all keys.
    n_common: usize,
    /// The [`head`] of each key; behind them [`NO_HEAD`].
    heads: [u32; NODE_LEN_MAX],
}

/// Not below any head.
const NO_HEAD: u32 = u32::MAX;

/// The four bytes behind the common beginning, as a number. A greater key has a greater one or the same.
fn head(key: &[u8], n_common: usize) -> u32 {
    let rest = &key[n_common..];
    u32::from_be_bytes(rest.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; 4];
        padded[..rest.len()].copy_from_slice(rest);
        padded
    }))
}

impl Default for Keys {
    fn default() -> Self {
        Self { keys: Vec::new(), n_common: 0, heads: [NO_HEAD; NODE_LEN_MAX] }
    }
}

impl Keys {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn get(&self, n: usize) -> Option<&Key> {
        self.keys.get(n)
    }

    /// Where `key` is, if it is here.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        if key.len() < self.n_common {
            return None;
        }
        // What begins with other bytes is found to be another key in the end.
        let alike = self.alike(key);
        let n = self.keys[alike.clone()].binary_search_by(|it| it[..].cmp(key)).ok()?;
        Some(alike.start + n)
    }

    /// The number of keys below `key`.
    pub(super) fn n_below(&self, key: &[u8]) -> usize {
        self.search(key, |it| it < key)
    }

    /// The number of keys below `key` and equal to it.
    pub(super) fn n_up_to(&self, key: &[u8]) -> usize {
        self.search(key, |it| it <= key)
    }

    /// The number of keys that lie `before`, which is a question of the order around `key`.
    fn search(&self, key: &[u8], before: impl Fn(&[u8]) -> bool) -> usize {
        let Some(first) = self.keys.first() else { return 0 };
        match key.get(..self.n_common).unwrap_or(key).cmp(&first[..self.n_common]) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.len(),
            Ordering::Equal => {}
        }
        let alike = self.alike(key);
        alike.start + self.keys[alike].partition_point(|it| before(it))
    }

    /// The keys with the same head as `key`.
    fn alike(&self, key: &[u8]) -> Range<usize> {
        let head = head(key, self.n_common);
        let (mut n_less, mut n_up_to) = (0, 0);
        for it in &self.heads {
            n_less += u32::from(*it < head);
            n_up_to += u32::from(*it <= head);
        }
        n_less as usize..self.len().min(n_up_to as usize)
    }

    /// Adds a key at its place, which is `n`.
    pub(super) fn insert(&mut self, n: usize, key: Key) {
        if self.len() == self.keys.capacity() {
            self.keys.reserve_exact(STEP);
        }
        self.keys.insert(n, key);
        if n == 0 || n + 1 == self.len() {
            let n_common = self.common_bytes();
            if n_common != self.n_common {
                return self.set_common(n_common);
            }
        }
        self.heads.copy_within(n..NODE_LEN_MAX - 1, n + 1);
        self.heads[n] = head(&self.keys[n], self.n_common);
    }

    pub(super) fn remove(&mut self, n: usize) {
        self.keys.remove(n);
        self.heads.copy_within(n + 1.., n);
        self.heads[self.keys.len()..].fill(NO_HEAD);
    }

    /// Takes out the keys from the position `n` on.
    pub(super) fn split_off(&mut self, n: usize) -> Self {
        let mut right = Self { keys: self.keys.split_off(n), ..Self::default() };
        self.shrink();
        self.set_common(self.common_bytes());
        right.set_common(right.common_bytes());
        right
    }

    /// Takes out the last key.
    pub(super) fn pop(&mut self) -> Option<Key> {
        let key = self.keys.pop();
        self.heads[self.keys.len()..].fill(NO_HEAD);
        key
    }

    /// Gives memory back, but for one more step.
    pub(super) fn shrink(&mut self) {
        let room = self.len() + STEP;
        self.keys.shrink_to(room);
    }

    pub(super) fn capacity(&self) -> usize {
        self.keys.capacity()
    }

    /// Of all keys, since they ascend.
    fn common_bytes(&self) -> usize {
        let (Some(first), Some(last)) = (self.keys.first(), self.keys.last()) else { return 0 };
        first.iter().zip(&last[..]).take_while(|(first, last)| first == last).count()
    }

    fn set_common(&mut self, n_common: usize) {
        self.n_common = n_common;
        self.heads.fill(NO_HEAD);
        for (it, key) in self.heads.iter_mut().zip(&self.keys) {
            *it = head(key, n_common);
        }
    }
}

#[cfg(test)]
impl Keys {
    /// Panics if the keys do not ascend from `start` on and before `end`, or if a search could miss one.
    pub(super) fn check(&self, start: Option<&Key>, end: Option<&Key>) {
        assert!(self.keys.is_sorted_by(|a, b| a < b));
        assert!(start.is_none_or(|start| self.keys.first().is_none_or(|first| start <= first)));
        assert!(end.is_none_or(|end| self.keys.last().is_none_or(|last| last < end)));
        assert!(self.is_empty() || self.n_common <= self.common_bytes());
        let heads = self.keys.iter().map(|key| head(key, self.n_common));
        assert!(heads.chain(std::iter::repeat(NO_HEAD)).zip(self.heads).all(|(head, it)| head == it));
    }
}

impl Index<usize> for Keys {
    type Output = Key;

    fn index(&self, n: usize) -> &Key {
        &self.keys[n]
    }
}
