//! Telling watches that are behind what they have missed.
//!
//! All of them are served together: a stretch of history is read once, from where the one that is furthest
//! back stands, and told to everybody who wants some of it. So they meet, and move on as one. Two such
//! passes run at the same time: one through what is in memory, one through what is not.

use std::collections::{BTreeMap, BTreeSet};

use ferretcd_base::KeyRange;
use ferretcd_mvcc::{History, ReadError};

use crate::encoded_changes::EncodedChanges;
use crate::groups::Pick;
use crate::history::{Previous, stretch};
use crate::{HistoryRequest, HistoryResponse, Hub, Outlet};

/// Once a stretch has brought so many bytes to watches the others wait for the next one, so that no stretch
/// takes long.
const DELIVERED_BYTES: usize = 1 << 20;
/// Above so many different ranges previous values are read of all keys.
const PREVIOUS_RANGES_MAX: usize = 64;

impl<O: Outlet> Hub<O> {
    /// Tells watches that are behind about one stretch of what is in memory. Returns whether there may be
    /// more to tell: then call it again, after whatever is more urgent.
    ///
    /// Costs as [`Hub::advance`] does, for at most about 1000 changes.
    pub fn catch_up(&mut self) -> Result<bool, ReadError> {
        self.end_compacted();
        let oldest = self.reader.recent_from();
        let Some(from) = self.first_unsynced(oldest, self.position) else { return Ok(false) };
        let Some(history) = self.reader.recent_history(from, &stretch(self.position)) else {
            // It has left the memory this moment.
            return Ok(true);
        };
        self.deliver_to_unsynced(from, &history, &[])?;
        Ok(true)
    }

    /// History that watches wait for and that is not in memory; `None` if there is none, and while the last
    /// request is not answered by [`Hub::supply`].
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

    /// Tells watches that are behind about the history that was read for them. An error means that the store
    /// can't be read any more.
    pub fn supply(&mut self, answer: HistoryResponse) -> Result<(), ReadError> {
        self.is_reading = false;
        match answer.stretch {
            Ok(stretch) => self.deliver_to_unsynced(answer.from, &stretch.history, &stretch.previous),
            // Who wanted it is ended with the next step.
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

    /// Tells a stretch that begins with the revision `from` to everybody who wants a revision of it next.
    fn deliver_to_unsynced(
        &mut self,
        from: i64,
        history: &History,
        previous: &[Previous],
    ) -> Result<(), ReadError> {
        let changes = &history.changes;
        let concerned: Vec<_> = self.unsynced_in(from, history.last).copied().collect();
        let asked: BTreeSet<_> = concerned.iter().map(|(_, key)| self.group_of(*key)).collect();
        let mut picks = self.groups.pick(changes, |key, _| asked.contains(&key));
        // Who came after the request, and wants previous values that it did not ask for, waits for the next one:
        // to read them here would hold up everybody.
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
        // Members of a group that stand at the same revision share a block.
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
