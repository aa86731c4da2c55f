//! Sets of keys in etcd's `key`/`range_end` convention.

use std::ops::Bound;

use bytes::Bytes;

/// Where a range starts and ends, as ordered maps take it.
pub type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// A set of keys: one key, an interval, or everything from a key on. Ordered bytewise.
///
/// etcd writes all three as a pair `key`, `range_end`; [`KeyRange::from_wire`] is the only place that
/// knows the convention. An interval whose end does not lie behind its start is empty, not an error.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyRange {
    /// Exactly this key.
    Key(Bytes),
    /// From the first key, inclusive, to the second, exclusive.
    Interval(Bytes, Bytes),
    /// This key and every one behind it.
    From(Bytes),
}

impl KeyRange {
    /// Resolves etcd's pair: an empty `range_end` means one key, a single zero byte means "to the end".
    pub fn from_wire(key: Bytes, range_end: Bytes) -> Self {
        match &range_end[..] {
            [] => Self::Key(key),
            [0] => Self::From(key),
            _ => Self::Interval(key, range_end),
        }
    }

    /// Every key there can be.
    pub fn all() -> Self {
        Self::From(Bytes::from_static(&[0]))
    }

    /// The first key that can be in the range.
    pub fn start(&self) -> &Bytes {
        match self {
            Self::Key(key) | Self::Interval(key, _) | Self::From(key) => key,
        }
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::Key(only) => key == only,
            Self::Interval(start, end) => start <= key && key < end,
            Self::From(start) => start <= key,
        }
    }

    /// Whether no key can be in the range.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Interval(start, end) if start >= end)
    }

    /// The range as bounds for an ordered map; `None` if it [is empty](Self::is_empty), because ordered
    /// maps panic on reversed bounds.
    pub fn bounds(&self) -> Option<Bounds<'_>> {
        match self {
            Self::Key(key) => Some((Bound::Included(key), Bound::Included(key))),
            Self::Interval(start, end) if start < end => Some((Bound::Included(start), Bound::Excluded(end))),
            Self::Interval(..) => None,
            Self::From(start) => Some((Bound::Included(start), Bound::Unbounded)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &'static str, end: &'static str, inside: &[&str], outside: &[&str]) {
        let range = KeyRange::from_wire(key.into(), end.into());
        for key in inside {
            assert!(range.contains(key.as_bytes()), "{key} in {range:?}");
        }
        for key in outside {
            assert!(!range.contains(key.as_bytes()), "{key} not in {range:?}");
        }
        assert_eq!(range.bounds().is_none(), range.is_empty());
    }

    #[test]
    fn ranges_follow_the_wire_convention() {
        check("b", "", &["b"], &["a", "ba", "c"]);
        check("b", "d", &["b", "ba", "c"], &["a", "d"]);
        check("b", "\0", &["b", "z", "\u{7f}"], &["a"]);
        check("\0", "\0", &["\0", "a"], &[""]);
        check("b", "b", &[], &["a", "b"]);
        check("b", "a", &[], &["a", "b"]);
    }
}
