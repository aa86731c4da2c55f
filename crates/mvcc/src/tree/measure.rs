//! Sums over ranges of keys.

use std::ops::{Bound, ControlFlow};

use ferretcd_base::Revision;

use super::sums::Live;
use super::{Bounds, Child, Key, Node};

/// Keys and subtrees looked at in one go. The writer waits for that long when it creates a key. Tests have few
/// keys, and are to go on all the same.
const SEEN_MAX: usize = if cfg!(test) { 5 } else { 1_000 };

/// How large a range is at a revision, without its rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// All keys of the range that exist at the revision, whatever the limit.
    pub count: usize,
    /// Those that a list shows: the count, or the limit if that is smaller.
    pub rows: usize,
    /// What the first `rows` of them take in a response, as a repeated field with a tag of one byte: for each the
    /// tag, its length and the bytes of the stored row.
    pub bytes: u64,
}

/// A measurement under way.
#[derive(Debug)]
pub(crate) struct Measuring {
    at: Revision,
    limit: usize,
    n_seen: usize,
    pub(crate) seen_max: usize,
    pub(crate) extent: Extent,
}

impl Measuring {
    /// At the revision `at`, with `limit` rows at most; 0 is no limit.
    pub(crate) fn new(at: Revision, limit: usize) -> Self {
        let limit = if limit == 0 { usize::MAX } else { limit };
        Self { at, limit, n_seen: 0, seen_max: SEEN_MAX, extent: Extent::default() }
    }

    pub(super) fn begin(&mut self) {
        self.n_seen = 0;
    }

    /// Keys and subtrees looked at since the last beginning.
    #[cfg(test)]
    pub(crate) fn n_seen(&self) -> usize {
        self.n_seen
    }

    /// Adds the next keys, unless the limit lies between them.
    fn add(&mut self, live: Live) -> bool {
        let Extent { count, rows, bytes } = &mut self.extent;
        if *rows < self.limit {
            if live.keys > self.limit - *rows {
                return false;
            }
            *rows += live.keys;
            *bytes += live.bytes;
        }
        *count += live.keys;
        true
    }
}

impl Child {
    /// Adds the keys within `bounds`. Breaks after some time, with the key to begin with the next time.
    pub(super) fn measure(&self, bounds: Bounds<'_>, measuring: &mut Measuring) -> ControlFlow<Key> {
        if bounds == (Bound::Unbounded, Bound::Unbounded)
            && let Some(live) = self.sums.at(measuring.at)
            && measuring.add(live)
        {
            measuring.n_seen += 1;
            return ControlFlow::Continue(());
        }
        match &self.node {
            Node::Inner(inner) => {
                for (n_before, (n, bounds)) in inner.parts(bounds).enumerate() {
                    // Only between two children is there a key to begin with, and something done before it.
                    if n_before > 0 && measuring.n_seen >= measuring.seen_max {
                        return ControlFlow::Break(inner.separators[n - 1].clone());
                    }
                    inner.children[n].measure(bounds, measuring)?;
                }
            }
            Node::Leaf(leaf) => {
                let (states, positions) = (leaf.states(), leaf.positions(bounds));
                measuring.n_seen += positions.len();
                for state in states.get(positions).unwrap_or_default() {
                    if let Some(stamp) = state.live_at(measuring.at) {
                        let is_added = measuring.add(Live::of(stamp));
                        assert!(is_added, "no limit lies within one key");
                    }
                }
            }
        }
        ControlFlow::Continue(())
    }
}
