//! Nodes with keys.

use std::ops::{Bound, Range};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use super::keys::{Bounds, Key, Keys, STEP};
use super::sums::{Live, Sums};
use crate::key_index::{KeyIndex, Stamp};

#[derive(Debug, Default)]
pub(super) struct Leaf {
    pub(super) keys: Keys,
    /// One for each key.
    states: Mutex<Vec<KeyIndex>>,
}

impl Leaf {
    /// The states of all keys.
    pub(super) fn states(&self) -> MutexGuard<'_, Vec<KeyIndex>> {
        self.states.lock()
    }

    /// The state of one key.
    pub(super) fn state(&self, key: &[u8]) -> Option<MappedMutexGuard<'_, KeyIndex>> {
        // First the lock: keys and states are loaded at the same time then, and mostly from far away.
        let states = self.states();
        let n = self.keys.find(key)?;
        Some(MutexGuard::map(states, |states| &mut states[n]))
    }

    /// Where the keys within `bounds` are.
    pub(super) fn positions(&self, (start, end): Bounds<'_>) -> Range<usize> {
        let first = match start {
            Bound::Unbounded => 0,
            Bound::Included(key) => self.keys.n_below(key),
            Bound::Excluded(key) => self.keys.n_up_to(key),
        };
        let behind = match end {
            Bound::Unbounded => self.keys.len(),
            Bound::Included(key) => self.keys.n_up_to(key),
            Bound::Excluded(key) => self.keys.n_below(key),
        };
        first..behind
    }

    /// Where those of some ascending keys are that are there. A neighbour of the one before is found without a search.
    pub(super) fn positions_of<'k>(
        &self,
        ascending: impl Iterator<Item = &'k [u8]>,
    ) -> impl Iterator<Item = usize> {
        let mut next = 0;
        ascending.filter_map(move |key| {
            let is_at = |n: usize| self.keys.get(n).is_some_and(|it| it[..] == *key);
            if !is_at(next) {
                next = self.keys.n_below(key);
            }
            let found = is_at(next).then_some(next);
            next += usize::from(found.is_some());
            found
        })
    }

    /// Lets `add` add one stamp to a key that is there. Returns what the key counted before, and the stamp.
    pub(super) fn change(&self, key: &[u8], add: impl FnOnce(&mut KeyIndex)) -> Option<(Live, Stamp)> {
        let mut state = self.state(key)?;
        let before = Live::of(state.newest());
        add(&mut state);
        Some((before, *state.newest()))
    }

    /// Adds a tombstone to those of some keys that are live. Returns what they counted.
    pub(super) fn delete(
        &self,
        positions: impl Iterator<Item = usize>,
        tombstone: &mut impl FnMut(&[u8]) -> Stamp,
    ) -> Live {
        let mut states = self.states();
        let mut deleted = Live::default();
        for n in positions {
            let state = &mut states[n];
            if !state.newest().is_tombstone() {
                deleted += Live::of(state.newest());
                state.push(tombstone(&self.keys[n]));
            }
        }
        deleted
    }

    pub(super) fn sums(&self) -> Sums {
        let states = self.states();
        let live = states.iter().map(|state| Live::of(state.newest())).sum();
        let changed = states.iter().map(|state| state.newest().main).max();
        Sums::new(live, changed.unwrap_or(0))
    }

    /// Returns what has split off at the end, with the separator before it.
    pub(super) fn insert(&mut self, key: Key, first: Stamp, len_max: usize) -> Option<(Key, Self)> {
        let (n, len) = (self.keys.n_below(&key), self.keys.len());
        if len < len_max {
            self.insert_at(n, key, first);
            return None;
        }
        let n_left = if n == len { len } else { len / 2 };
        let mut right = self.split_off(n_left);
        match n.checked_sub(n_left) {
            None => self.insert_at(n, key, first),
            Some(n) => right.insert_at(n, key, first),
        }
        Some((right.keys[0].clone(), right))
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        let Some(n) = self.keys.find(key) else { return };
        let states = self.states.get_mut();
        self.keys.remove(n);
        let state = states.remove(n);
        assert!(state.newest().is_tombstone(), "a live key counts in the sums above");
        if self.keys.capacity() - self.keys.len() >= 2 * STEP {
            self.keys.shrink();
            states.shrink_to(states.len() + STEP);
        }
    }

    fn split_off(&mut self, n: usize) -> Self {
        let states = self.states.get_mut();
        let right = Self { keys: self.keys.split_off(n), states: Mutex::new(states.split_off(n)) };
        states.shrink_to(n + STEP);
        right
    }

    fn insert_at(&mut self, n: usize, key: Key, first: Stamp) {
        let states = self.states.get_mut();
        if states.len() == states.capacity() {
            states.reserve_exact(STEP);
        }
        self.keys.insert(n, key);
        states.insert(n, KeyIndex::new(first));
    }
}
