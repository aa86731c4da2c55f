//! Compaction in two parts: a revision is declared compacted at once, its rows are removed step by step.

use ferretcd_backend::Batch;

use crate::error::{CompactError, Error};
use crate::hash::KvHash;
use crate::markers::Marker;
use crate::store::Store;

/// The result of one step of [`Store::scrub`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scrub {
    /// There is nothing to remove.
    Idle,
    /// The backend doesn't show yet what the next step needs: commit, release, then call again.
    Waiting,
    /// There is more to do.
    Progress {
        /// Rows removed by this step.
        removed: usize,
    },
    /// A compaction is complete. Another one may be waiting.
    Finished {
        /// Its revision.
        revision: i64,
        /// Rows removed by this last step.
        removed: usize,
        /// The hash of the history up to its revision as it was before, which [`Reader::hash_kv`] gives
        /// from now on; `None` if the compaction before it hadn't finished when this one was accepted.
        ///
        /// [`Reader::hash_kv`]: crate::Reader::hash_kv
        hash: Option<KvHash>,
    },
}

impl Store {
    /// Declares `revision` compacted: from now on reads below it fail, and only what is needed to read at
    /// it and above is kept. `revision` must be above the compacted one and at most the current one. Adds
    /// to `batch` the row that makes the compaction survive a restart. The cost doesn't depend on the size
    /// of the history: rows are removed by [`Store::scrub`].
    pub fn compact(&mut self, revision: i64, batch: &mut Batch) -> Result<(), CompactError> {
        let (compacted, current) = (self.compacted(), self.revision());
        if revision <= compacted {
            return Err(CompactError::Compacted { requested: revision, compacted });
        }
        if revision > current {
            return Err(CompactError::Future { requested: revision, current });
        }
        self.compactions.accept(revision, compacted);
        Marker::Scheduled.write(revision, batch);
        self.shared.set_compacted(revision);
        Ok(())
    }

    /// Does one bounded step of the physical removal: looks at no more than `limit` (at least 1) rows of the
    /// committed history and adds their deletions to `batch`, with the last step also the row that marks
    /// the compaction as finished. Batches must be committed in the order they were made. After a restart
    /// an interrupted removal starts over by itself.
    pub fn scrub(&mut self, limit: usize, batch: &mut Batch) -> Result<Scrub, Error> {
        let Some(compaction) = self.compactions.front_mut() else { return Ok(Scrub::Idle) };
        let view = self.shared.backend.view();
        if !compaction.can_go_on(self.released, &view)? {
            return Ok(Scrub::Waiting);
        }
        let (removed, last) = compaction.step(&self.shared, &view, limit.max(1), batch)?;
        if !last {
            return Ok(Scrub::Progress { removed });
        }
        let finished = self.compactions.finish_front(self.shared.current());
        let (revision, hash) = finished.expect("the front one has just been worked on");
        self.shared.hashes.lock().extend(hash);
        Marker::Finished.write(revision, batch);
        Ok(Scrub::Finished { revision, removed, hash })
    }
}
