//! The state file's writer: rows and the position that they bring the state to, in one commit, some time after the oldest
//! of them.

use ferretcd_apply::Applied;
use ferretcd_backend::{Backend, Batch, Error};

use crate::event_queue::{MS, Micros};

/// How long rows wait.
const INTERVAL: Micros = 500 * MS;

#[derive(Debug, Default)]
pub(crate) struct Flusher {
    pending: Batch,
    main: i64,
    applied: Applied,
    since: Option<Micros>,
    under_way: Option<Flushed>,
}

/// A commit.
#[derive(Debug)]
pub(crate) struct Flushed {
    batch: Batch,
    /// Rows of revisions up to this one are in it.
    pub(crate) main: i64,
    pub(crate) applied: Applied,
}

impl Flusher {
    /// Takes rows and the position with them.
    pub(crate) fn add(&mut self, now: Micros, batch: Batch, main: i64, applied: &Applied) {
        self.pending.append(batch);
        self.main = main;
        self.applied.clone_from(applied);
        self.since.get_or_insert(now);
    }

    /// Lets the next commit begin at once.
    pub(crate) fn hurry(&mut self) {
        self.since = self.since.map(|_| 0);
    }

    /// How long until the next commit should begin, if there is something for it and none is under way.
    pub(crate) fn due_in(&self, now: Micros) -> Option<Micros> {
        let since = self.since.filter(|_| self.under_way.is_none())?;
        Some((since + INTERVAL).saturating_sub(now))
    }

    /// Whether nothing is left to be committed.
    pub(crate) fn is_idle(&self) -> bool {
        self.since.is_none() && self.under_way.is_none()
    }

    /// Begins a commit.
    pub(crate) fn begin(&mut self) {
        self.since = None;
        let batch = std::mem::take(&mut self.pending);
        self.under_way = Some(Flushed { batch, main: self.main, applied: self.applied.clone() });
    }

    /// Commits what was begun; nothing if it was called off. Without its position if `forgets_position`.
    pub(crate) fn finish(
        &mut self,
        backend: &Backend,
        forgets_position: bool,
    ) -> Result<Option<Flushed>, Error> {
        let Some(mut flushed) = self.under_way.take() else { return Ok(None) };
        if !forgets_position {
            flushed.applied.store(&mut flushed.batch);
        }
        backend.commit(&flushed.batch)?;
        Ok(Some(flushed))
    }
}
