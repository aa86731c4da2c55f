//! Delivery of past events to unsynced watches.
//!
//! All of them are served together: a stretch of history is read once, beginning where the watch furthest
//! behind stands, and delivered to every watch that wants some of it. So they meet, and move on as one. Two such
//! passes run at the same time: one through the history in memory, one through the state file.

use std::collections::{BTreeMap, BTreeSet};

use ferretcd_base::KeyRange;
use ferretcd_mvcc::{History, ReadError};

use crate::encoded_changes::EncodedChanges;
use crate::groups::Pick;
use crate::history::{Previous, stretch};
use crate::{HistoryRequest, HistoryResponse, Hub, Outlet};

/// Bytes delivered from one stretch after which further watches wait for the next stretch, so that none takes long.
const DELIVERED_BYTES: usize = 1 << 20;
/// Number of different ranges above which previous values are read of all keys.
const PREVIOUS_RANGES_MAX: usize = 64;

impl<O: Outlet> Hub<O> {
    /// Delivers one stretch of the history in memory to unsynced watches. Returns whether there may be more:
    /// then call it again, after more urgent work.
    ///
    /// Costs as [`Hub::advance`] does, for at most about 1000 changes.
    pub fn catch_up(&mut self) -> Result<bool, ReadError> {
        self.end_compacted();
        let oldest = self.reader.recent_from();
        let Some(from) = self.first_unsynced(oldest, self.position) else { return Ok(false) };
        let Some(history) = self.reader.recent_history(from, &stretch(self.position)) else {
            // It has just left the memory.
            return Ok(true);
        };
        self.deliver_to_unsynced(from, &history, &[])?;
        Ok(true)
    }

    /// A request for history that unsynced watches want and that is not in memory; `None` if they want none, and
    /// until [`Hub::supply`] gets the response to the last request.
    pub fn wanted(&mut self) -> Option<HistoryRequest> {
        if self.is_reading {
            return None;
        }
        self.end_compacted();
        let newest = self.position.min(self.reader.recent_from() - 1);
        let from = self.first_unsynced(i64::MIN, newest)?;
        self.is_reading = true;
        Some(HistoryRequest { from, until: self.position, previous_of: self.previous_of(from) })
    }

    /// Delivers history that was read for unsynced watches. An error means that the store can't be read any more.
    pub fn supply(&mut self, response: HistoryResponse) -> Result<(), ReadError> {
        self.is_reading = false;
        match response.stretch {
            Ok(stretch) => self.deliver_to_unsynced(response.from, &stretch.history, &stretch.previous),
            // The next step ends the watches that wanted it.
            Err(ReadError::Compacted { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ranges whose previous values the next stretch needs.
    fn previous_of(&self, from: i64) -> Vec<KeyRange> {
        let mut ranges = BTreeMap::new();
        for (_, key) in self.unsynced_in(from, self.position) {
            let group = self.group_of(*key);
            let selection = &self.groups.get(group).selection;
            if selection.prev_kv {
                ranges.insert(group, &selection.range);
            }
            if ranges.len() > PREVIOUS_RANGES_MAX {
                return vec![KeyRange::all()];
            }
        }
        ranges.into_values().cloned().collect()
    }

    /// Delivers a stretch that begins with the revision `from` to the watches that want a revision of it next.
    fn deliver_to_unsynced(
        &mut self,
        from: i64,
        history: &History,
        previous: &[Previous],
    ) -> Result<(), ReadError> {
        let changes = &history.changes;
        let concerned: Vec<_> = self.unsynced_in(from, history.last).copied().collect();
        let concerned_groups: BTreeSet<_> = concerned.iter().map(|(_, key)| self.group_of(*key)).collect();
        let mut picks = self.groups.pick(changes, |key, _| concerned_groups.contains(&key));
        // A watch created after the request may want previous values that were not read. It waits for the next
        // stretch: reading them here would delay all watches.
        let is_unread = |pick: &&Pick| {
            let is_wanted = self.groups.get(pick.0).selection.prev_kv;
            is_wanted && matches!(previous.get(pick.1 as usize), Some(Previous::NotRead))
        };
        let late: BTreeSet<_> = picks.iter().filter(is_unread).map(|(group, _)| *group).collect();
        picks.retain(|(group, _)| !late.contains(group));
        let reader = &self.reader;
        let encoded =
            EncodedChanges::encode(changes, &picks, &self.groups, |index| match previous.get(index) {
                Some(Previous::Row(row)) => Ok(row.clone()),
                Some(Previous::NotRead) | None => reader.previous_row(&changes[index]),
            })?;
        let main = |pick: &Pick| changes[pick.1 as usize].revision.main;
        // Watches of a group that want the same revision next share a block.
        let mut blocks = BTreeMap::new();
        let mut delivered_bytes = 0;
        for (next, key) in concerned {
            if delivered_bytes >= DELIVERED_BYTES {
                break;
            }
            let group = self.group_of(key);
            if late.contains(&group) {
                continue;
            }
            self.leave_queue(next, key);
            let of_group = &picks[picks.partition_point(|pick| pick.0 < group)..];
            let of_group = &of_group[..of_group.partition_point(|pick| pick.0 == group)];
            let wanted = &of_group[of_group.partition_point(|pick| main(pick) < next)..];
            if let Some(first) = wanted.first() {
                let events =
                    blocks.entry(*first).or_insert_with(|| encoded.block(wanted, self.groups.get(group)));
                let events = events.clone();
                delivered_bytes += events.as_bytes().len();
                if !self.offer(key, &events, history.last) {
                    self.park(key, main(first));
                    continue;
                }
            }
            self.continue_at(key, history.last + 1);
        }
        Ok(())
    }
}
