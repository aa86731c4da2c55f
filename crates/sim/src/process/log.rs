//! The log on disk, written as the node's log thread writes it: one round at a time, and whatever gathers meanwhile is
//! the next one.

use ferretcd_raft_node::Persist;
use ferretcd_wal::{Entry, Error, HardState, SnapshotMark, Wal};

/// Segments kept behind a mark.
const SEGMENTS_KEPT: usize = 1;

#[derive(Debug)]
pub(crate) struct LogWriter {
    wal: Wal,
    queue: Round,
    under_way: Option<Round>,
    /// The last entry that would survive a crash.
    synced: u64,
    /// A commit index that waits for the next write: by itself it is worth none.
    lazy: Option<HardState>,
}

/// Writes that are synced together, in the order of the fields.
#[derive(Debug, Default)]
struct Round {
    entries: Vec<Entry>,
    hard_state: Option<HardState>,
    /// A snapshot from the leader that the log begins anew behind, and the hard state behind it.
    received: Option<(SnapshotMark, Option<HardState>)>,
    /// The last step whose durability has to be reported; 0 for none.
    number: u64,
    /// The state file is durable up to here.
    mark: Option<SnapshotMark>,
    is_owed: bool,
}

impl LogWriter {
    /// Goes on behind the entry `synced`, the last one of the log.
    pub(crate) fn new(wal: Wal, synced: u64) -> Self {
        Self { wal, queue: Round::default(), under_way: None, synced, lazy: None }
    }

    /// The last entry that would survive a crash.
    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    /// Takes what the core wants to have durable.
    pub(crate) fn add(&mut self, steps: Vec<Persist>) {
        for step in steps {
            if let Some(mark) = step.mark {
                // Nothing follows it before the snapshot is installed.
                self.queue.received = Some((mark, step.hard_state));
                self.queue.number = step.number;
                return;
            }
            self.lazy = step.hard_state.or(self.lazy);
            if step.must_sync {
                self.queue.number = step.number;
            }
            self.queue.entries.extend(step.entries);
        }
        if self.queue.number > 0 {
            self.add_lazy();
        }
    }

    /// Takes a commit index that has waited for a tick.
    pub(crate) fn add_lazy(&mut self) {
        match &mut self.queue.received {
            Some((_, hard_state)) => *hard_state = self.lazy.take().or(*hard_state),
            None => self.queue.hard_state = self.lazy.take().or(self.queue.hard_state),
        }
    }

    /// The log up to the mark is needed no longer.
    pub(crate) fn add_mark(&mut self, mark: SnapshotMark) {
        self.queue.mark = Some(mark);
        self.add_lazy();
    }

    /// Writes what has gathered, unless a round is under way. Returns whether one began.
    pub(crate) fn begin(&mut self) -> Result<bool, Error> {
        let Round { entries, hard_state, received, mark, .. } = &self.queue;
        let is_empty = entries.is_empty() && hard_state.is_none() && received.is_none() && mark.is_none();
        if self.under_way.is_some() || is_empty {
            return Ok(false);
        }
        let mut round = std::mem::take(&mut self.queue);
        // Entries that replace earlier ones of the same round start a run of their own.
        for run in round.entries.chunk_by(|entry, next| next.index == entry.index + 1) {
            round.is_owed |= self.wal.append(run, None)?;
        }
        round.is_owed |= self.wal.append(&[], round.hard_state)?;
        self.under_way = Some(round);
        Ok(true)
    }

    /// Syncs the round that is under way. Returns the last step that is durable with it; 0 for none.
    pub(crate) fn finish(&mut self) -> Result<u64, Error> {
        let Some(round) = self.under_way.take() else { return Ok(0) };
        if round.is_owed {
            self.wal.sync()?;
        }
        self.synced = round.entries.last().map_or(self.synced, |entry| entry.index);
        if let Some((mark, hard_state)) = round.received {
            self.wal.mark_snapshot(&mark)?;
            self.synced = mark.index;
            if self.wal.append(&[], hard_state)? {
                self.wal.sync()?;
            }
        }
        if let Some(mark) = round.mark.filter(|mark| mark.index >= self.wal.start_index()) {
            self.wal.mark_snapshot(&mark)?;
            self.wal.release(mark.index, SEGMENTS_KEPT)?;
        }
        Ok(round.number)
    }
}
