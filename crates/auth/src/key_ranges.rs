//! Sets of keys as a union of ranges.

use bytes::Bytes;
use ferretcd_base::KeyRange;

/// A union of key ranges, with neighbours merged: one range of the union holds every range that the union covers.
///
/// ```
/// use ferretcd_auth::KeyRanges;
/// use ferretcd_base::KeyRange;
///
/// let granted = [KeyRange::Interval("a".into(), "c".into()), KeyRange::Interval("c".into(), "f".into())];
/// let granted = KeyRanges::union(granted);
/// assert!(granted.covers(&KeyRange::Interval("b".into(), "e".into())));
/// assert!(!granted.covers(&KeyRange::From("b".into())));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRanges {
    /// Ascending, with a gap between any two.
    spans: Vec<Span>,
}

/// The keys from `start` to before `end`; to the last one without an end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    start: Bytes,
    end: Option<Bytes>,
}

impl KeyRanges {
    /// The union of ranges. Costs n log n.
    pub fn union(ranges: impl IntoIterator<Item = KeyRange>) -> Self {
        let mut spans: Vec<Span> =
            ranges.into_iter().filter(|range| !range.is_empty()).map(Span::of).collect();
        spans.sort_unstable_by(|a, b| a.start.cmp(&b.start));
        spans.dedup_by(|next, span| {
            let touches = span.end.as_ref().is_none_or(|end| *end >= next.start);
            if touches
                && span.end.is_some()
                && next.end.as_ref().is_none_or(|end| Some(end) > span.end.as_ref())
            {
                span.end = next.end.take();
            }
            touches
        });
        Self { spans }
    }

    /// Whether every key of `range` is in the union. A range that has no key is looked up by its start. Costs log n, and no
    /// allocation.
    pub fn covers(&self, range: &KeyRange) -> bool {
        let start = range.start();
        let n_before = self.spans.partition_point(|span| span.start <= *start);
        let Some(span) = n_before.checked_sub(1).map(|place| &self.spans[place]) else { return false };
        let Some(end) = &span.end else { return true };
        match range {
            KeyRange::Key(key) => key < end,
            KeyRange::Interval(start, to) => start < end && to <= end,
            KeyRange::From(_) => false,
        }
    }
}

impl Span {
    fn of(range: KeyRange) -> Self {
        match range {
            KeyRange::Key(key) => {
                // The next key there can be.
                let end = [&key[..], &[0]].concat();
                Self { start: key, end: Some(end.into()) }
            }
            KeyRange::Interval(start, end) => Self { start, end: Some(end) },
            KeyRange::From(start) => Self { start, end: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Bytes> {
        prop::collection::vec(prop::sample::select(&[0_u8, b'a', b'b', 255][..]), 0..3).prop_map(Bytes::from)
    }

    fn range() -> impl Strategy<Value = KeyRange> {
        prop_oneof![
            key().prop_map(KeyRange::Key),
            (key(), key()).prop_map(|(start, end)| KeyRange::Interval(start, end)),
            key().prop_map(KeyRange::From),
        ]
    }

    /// Every key that a range of [`range`] can tell from another.
    fn keys() -> Vec<Vec<u8>> {
        let mut keys = vec![vec![]];
        for _ in 0..4 {
            let longer = keys.iter().flat_map(|key: &Vec<u8>| {
                [0_u8, b'a', b'b', 255].map(|byte| key.iter().copied().chain([byte]).collect::<Vec<u8>>())
            });
            let longer: Vec<_> = longer.collect();
            keys.extend(longer);
            keys.sort();
            keys.dedup();
        }
        keys
    }

    proptest! {
        #[test]
        fn covers_exactly_the_ranges_whose_keys_are_all_granted(
            granted in prop::collection::vec(range(), 0..6),
            wanted in range(),
        ) {
            let union = KeyRanges::union(granted.clone());
            // Beyond four bytes keys are alike for these ranges.
            let is_granted = |key: &[u8]| granted.iter().any(|range| range.contains(key));
            let all_granted = keys().iter().filter(|key| wanted.contains(key)).all(|key| is_granted(key));
            if wanted.is_empty() {
                prop_assert!(!union.covers(&wanted) || all_granted);
            } else {
                prop_assert_eq!(union.covers(&wanted), all_granted, "{:?} in {:?}", wanted, granted);
            }
        }

        #[test]
        fn neighbours_are_merged(granted in prop::collection::vec(range(), 0..6)) {
            let KeyRanges { spans } = KeyRanges::union(granted);
            for pair in spans.windows(2) {
                prop_assert!(pair[0].end.as_ref().is_some_and(|end| *end < pair[1].start));
            }
        }
    }

    #[test]
    fn key_is_not_an_open_range() {
        let union = KeyRanges::union([KeyRange::Key("k".into())]);
        assert!(union.covers(&KeyRange::Key("k".into())));
        for wanted in ["", "\0", "ka", "z"] {
            let range = KeyRange::from_wire("k".into(), wanted.into());
            assert_eq!(union.covers(&range), wanted.is_empty(), "to {wanted:?}");
        }
    }
}
