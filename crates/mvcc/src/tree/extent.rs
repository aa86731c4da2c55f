//! How large ranges of keys are.

use ferretcd_base::Revision;

use super::sums::Live;

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
    pub(super) at: Revision,
    limit: usize,
    /// Keys and subtrees looked at since the last beginning.
    pub(crate) n_seen: usize,
    /// So many at most, but for the rest of a leaf.
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

    /// Adds the next keys, unless the limit lies between them.
    pub(super) fn add(&mut self, live: Live) -> bool {
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
