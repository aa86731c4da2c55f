//! What always holds of a tree, for tests.

use super::keys::Key;
use super::sums::Live;
use super::{Child, Node, Tree};

impl Tree {
    /// Panics if something does not hold that always does.
    pub(crate) fn check(&self) {
        self.root.check(None, None, self.node_len_max);
        if let Node::Inner(inner) = &self.root.node {
            assert!(inner.children.len() > 1, "a root with one child is no use");
        }
    }
}

/// What is found below a node.
struct Found {
    depth: usize,
    live: Live,
    changed: i64,
}

impl Child {
    /// All keys lie from `start` on and before `end`.
    fn check(&self, start: Option<&Key>, end: Option<&Key>, len_max: usize) -> Found {
        let found = match &self.node {
            Node::Inner(inner) => {
                let len = inner.children.len();
                assert!((1..=len_max).contains(&len) && inner.separators.len() == len - 1);
                inner.separators.check(start, end);
                let found = inner.children.iter().enumerate().map(|(n, child)| {
                    let start = n.checked_sub(1).map(|n| &inner.separators[n]).or(start);
                    child.check(start, inner.separators.get(n).or(end), len_max)
                });
                let below = found.reduce(|mut sum, child| {
                    assert_eq!(sum.depth, child.depth);
                    sum.live += child.live;
                    Found { changed: sum.changed.max(child.changed), ..sum }
                });
                let below = below.expect("an inner node has children");
                Found { depth: below.depth + 1, ..below }
            }
            Node::Leaf(leaf) => {
                let states = leaf.states();
                assert!(leaf.keys.len() <= len_max && leaf.keys.len() == states.len());
                assert!(!states.is_empty() || (start, end) == (None, None), "only a root is empty");
                leaf.keys.check(start, end);
                let live = states.iter().map(|state| Live::of(state.newest())).sum();
                let changed = states.iter().map(|state| state.newest().main).max().unwrap_or(0);
                Found { depth: 0, live, changed }
            }
        };
        assert_eq!(self.sums.newest(), found.live);
        assert!(self.sums.changed() >= found.changed);
        found
    }
}
