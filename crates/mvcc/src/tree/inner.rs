//! Nodes with children.

use std::ops::Bound;

use super::Child;
use super::keys::{Bounds, Key, Keys};
use super::sums::Sums;
use crate::key_index::Stamp;

#[derive(Debug)]
pub(super) struct Inner {
    /// One less than children.
    pub(super) separators: Keys,
    pub(super) children: Vec<Child>,
}

impl Inner {
    pub(super) fn new(left: Child, separator: Key, right: Child) -> Self {
        let mut separators = Keys::default();
        separators.insert(0, separator);
        Self { separators, children: vec![left, right] }
    }

    /// The child that `key` belongs to.
    pub(super) fn child_of(&self, key: &[u8]) -> usize {
        self.separators.n_up_to(key)
    }

    /// The children that keys within `bounds` can be in, each with the bounds that say something inside of it.
    pub(super) fn parts<'a>(
        &self,
        (start, end): Bounds<'a>,
    ) -> impl DoubleEndedIterator<Item = (usize, Bounds<'a>)> + use<'a> {
        let first = match start {
            Bound::Unbounded => 0,
            Bound::Included(key) | Bound::Excluded(key) => self.child_of(key),
        };
        let last = match end {
            Bound::Unbounded => self.separators.len(),
            Bound::Included(key) => self.child_of(key),
            Bound::Excluded(key) => self.separators.n_below(key),
        };
        (first..last + 1).map(move |n| {
            let start = if n == first { start } else { Bound::Unbounded };
            let end = if n == last { end } else { Bound::Unbounded };
            (n, (start, end))
        })
    }

    pub(super) fn sums(&self) -> Sums {
        let live = self.children.iter().map(|child| child.sums.newest()).sum();
        let changed = self.children.iter().map(|child| child.sums.changed()).max();
        Sums::new(live, changed.unwrap_or(0))
    }

    /// Returns what has split off at the end, with the separator before it.
    pub(super) fn insert(&mut self, key: Key, first: Stamp, len_max: usize) -> Option<(Key, Self)> {
        let n = self.child_of(&key);
        let (separator, right) = self.children[n].insert(key, first, len_max)?;
        self.separators.insert(n, separator);
        self.children.insert(n + 1, right);
        let len = self.children.len();
        if len <= len_max {
            return None;
        }
        let n_left = if n + 2 == len { len - 1 } else { len / 2 };
        let children = self.children.split_off(n_left);
        let separators = self.separators.split_off(n_left);
        let separator =
            self.separators.pop().expect("both sides have a child, so there was one between them");
        Some((separator, Self { separators, children }))
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        let n = self.child_of(key);
        self.children[n].remove(key);
        if self.children[n].node.is_empty() {
            self.children.remove(n);
            // A neighbour takes the empty room over: the one before, or the next one if there is none before.
            if !self.separators.is_empty() {
                self.separators.remove(n.saturating_sub(1));
            }
        }
    }
}
