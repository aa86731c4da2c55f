//! The part of the log that the raft core reads, in memory.
//!
//! ```text
//!   dropped | kept for lagging followers | committed, being applied | uncommitted
//!           ^ start                      ^ applied                             ^ last
//! ```
//! Entries are here before they are durable; what is durable is tracked by the core.

use std::collections::VecDeque;

use ferretcd_base::LogPosition;
use raft::eraftpb::{self, Entry};
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use crate::translate;

/// The entries from `start` (exclusive) on, consecutive.
#[derive(Debug)]
pub(crate) struct MemoryLog {
    entries: VecDeque<Entry>,
    /// Bytes of their payloads.
    bytes: u64,
    /// The entry before the first one kept. Without its term the log could not be matched with a follower's right
    /// at the border.
    start: LogPosition,
    /// The state that the core is created with; not kept up to date afterwards.
    initial: RaftState,
    /// The place of the present state in the log, for followers that need a snapshot. The configuration may be ahead.
    state: ferretcd_wal::SnapshotMark,
}

impl MemoryLog {
    pub(crate) fn new(start: LogPosition, entries: Vec<Entry>, initial: RaftState) -> Self {
        let state = ferretcd_wal::SnapshotMark {
            index: start.index,
            term: start.term,
            conf_state: Some(translate::conf_state_to_wal(&initial.conf_state)),
        };
        let bytes = entries.iter().map(bytes_of).sum();
        Self { entries: entries.into(), bytes, start, initial, state }
    }

    /// Notes up to which entry, one of the log, the state goes.
    pub(crate) fn set_applied(&mut self, index: u64) {
        self.state.term = self.term(index).expect("what was just applied has not been dropped");
        self.state.index = index;
    }

    /// Notes the configuration of the state.
    pub(crate) fn set_conf_state(&mut self, conf_state: &eraftpb::ConfState) {
        self.state.conf_state = Some(translate::conf_state_to_wal(conf_state));
    }

    /// Continues behind a snapshot that has replaced all entries.
    pub(crate) fn restart_at(&mut self, mark: ferretcd_wal::SnapshotMark) {
        self.entries.clear();
        self.bytes = 0;
        self.start = LogPosition::new(mark.index, mark.term);
        self.state = mark;
    }

    pub(crate) fn last(&self) -> u64 {
        self.start.index + self.entries.len() as u64
    }

    pub(crate) fn n_kept(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of the payloads of the kept entries.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends consecutive entries, dropping those that they replace.
    pub(crate) fn append(&mut self, entries: Vec<Entry>) {
        let Some(first) = entries.first() else { return };
        assert!(
            self.start.index < first.index && first.index <= self.last() + 1,
            "entry {} does not continue the log ({}, {}]",
            first.index,
            self.start.index,
            self.last()
        );
        let n_kept = (first.index - self.start.index - 1) as usize;
        self.bytes -= self.entries.drain(n_kept..).map(|entry| bytes_of(&entry)).sum::<u64>();
        self.bytes += entries.iter().map(bytes_of).sum::<u64>();
        self.entries.extend(entries);
    }

    /// Drops entries up to `applied`, so that at most `entries_max` of these are left, and of more than `bytes_max` in
    /// all as few as that takes.
    pub(crate) fn trim(&mut self, applied: u64, entries_max: u64, bytes_max: u64) {
        let low = applied.saturating_sub(entries_max);
        while let Some(entry) = self
            .entries
            .pop_front_if(|entry| entry.index <= low || (self.bytes > bytes_max && entry.index <= applied))
        {
            self.bytes -= bytes_of(&entry);
            self.start = LogPosition::new(entry.index, entry.term);
        }
    }

    fn get(&self, index: u64) -> raft::Result<&Entry> {
        if index <= self.start.index {
            return Err(StorageError::Compacted.into());
        }
        self.entries
            .get((index - self.start.index - 1) as usize)
            .ok_or_else(|| StorageError::Unavailable.into())
    }
}

fn bytes_of(entry: &Entry) -> u64 {
    entry.data.len() as u64
}

impl Storage for MemoryLog {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.start.index {
            return Err(StorageError::Compacted.into());
        }
        assert!(high <= self.last() + 1, "entries up to {high} of a log that ends at {}", self.last());
        let range = (low - self.start.index - 1) as usize..(high - self.start.index - 1) as usize;
        let mut room = max_size.into().unwrap_or(u64::MAX);
        let mut found = Vec::new();
        for entry in self.entries.range(range) {
            found.push(entry.clone());
            // The library trims to the exact encoded size; this only keeps it from copying far too much.
            room = room.saturating_sub(entry.data.len() as u64);
            if room == 0 {
                break;
            }
        }
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.start.index {
            return Ok(self.start.term);
        }
        self.get(index).map(|entry| entry.term)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.start.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// Only the place of the snapshot: its data is read when it is sent, and may be newer then.
    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<eraftpb::Snapshot> {
        if self.state.index == 0 || self.state.index < request_index {
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        Ok(translate::snapshot_at(&self.state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(term: u64, indices: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
        indices.map(|index| Entry { term, index, data: vec![0; 10].into(), ..Entry::default() }).collect()
    }

    fn log(start: u64, last: u64) -> MemoryLog {
        MemoryLog::new(LogPosition::new(start, 1), entries(1, start + 1..=last), RaftState::default())
    }

    fn read(log: &MemoryLog, low: u64, high: u64, max_size: Option<u64>) -> raft::Result<Vec<u64>> {
        let entries = log.entries(low, high, max_size, GetEntriesContext::empty(false))?;
        Ok(entries.iter().map(|entry| entry.index).collect())
    }

    #[test]
    fn later_entries_replace_earlier_ones() {
        let mut log = log(2, 6);
        log.append(entries(2, 5..=5));
        assert_eq!((log.last(), log.term(5)), (5, Ok(2)));
        assert_eq!(read(&log, 3, 6, None), Ok(vec![3, 4, 5]));
        log.append(Vec::new());
        assert_eq!(log.last(), 5);
    }

    #[test]
    fn the_border_keeps_its_term() {
        let mut log = log(0, 6);
        log.trim(5, 1, u64::MAX);
        assert_eq!(log.first_index(), Ok(5));
        assert_eq!(log.term(4), Ok(1));
        assert_eq!(log.term(3), Err(StorageError::Compacted.into()));
        assert_eq!(log.term(7), Err(StorageError::Unavailable.into()));
        log.trim(5, 2, u64::MAX);
        assert_eq!(log.first_index(), Ok(5));
        log.trim(100, 0, u64::MAX);
        assert_eq!((log.first_index(), log.last(), log.term(6)), (Ok(7), 6, Ok(1)));
        assert_eq!(read(&log, 6, 7, None), Err(StorageError::Compacted.into()));
        log.append(entries(2, 7..=8));
        assert_eq!(read(&log, 7, 9, None), Ok(vec![7, 8]));
    }

    #[test]
    fn large_entries_are_kept_for_a_shorter_time() {
        let mut log = log(0, 6);
        log.trim(5, 100, 30);
        assert_eq!((log.first_index(), log.last()), (Ok(4), 6), "entries of 10 bytes");
        log.trim(5, 100, 0);
        assert_eq!(log.first_index(), Ok(6), "what is not applied stays");
        log.append(entries(2, 6..=9));
        log.trim(6, 100, 30);
        assert_eq!((log.first_index(), log.last()), (Ok(7), 9));
    }

    #[test]
    fn a_size_limit_leaves_at_least_one_entry() {
        let log = log(0, 6);
        assert_eq!(read(&log, 2, 7, Some(0)), Ok(vec![2]));
        assert_eq!(read(&log, 2, 7, Some(15)), Ok(vec![2, 3]));
        assert_eq!(read(&log, 2, 2, Some(15)), Ok(vec![]));
    }
}
