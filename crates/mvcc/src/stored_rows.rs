//! Many rows out of the backend.

use std::cmp::Ordering;
use std::ops::Bound;

use bytes::{BufMut, Bytes};
use ferretcd_backend::{Bucket, Rows, View};
use ferretcd_base::Revision;

use crate::arena::Arena;
use crate::error::{Corruption, ReadError};
use crate::shared::Shared;

/// Rows that are stepped over before the next wanted one is searched for: a search costs about as much.
const SKIPPED_MAX: usize = 6;

/// Whether rows that were read go into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caching {
    /// They do, each in memory of its own.
    Yes,
    /// They do not, and share memory: a long list takes the place of no row that is read often.
    No,
}

impl Shared {
    /// Rows of puts that are no longer among the recent ones, from the cache or the backend, which is read in the order of
    /// revisions: a row close behind another costs a step instead of a search. `found` gets each with its number.
    pub(crate) fn stored_rows(
        &self,
        mut wanted: Vec<(Revision, usize)>,
        caching: Caching,
        mut found: impl FnMut(usize, Bytes),
    ) -> Result<(), ReadError> {
        wanted.retain(|(revision, number)| match self.cache.get(*revision) {
            Some(row) => {
                found(*number, row);
                false
            }
            None => true,
        });
        wanted.sort_unstable();
        let mut reading =
            Reading { view: self.backend.view(), ahead: None, caching, arena: Arena::default() };
        for (revision, number) in wanted {
            let row = reading.row(revision)?;
            if caching == Caching::Yes {
                self.cache.insert(revision, row.clone());
            }
            found(number, row);
        }
        Ok(())
    }
}

/// A pass over the backend.
struct Reading {
    view: std::sync::Arc<View>,
    /// The rows behind the last one that was read.
    ahead: Option<Rows>,
    caching: Caching,
    arena: Arena,
}

impl Reading {
    fn row(&mut self, revision: Revision) -> Result<Bytes, ReadError> {
        let key = revision.to_bytes();
        if let Some(mut ahead) = self.ahead.take() {
            for _ in 0..SKIPPED_MAX {
                match self.next(&mut ahead, &key)? {
                    Some(Ok(row)) => {
                        self.ahead = Some(ahead);
                        return Ok(row);
                    }
                    Some(Err(Ordering::Less)) => {}
                    _ => break,
                }
            }
        }
        let mut ahead = self.view.range(Bucket::Key, (Bound::Included(&key), Bound::Unbounded))?;
        match self.next(&mut ahead, &key)? {
            Some(Ok(row)) => {
                self.ahead = Some(ahead);
                Ok(row)
            }
            _ => Err(Corruption::MissingRow { revision }.into()),
        }
    }

    /// The next row if it has this key, else where it lies; `None` behind the last row.
    fn next(&mut self, rows: &mut Rows, key: &[u8]) -> Result<Option<Result<Bytes, Ordering>>, ReadError> {
        let Self { caching, arena, .. } = self;
        let row = rows.visit_next(|found, row| match found.cmp(key) {
            Ordering::Equal if *caching == Caching::Yes => Ok(Bytes::copy_from_slice(row)),
            Ordering::Equal => Ok(arena.allocate(row.len(), |room| room.put_slice(row))),
            place => Err(place),
        });
        Ok(row.transpose()?)
    }
}
