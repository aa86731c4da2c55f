//! Delivery of new events to synced watches.

use ferretcd_mvcc::{History, HistoryLimit, ReadError};

use crate::encoded_changes::EncodedChanges;
use crate::{Hub, Outlet};

/// The limit of one delivery.
const LIVE_CHANGES: usize = 4096;
const LIVE_BYTES: usize = 1 << 20;

impl<O: Outlet> Hub<O> {
    /// Delivers everything up to the store's current revision to synced watches. A watch whose stream has no
    /// room becomes unsynced.
    ///
    /// Costs a look into the recent rows, and for each change a search among the groups. Blocks only for
    /// previous values that are not in memory. An error means that the store can't be read any more.
    pub fn advance(&mut self) -> Result<(), ReadError> {
        self.advance_until(self.reader.revision())
    }

    /// The same up to a revision that the store has reached: for an owner that has to know something about everything
    /// that is delivered.
    pub fn advance_until(&mut self, current: i64) -> Result<(), ReadError> {
        while self.position < current {
            if self.n_synced == 0 {
                self.advance_to(current);
                break;
            }
            let limit = HistoryLimit { until: current, changes: LIVE_CHANGES, bytes: LIVE_BYTES };
            match self.reader.recent_history(self.position + 1, &limit) {
                Some(history) => {
                    self.deliver_to_synced(&history)?;
                    self.advance_to(history.last);
                }
                // The owner called this so late that the rows have left the memory.
                None => self.skip_to(current),
            }
            self.sync_started();
        }
        self.sync_started();
        Ok(())
    }

    fn deliver_to_synced(&mut self, history: &History) -> Result<(), ReadError> {
        let changes = &history.changes;
        let picks = self.groups.pick(changes, |_, group| !group.synced.is_empty());
        let encoded = EncodedChanges::encode(changes, &picks, &self.groups, |index| {
            self.reader.previous_row(&changes[index])
        })?;
        for of_group in picks.chunk_by(|a, b| a.0 == b.0) {
            let (group, first) = of_group[0];
            let events = encoded.block(of_group, self.groups.get(group));
            let mut at = 0;
            while let Some(&key) = self.groups.get(group).synced.get(at) {
                if self.offer(key, &events, history.last) {
                    at += 1;
                } else {
                    // Another watch takes its index in the list.
                    self.unsync(key);
                    self.park(key, changes[first as usize].revision.main);
                }
            }
        }
        Ok(())
    }

    /// Syncs the watches that start with the next revision.
    fn sync_started(&mut self) {
        let next = self.position + 1;
        let awaited: Vec<_> = self.unsynced_in(next, next).copied().collect();
        for (_, key) in awaited {
            self.leave_queue(next, key);
            self.continue_at(key, next);
        }
    }
}
