//! All keys in order: a B+tree whose nodes know the sums of what is below them.
//!
//! ```text
//!                      root: sums │ node
//!                                 │ separators  d         k
//!                                 │ children    │    │    │
//!            ┌────────────────────┘         ┌───┘    └─── sums │ keys  k m p
//!   sums │ keys  a b c         sums │ keys  d f j              │ states
//!        │ states (one mutex)       │ states
//! ```
//!
//! The form (nodes, keys) changes only through `&mut`, so that its owner has a lock around the tree. Changes of
//! a key that is there go through `&`: they lock the states of one leaf and then correct the sums on the way to
//! it (see [`sums`]).
//!
//! * All leaves are equally deep. Recursion is as deep as the tree: five nodes for ten million keys.
//! * `separators[n]` is above all keys of the children up to `n`, and not above those of the children behind.
//! * A full node splits in halves, but one that is full at its end stays full, so that keys that come in
//!   ascending order fill their nodes.
//! * A node goes when it is empty and is never merged with another one: what was deleted is often written
//!   again, and nodes that are half empty cost little (Johnson and Shasha, B-trees with inserts and deletes:
//!   why free-at-empty is better than merge-at-half, 1993).

mod extent;
mod inner;
mod keys;
mod leaf;
mod measure;
mod sums;

#[cfg(test)]
mod check;

use std::iter::{self, Peekable};
use std::ops::ControlFlow;

use parking_lot::MappedMutexGuard;
use smallvec::SmallVec;

use self::inner::Inner;
use self::keys::NODE_LEN_MAX;
use self::leaf::Leaf;
use self::sums::{Live, Sums};
use crate::key_index::{KeyIndex, Stamp};

pub use self::extent::Extent;
pub(crate) use self::extent::Measuring;
pub(crate) use self::keys::{Bounds, Key};

#[derive(Debug)]
pub(crate) struct Tree {
    root: Child,
    node_len_max: usize,
}

/// A node, with the sums of what is below it.
#[derive(Debug)]
struct Child {
    sums: Sums,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Inner(Inner),
    Leaf(Leaf),
}

impl Default for Tree {
    fn default() -> Self {
        Self::with_nodes_of(NODE_LEN_MAX)
    }
}

impl Tree {
    /// An empty tree whose nodes have so many keys or children at most; two at least.
    pub(crate) fn with_nodes_of(node_len_max: usize) -> Self {
        Self { root: Child::new(Node::default()), node_len_max }
    }

    pub(crate) fn n_live(&self) -> usize {
        self.root.sums.newest().keys
    }

    /// The changes of a key. The newest has to stay the newest here: [`Self::change`] adds the next ones.
    pub(crate) fn state(&self, key: &[u8]) -> Option<MappedMutexGuard<'_, KeyIndex>> {
        let mut node = &self.root.node;
        loop {
            match node {
                Node::Inner(inner) => node = &inner.children[inner.child_of(key)].node,
                Node::Leaf(leaf) => return leaf.state(key),
            }
        }
    }

    /// Lets `add` add one stamp to a key that is there, and returns the stamp; `None` if there is no such key.
    pub(crate) fn change(&self, key: &[u8], add: impl FnOnce(&mut KeyIndex)) -> Option<Stamp> {
        let mut path = SmallVec::<[&Sums; 8]>::new();
        let mut child = &self.root;
        let leaf = loop {
            path.push(&child.sums);
            match &child.node {
                Node::Inner(inner) => child = &inner.children[inner.child_of(key)],
                Node::Leaf(leaf) => break leaf,
            }
        };
        let (before, stamp) = leaf.change(key, add)?;
        let after = Live::of(&stamp);
        for sums in path {
            sums.replace(stamp.main, before, after);
        }
        Some(stamp)
    }

    /// Adds to each live key within `bounds` the tombstone that `tombstone` returns for it, with the main
    /// revision `main`.
    pub(crate) fn delete_range(
        &self,
        bounds: Bounds<'_>,
        main: i64,
        mut tombstone: impl FnMut(&[u8]) -> Stamp,
    ) {
        self.root.delete_range(bounds, main, &mut tombstone);
    }

    /// The same with those of some keys that are there and live. They have to ascend.
    pub(crate) fn delete_keys<'k>(
        &self,
        ascending: impl Iterator<Item = &'k [u8]>,
        main: i64,
        mut tombstone: impl FnMut(&[u8]) -> Stamp,
    ) {
        self.root.delete_keys(&mut ascending.peekable(), None, main, &mut tombstone);
    }

    /// Shows the keys within `bounds` to `visit`, in ascending order or `backwards`, until it breaks.
    pub(crate) fn scan(
        &self,
        bounds: Bounds<'_>,
        backwards: bool,
        mut visit: impl FnMut(&Key, &KeyIndex) -> ControlFlow<()>,
    ) {
        // Where it broke is known to `visit`.
        _ = self.root.scan(bounds, backwards, &mut visit);
    }

    /// Adds a key that is not there, with its first stamp.
    pub(crate) fn insert(&mut self, key: Key, first: Stamp) {
        if let Some((separator, right)) = self.root.insert(key, first, self.node_len_max) {
            let left = std::mem::replace(&mut self.root, Child::new(Node::default()));
            self.root = Child::new(Node::Inner(Inner::new(left, separator, right)));
        }
    }

    /// Removes a key that is not live.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.root.remove(key);
        while let Node::Inner(Inner { children, .. }) = &mut self.root.node
            && children.len() <= 1
        {
            self.root = children.pop().unwrap_or_else(|| Child::new(Node::default()));
        }
    }
}

impl Node {
    fn sums(&self) -> Sums {
        match self {
            Self::Inner(inner) => inner.sums(),
            Self::Leaf(leaf) => leaf.sums(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Inner(inner) => inner.children.is_empty(),
            Self::Leaf(leaf) => leaf.keys.is_empty(),
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Leaf::default())
    }
}

impl Child {
    fn new(node: Node) -> Self {
        Self { sums: node.sums(), node }
    }

    /// Returns what the deleted keys counted.
    fn delete_range(
        &self,
        bounds: Bounds<'_>,
        main: i64,
        tombstone: &mut impl FnMut(&[u8]) -> Stamp,
    ) -> Live {
        let deleted = match &self.node {
            Node::Inner(inner) => inner
                .parts(bounds)
                .map(|(n, bounds)| inner.children[n].delete_range(bounds, main, tombstone))
                .sum(),
            Node::Leaf(leaf) => leaf.delete(leaf.positions(bounds), tombstone),
        };
        self.note_deleted(main, deleted);
        deleted
    }

    /// Takes the keys that are below `end`. Returns what the deleted ones counted.
    fn delete_keys<'k>(
        &self,
        ascending: &mut Peekable<impl Iterator<Item = &'k [u8]>>,
        end: Option<&[u8]>,
        main: i64,
        tombstone: &mut impl FnMut(&[u8]) -> Stamp,
    ) -> Live {
        let is_below = |key: &&[u8]| end.is_none_or(|end| *key < end);
        let mut deleted = Live::default();
        match &self.node {
            Node::Inner(inner) => {
                while let Some(key) = ascending.peek().filter(|key| is_below(key)) {
                    let n = inner.child_of(key);
                    let end = inner.separators.get(n).map(|key| &key[..]).or(end);
                    deleted += inner.children[n].delete_keys(ascending, end, main, tombstone);
                }
            }
            Node::Leaf(leaf) => {
                let keys = iter::from_fn(|| ascending.next_if(is_below));
                deleted = leaf.delete(leaf.positions_of(keys), tombstone);
            }
        }
        self.note_deleted(main, deleted);
        deleted
    }

    fn note_deleted(&self, main: i64, deleted: Live) {
        if deleted.keys > 0 {
            self.sums.replace(main, deleted, Live::default());
        }
    }

    fn scan(
        &self,
        bounds: Bounds<'_>,
        backwards: bool,
        visit: &mut impl FnMut(&Key, &KeyIndex) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        match &self.node {
            Node::Inner(inner) => {
                let mut parts = inner.parts(bounds);
                let mut scan = |(n, bounds): (usize, _)| inner.children[n].scan(bounds, backwards, visit);
                if backwards { parts.rev().try_for_each(scan) } else { parts.try_for_each(&mut scan) }
            }
            Node::Leaf(leaf) => {
                let mut positions = leaf.positions(bounds);
                let states = leaf.states();
                let mut visit = |n: usize| visit(&leaf.keys[n], &states[n]);
                if backwards {
                    positions.rev().try_for_each(visit)
                } else {
                    positions.try_for_each(&mut visit)
                }
            }
        }
    }

    /// Returns what has split off at the end, with the separator before it.
    fn insert(&mut self, key: Key, first: Stamp, len_max: usize) -> Option<(Key, Self)> {
        let right = match &mut self.node {
            Node::Inner(inner) => inner.insert(key, first, len_max).map(|(key, it)| (key, Node::Inner(it))),
            Node::Leaf(leaf) => leaf.insert(key, first, len_max).map(|(key, it)| (key, Node::Leaf(it))),
        };
        let Some((separator, right)) = right else {
            self.sums.replace(first.main, Live::default(), Live::of(&first));
            return None;
        };
        let right = Self::new(right);
        self.sums = self.node.sums();
        Some((separator, right))
    }

    fn remove(&mut self, key: &[u8]) {
        match &mut self.node {
            Node::Inner(inner) => inner.remove(key),
            Node::Leaf(leaf) => leaf.remove(key),
        }
    }
}
