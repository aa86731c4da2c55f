//! The selection of a watch.

use ferretcd_base::KeyRange;
use ferretcd_mvcc::{Change, ChangeKind};

/// Names a watch on its stream.
pub type WatchId = i64;

/// A watch to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchSpec {
    /// The id; 0 lets the hub choose.
    pub id: WatchId,
    /// The keys.
    pub range: KeyRange,
    /// The first main revision of interest, in the past or in the future; 0 is the next one.
    pub start: i64,
    /// Leaves out puts.
    pub no_put: bool,
    /// Leaves out deletions.
    pub no_delete: bool,
    /// Whether events contain the previous value of the key.
    pub prev_kv: bool,
    /// Whether [`Hub::tick`](crate::Hub::tick) concerns this watch.
    pub progress_notify: bool,
    /// Whether the receiver can join a response that was sent in parts. The hub only passes this on.
    pub fragment: bool,
}

impl WatchSpec {
    /// A watch of `range` from now on, with the hub's choice of an id and nothing left out.
    pub fn new(range: KeyRange) -> Self {
        Self {
            id: 0,
            range,
            start: 0,
            no_put: false,
            no_delete: false,
            prev_kv: false,
            progress_notify: false,
            fragment: false,
        }
    }
}

/// Which events, in which form: watches with the same selection get the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    pub(crate) range: KeyRange,
    pub(crate) no_put: bool,
    pub(crate) no_delete: bool,
    pub(crate) prev_kv: bool,
}

impl Selection {
    /// Whether the filters let a change of a key in the range pass.
    pub(crate) fn admits(&self, change: &Change) -> bool {
        match change.kind {
            ChangeKind::Put => !self.no_put,
            ChangeKind::Delete => !self.no_delete,
        }
    }
}
