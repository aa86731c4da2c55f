//! The two rows of bucket `meta` that remember compactions.
//!
//! `scheduledCompactRev` is written when a compaction is accepted, `finishedCompactRev` with the last rows it
//! removes. When the first is ahead of the second, a compaction was interrupted.

use bytes::Bytes;
use ferretcd_backend::{Batch, Bucket, View};
use ferretcd_base::Revision;

use crate::error::Corruption;
use crate::row;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Marker {
    Scheduled,
    Finished,
}

impl Marker {
    fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduledCompactRev",
            Self::Finished => "finishedCompactRev",
        }
    }

    pub(crate) fn write(self, revision: i64, batch: &mut Batch) {
        let value = Bytes::copy_from_slice(&Revision::new(revision, 0).to_bytes());
        batch.put(Bucket::Meta, Bytes::from_static(self.name().as_bytes()), value);
    }

    /// The marked revision; -1 if the marker isn't there.
    pub(crate) fn read<E>(self, view: &View) -> Result<i64, E>
    where
        E: From<ferretcd_backend::Error> + From<Corruption>,
    {
        let Some(value) = view.get(Bucket::Meta, self.name().as_bytes())? else { return Ok(-1) };
        match Revision::from_bytes(&value) {
            Ok(revision) if row::is_credible(revision.main) => Ok(revision.main),
            _ => Err(Corruption::Marker { name: self.name(), value }.into()),
        }
    }
}
