//! Raising the revision of a history that was restored.

use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::{Batch, Bucket, View};
use ferretcd_base::Revision;

use crate::error::OpenError;
use crate::markers::Marker;
use crate::row;

/// The newest revision of the history in `view`; 1 if nothing was ever written.
///
/// # Errors
///
/// When what tells it is malformed or cannot be read.
pub fn newest_revision(view: &View) -> Result<i64, OpenError> {
    let last = match view.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded))?.next_back() {
        Some(row) => row::parse_key(&row?.0)?.0.main,
        None => 1,
    };
    // A compaction may have deleted the last rows.
    let scheduled = Marker::Scheduled.read::<OpenError>(view)?;
    Ok(last.max(scheduled).max(Marker::Finished.read::<OpenError>(view)?))
}

/// Adds rows that raise the newest revision of a history from `newest` by `by`, and declare everything up to it compacted.
/// Returns the new revision, or `None` if no store can come to one as high. A client that has seen later revisions than the
/// restored ones, but none as high, then notices: its watches end as compacted. As etcd's tools do it, with a row of a key
/// without a name.
pub fn raise_revision(newest: i64, by: u64, batch: &mut Batch) -> Option<i64> {
    let raised = newest.checked_add(i64::try_from(by).ok()?)?;
    if !row::is_credible(raised) {
        return None;
    }
    let row_key = Bytes::copy_from_slice(&Revision::new(raised, 0).to_bytes());
    batch.put(Bucket::Key, row_key, Bytes::new());
    Marker::Scheduled.write(raised, batch);
    Some(raised)
}
