//! Checking a history that comes from elsewhere.

use bytes::Bytes;
use ferretcd_backend::View;
use ferretcd_base::Revision;

use crate::error::{Corruption, OpenError};
use crate::markers::Marker;
use crate::row;

/// Looks at the rows of bucket `key` on their way into a file, so that [`Store::open`](crate::Store::open)
/// will not fail on that file. Keeps nothing but the last revision.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryCheck {
    last: Option<Revision>,
}

impl HistoryCheck {
    /// Looks at the next row, in the order of the row keys.
    pub fn row(&mut self, row_key: &Bytes, row: &[u8]) -> Result<(), Corruption> {
        let (revision, ..) = row::parse(row_key, row)?;
        // A put and a tombstone of one revision have different row keys.
        if self.last.is_some_and(|last| last >= revision) {
            return Err(Corruption::Order { revision });
        }
        self.last = Some(revision);
        Ok(())
    }

    /// Looks at what the file remembers of compactions.
    pub fn markers(view: &View) -> Result<(), OpenError> {
        Marker::Finished.read::<OpenError>(view)?;
        Marker::Scheduled.read::<OpenError>(view)?;
        Ok(())
    }
}
