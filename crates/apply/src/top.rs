//! The first of many items in an order, without all of them in memory.

/// Keeps the first `limit` items in the order of their ranks, or all. Items of one rank stay in the order in which they
/// came.
#[derive(Debug)]
pub(crate) struct Top<K, T> {
    limit: Option<usize>,
    n_seen: usize,
    /// Up to twice the limit, in no order: it is cut when it is full, which costs a few steps for each item.
    kept: Vec<((K, usize), T)>,
    is_cut: bool,
}

impl<K: Ord, T> Top<K, T> {
    /// The limit is at least one.
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self { limit, n_seen: 0, kept: Vec::new(), is_cut: false }
    }

    /// Items that are in memory at most.
    pub(crate) fn n_kept(limit: usize) -> usize {
        limit.saturating_mul(2)
    }

    /// Makes and adds an item, if it can be among the first.
    pub(crate) fn add(&mut self, rank: K, item: impl FnOnce() -> T) {
        let rank = (rank, self.n_seen);
        self.n_seen += 1;
        let Some(limit) = self.limit else { return self.kept.push((rank, item())) };
        // Behind a cut, the item at the limit is the last of the first ones so far.
        if self.is_cut && rank > self.kept[limit - 1].0 {
            return;
        }
        self.kept.push((rank, item()));
        if self.kept.len() == Self::n_kept(limit) {
            self.cut(limit);
        }
    }

    fn cut(&mut self, limit: usize) {
        self.kept.select_nth_unstable_by(limit - 1, |a, b| a.0.cmp(&b.0));
        self.kept.truncate(limit);
        self.is_cut = true;
    }

    pub(crate) fn into_sorted(mut self) -> Vec<T> {
        self.kept.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.kept.truncate(self.limit.unwrap_or(usize::MAX));
        self.kept.into_iter().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn first_items_are_those_of_a_stable_sort(ranks in vec(0_i64..20, 0..200), limit in prop::option::of(1_usize..50)) {
            let mut top = Top::new(limit);
            let mut n_made = 0;
            for (n, rank) in ranks.iter().enumerate() {
                top.add(*rank, || { n_made += 1; n });
                prop_assert!(limit.is_none_or(|limit| top.kept.len() <= Top::<i64, usize>::n_kept(limit)));
            }
            let mut sorted: Vec<usize> = (0..ranks.len()).collect();
            sorted.sort_by_key(|n| ranks[*n]);
            sorted.truncate(limit.unwrap_or(usize::MAX));
            prop_assert_eq!(top.into_sorted(), sorted);
            prop_assert!(n_made <= ranks.len());
        }
    }
}
