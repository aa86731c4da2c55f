//! What can be read inside and outside of a write transaction.

use ferretcd_mvcc::{ReadView, Snapshot, WriteTxn};

/// A state of the key space.
pub(crate) trait Source {
    /// The state as it is now, for one read.
    fn snapshot(&self) -> Snapshot<'_>;
}

impl Source for ReadView {
    fn snapshot(&self) -> Snapshot<'_> {
        ReadView::snapshot(self)
    }
}

impl Source for WriteTxn<'_> {
    fn snapshot(&self) -> Snapshot<'_> {
        WriteTxn::snapshot(self)
    }
}
