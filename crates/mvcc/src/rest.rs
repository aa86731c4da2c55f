//! A range that is scanned in chunks.

use std::ops::{Bound, ControlFlow};

use ferretcd_base::KeyRange;

use crate::index::{Bounds, Index, Key};
use crate::key_index::KeyIndex;
use crate::selection::KeyOrder;

/// Keys looked at in one go. The writer waits for that long when it creates a key.
const CHUNK_KEYS: usize = 256;

/// What is left of a range that is scanned in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Rest(Option<(Bound<Key>, Bound<Key>)>);

impl Rest {
    pub(crate) fn new(range: &KeyRange) -> Self {
        let owned = |bound: Bound<&[u8]>| bound.map(Key::from_slice);
        Self(range.bounds().map(|(start, end)| (owned(start), owned(end))))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn bounds(&self) -> Option<Bounds<'_>> {
        fn borrowed(bound: &Bound<Key>) -> Bound<&[u8]> {
            bound.as_ref().map(|key| &key[..])
        }
        self.0.as_ref().map(|(start, end)| (borrowed(start), borrowed(end)))
    }

    /// Shows the next keys to `visit`, and goes behind the last one that it has seen.
    pub(crate) fn scan(
        &mut self,
        index: &Index,
        order: KeyOrder,
        mut visit: impl FnMut(&[u8], &KeyIndex) -> ControlFlow<()>,
    ) {
        let Some(bounds) = self.bounds() else { return };
        let mut broken_at = None;
        let visit = |key: &[u8], state: &KeyIndex| {
            let flow = visit(key, state);
            if flow.is_break() {
                broken_at = Some(Key::from_slice(key));
            }
            flow
        };
        let last = index.scan(bounds, order, CHUNK_KEYS, visit);
        let last = broken_at.or(last).map(Bound::Excluded);
        self.0 = self.0.take().zip(last).map(|((start, end), last)| match order {
            KeyOrder::Ascending => (last, end),
            KeyOrder::Descending => (start, last),
        });
    }
}
