//! How a tree is measured: by the sums of its nodes where they are those of the revision.

use std::ops::{Bound, ControlFlow};

use super::extent::Measuring;
use super::keys::{Bounds, Key};
use super::sums::Live;
use super::{Child, Node, Tree};

impl Tree {
    /// Adds to `measuring` the keys within `bounds`. Stops after some time, and then returns the key to begin
    /// with, inclusive, the next time.
    pub(crate) fn measure(&self, bounds: Bounds<'_>, measuring: &mut Measuring) -> Option<Key> {
        measuring.begin();
        self.root.measure(bounds, measuring).break_value()
    }
}

impl Child {
    /// Adds the keys within `bounds`. Breaks after some time, with the key to begin with the next time.
    fn measure(&self, bounds: Bounds<'_>, measuring: &mut Measuring) -> ControlFlow<Key> {
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
