//! Raising the revision of a history that was restored.

use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::{Batch, Bucket, View};
use ferretcd_base::Revision;

use crate::error::{Corruption, OpenError};
use crate::markers::Marker;
use crate::row;

/// Adds rows that raise the newest revision of the history in `view` by `by`, and declare everything up to it compacted.
/// Returns the new revision. A client that has seen later revisions than the restored ones, but none as high, then
/// notices: its watches end as compacted. As etcd's tools do it, with a row of a key without a name.
///
/// # Errors
///
/// When the last row is malformed or cannot be read, and when there are no revisions as high.
pub fn raise_revision(view: &View, by: u64, batch: &mut Batch) -> Result<i64, OpenError> {
    let newest = match view.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded))?.next_back() {
        Some(row) => row::parse_key(&row?.0)?.0.main,
        None => 1,
    };
    let raised = i64::try_from(by).ok().and_then(|by| newest.checked_add(by));
    let raised = raised.filter(|raised| row::is_credible(*raised)).map(|main| Revision::new(main, 0));
    let raised = raised.ok_or(Corruption::Row { revision: Revision::new(newest, 0) })?;
    batch.put(Bucket::Key, Bytes::copy_from_slice(&raised.to_bytes()), Bytes::new());
    Marker::Scheduled.write(raised.main, batch);
    Ok(raised.main)
}
