//! Installation of a snapshot from the leader: first the log begins anew behind it, then the member puts it into place.

use super::{Core, Installing, Step};
use crate::{Event, Persist};

impl Core {
    /// Whether the raft library may be called for more work.
    pub(super) fn may_move(&self) -> bool {
        !self.has_ended && self.installing.as_ref().is_none_or(|installing| installing.step == Step::Received)
    }

    /// Handles an event while a snapshot is being installed.
    pub(super) fn wait_for_snapshot(&mut self, event: Event) {
        let Some(Installing { mark, step }) = &mut self.installing else { return };
        match event {
            Event::Persisted(number) => {
                self.outbox.synced(number);
                if matches!(step, Step::Persisting(awaited) if number >= *awaited) {
                    *step = Step::Installing;
                    self.effects.install = Some(mark.clone());
                }
            }
            Event::Installed(index) if *step == Step::Installing && index == mark.index => {
                self.installing = None;
                self.applied = index;
                self.settle();
                self.advance_applied();
            }
            other => self.reject(other),
        }
    }

    /// The log goes on behind a snapshot from the leader, which contains all entries that were committed before and not
    /// handed out.
    pub(super) fn begin_anew(
        &mut self,
        number: u64,
        mark: ferretcd_wal::SnapshotMark,
        hard_state: Option<ferretcd_wal::HardState>,
    ) {
        self.backlog.clear();
        self.unconfigured = None;
        self.conf_change = 0;
        self.handed_out = mark.index;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        self.raw.mut_store().restart_at(mark.clone());
        let (mark, entries) = (Some(mark), Vec::new());
        self.effects.persist.push(Persist { number, mark, entries, hard_state, must_sync: true });
    }
}
