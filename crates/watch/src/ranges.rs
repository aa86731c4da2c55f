//! Finding the ranges that a key lies in.
//!
//! An interval tree: a search tree by the starts of the ranges, kept balanced as Adelson-Velsky and Landis do,
//! in which every node also knows how far the ranges below it reach. A search leaves out each part of the tree
//! that ends before the key, so it costs the logarithm of the number of ranges for each one that it finds.

use std::cmp::Ordering;

use bytes::Bytes;

/// Ranges of keys, each with something that belongs to it.
#[derive(Debug)]
pub(crate) struct Ranges<T>(Tree<T>);

/// A range by its first key, which is in it, and its end.
pub(crate) type Span = (Bytes, End);

/// Where a range ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    /// Right before this key.
    Before(Bytes),
    /// Behind every key.
    Never,
}

impl End {
    fn is_behind(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => key < end,
            Self::Never => true,
        }
    }
}

type Tree<T> = Option<Box<Node<T>>>;

#[derive(Debug)]
struct Node<T> {
    span: Span,
    value: T,
    /// The largest end of this node and those below it.
    reach: End,
    /// Nodes on the longest way down, this one included. Those of the two sides differ by one at most.
    height: u8,
    left: Tree<T>,
    right: Tree<T>,
}

impl<T> Default for Ranges<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Ranges<T> {
    /// Shows the values of all ranges that `key` lies in.
    pub(crate) fn find(&self, key: &[u8], mut found: impl FnMut(&T)) {
        search(&self.0, key, &mut |node| {
            let (start, end) = &node.span;
            if start <= key && end.is_behind(key) {
                found(&node.value);
            }
        });
    }

    /// The value of a range that is in here.
    pub(crate) fn get_mut(&mut self, span: &Span) -> Option<&mut T> {
        let mut tree = &mut self.0;
        while let Some(node) = tree {
            tree = match span.cmp(&node.span) {
                Ordering::Less => &mut node.left,
                Ordering::Greater => &mut node.right,
                Ordering::Equal => return Some(&mut node.value),
            };
        }
        None
    }

    pub(crate) fn remove(&mut self, span: &Span) {
        self.0 = remove(self.0.take(), span);
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl<T: Default> Ranges<T> {
    /// The value of a range, which is a new one if the range isn't in here yet.
    pub(crate) fn entry(&mut self, span: Span) -> &mut T {
        if self.get_mut(&span).is_none() {
            self.0 = Some(insert(self.0.take(), span.clone()));
        }
        self.get_mut(&span).expect("it is in here or was inserted")
    }
}

/// Looks at all nodes whose range may have `key` in it, and few others.
fn search<T>(tree: &Tree<T>, key: &[u8], look: &mut impl FnMut(&Node<T>)) {
    let Some(node) = tree.as_ref().filter(|node| node.reach.is_behind(key)) else { return };
    search(&node.left, key, look);
    look(node);
    if node.span.0 <= key {
        search(&node.right, key, look);
    }
}

fn insert<T: Default>(tree: Tree<T>, span: Span) -> Box<Node<T>> {
    let Some(mut node) = tree else { return Node::leaf(span) };
    match span < node.span {
        true => node.left = Some(insert(node.left, span)),
        false => node.right = Some(insert(node.right, span)),
    }
    node.balanced()
}

fn remove<T>(tree: Tree<T>, span: &Span) -> Tree<T> {
    let mut node = tree?;
    match span.cmp(&node.span) {
        Ordering::Less => node.left = remove(node.left, span),
        Ordering::Greater => node.right = remove(node.right, span),
        Ordering::Equal => return join(node.left, node.right),
    }
    Some(node.balanced())
}

/// One tree of the two sides of a node that goes.
fn join<T>(left: Tree<T>, right: Tree<T>) -> Tree<T> {
    let Some(right) = right else { return left };
    let (mut first, right) = right.take_first();
    first.left = left;
    first.right = right;
    Some(first.balanced())
}

fn height<T>(tree: &Tree<T>) -> u8 {
    tree.as_ref().map_or(0, |node| node.height)
}

impl<T> Node<T> {
    fn leaf(span: Span) -> Box<Self>
    where
        T: Default,
    {
        let (reach, value) = (span.1.clone(), T::default());
        Box::new(Self { span, value, reach, height: 1, left: None, right: None })
    }

    /// Takes the first node out of a tree.
    fn take_first(mut self: Box<Self>) -> (Box<Self>, Tree<T>) {
        let Some(left) = self.left.take() else {
            let right = self.right.take();
            return (self, right);
        };
        let (first, left) = left.take_first();
        self.left = left;
        (first, Some(self.balanced()))
    }

    /// Restores what holds for a node after one side has got or lost one.
    fn balanced(mut self: Box<Self>) -> Box<Self> {
        match self.tilt() {
            2 => {
                self.left = self.left.map(|left| if left.tilt() < 0 { left.rotated_left() } else { left });
                self.rotated_right()
            }
            -2 => {
                self.right =
                    self.right.map(|right| if right.tilt() > 0 { right.rotated_right() } else { right });
                self.rotated_left()
            }
            _ => {
                self.refresh();
                self
            }
        }
    }

    /// By how much the left side is higher.
    fn tilt(&self) -> i16 {
        i16::from(height(&self.left)) - i16::from(height(&self.right))
    }

    fn rotated_left(mut self: Box<Self>) -> Box<Self> {
        let mut top = self.right.take().expect("the right side is higher");
        self.right = top.left.take();
        self.refresh();
        top.left = Some(self);
        top.refresh();
        top
    }

    fn rotated_right(mut self: Box<Self>) -> Box<Self> {
        let mut top = self.left.take().expect("the left side is higher");
        self.left = top.right.take();
        self.refresh();
        top.right = Some(self);
        top.refresh();
        top
    }

    fn refresh(&mut self) {
        self.height = 1 + height(&self.left).max(height(&self.right));
        let below = [&self.left, &self.right].into_iter().flatten().map(|node| &node.reach);
        self.reach = below.fold(&self.span.1, Ord::max).clone();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Checks what holds for every node, and returns the number of them.
    fn check<T>(tree: &Tree<T>) -> usize {
        let Some(node) = tree else { return 0 };
        let n_below = check(&node.left) + check(&node.right);
        assert!(node.tilt().abs() <= 1);
        assert_eq!(node.height, 1 + height(&node.left).max(height(&node.right)));
        let sides = [&node.left, &node.right];
        assert!(sides.into_iter().flatten().all(|below| below.reach <= node.reach));
        let reaches = sides.into_iter().flatten().map(|below| &below.reach);
        assert!(reaches.chain([&node.span.1]).any(|end| *end == node.reach));
        n_below + 1
    }

    fn key() -> impl Strategy<Value = Bytes> {
        "[a-f]{0,3}".prop_map(Bytes::from)
    }

    fn span() -> impl Strategy<Value = Span> {
        let end = prop_oneof![9 => key().prop_map(End::Before), 1 => Just(End::Never)];
        (key(), end).prop_filter("a range has room for keys", |(start, end)| end.is_behind(start))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn keys_find_the_ranges_around_them(
            spans in prop::collection::vec((span(), prop::bool::weighted(0.6)), 1..300),
            keys in prop::collection::vec(key(), 1..20),
        ) {
            let mut ranges = Ranges::<Option<Span>>::default();
            let mut model = BTreeMap::new();
            for (span, stays) in spans {
                if stays {
                    let before = ranges.entry(span.clone()).replace(span.clone());
                    prop_assert_eq!(before, model.insert(span.clone(), span));
                } else {
                    ranges.remove(&span);
                    model.remove(&span);
                    prop_assert!(ranges.get_mut(&span).is_none());
                }
                prop_assert_eq!(check(&ranges.0), model.len());
            }
            for key in keys {
                let mut found = Vec::new();
                ranges.find(&key, |span| found.extend(span.clone()));
                let is_around = |(start, end): &&Span| *start <= key && end.is_behind(&key);
                let expected: Vec<_> = model.values().filter(is_around).cloned().collect();
                prop_assert_eq!(found, expected);
            }
            for span in model.into_keys() {
                ranges.remove(&span);
                check(&ranges.0);
            }
            prop_assert!(ranges.is_empty());
        }
    }

    #[test]
    fn a_search_is_short_among_many_ranges() {
        const N: u64 = 10_000;
        let key = |n: u64| Bytes::copy_from_slice(&n.to_be_bytes());
        let mut ranges = Ranges::<u64>::default();
        for n in 0..N {
            *ranges.entry((key(n), End::Before(key(n + 1)))) = n;
        }
        assert!(height(&ranges.0) <= 20);
        for n in [0, N / 2, N - 1] {
            let mut n_seen = 0;
            search(&ranges.0, &key(n), &mut |_| n_seen += 1);
            assert!(n_seen <= 40, "{n_seen} of {N} are looked at");
            ranges.find(&key(n), |found| assert_eq!(*found, n));
        }
    }
}
