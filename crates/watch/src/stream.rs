//! A stream: the way to its owner, and its watches by their ids.

use std::collections::{BTreeMap, BTreeSet};

use crate::keys::WatcherKey;
use crate::{CreateError, Outlet, WatchId, WatchSpec};

#[derive(Debug)]
pub(crate) struct Stream<O> {
    pub(crate) outlet: O,
    pub(crate) requires_leader: bool,
    pub(crate) has_ended: bool,
    pub(crate) watchers: BTreeMap<WatchId, WatcherKey>,
    /// Where the search for a free id begins.
    pub(crate) next_id: WatchId,
    pub(crate) n_synced: usize,
    pub(crate) n_unsynced: usize,
    /// Whether progress was requested and cannot be delivered yet.
    pub(crate) awaits_progress: bool,
    /// Whether the outlet has reported that it has no room.
    pub(crate) is_full: bool,
    /// Watches that are parked until there is room, by the next revision that each wants. While there is room some
    /// of the stream are in the hub's queue, and each that leaves it lets one of these in.
    pub(crate) parked: BTreeSet<(i64, WatcherKey)>,
}

impl<O: Outlet> Stream<O> {
    pub(crate) fn has_room(&mut self) -> bool {
        self.is_full = self.is_full || !self.outlet.has_room();
        !self.is_full
    }

    pub(crate) fn choose_id(&mut self, spec: &WatchSpec) -> Result<WatchId, CreateError> {
        if spec.range.is_empty() {
            return Err(CreateError::EmptyRange);
        }
        if spec.id != 0 {
            let is_free = !self.watchers.contains_key(&spec.id);
            return is_free.then_some(spec.id).ok_or(CreateError::DuplicateId);
        }
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }
}
