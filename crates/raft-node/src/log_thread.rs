//! The thread that owns the log on disk.
//!
//! One queue for entries, hard states and checkpoints, worked off in order, so that a crash leaves a prefix.
//! Whatever gathers while one sync runs is written together and synced once.

use std::time::{Duration, Instant};

use ferretcd_wal::Wal;
use parking_lot::{Condvar, Mutex};

use crate::inbox::Inbox;
use crate::{Error, Persisted};

/// The work that the log thread has not begun. Its size is bounded by the driver, which stops taking proposals while
/// too much is under way.
#[derive(Debug, Default)]
pub(crate) struct LogQueue {
    /// Held for an append or a swap.
    batch: Mutex<Batch>,
    wake: Condvar,
}

/// Work for one round: the fields are performed in their order.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<ferretcd_wal::Entry>,
    pub(crate) hard_state: Option<ferretcd_wal::HardState>,
    pub(crate) received: Option<Received>,
    /// The last step among them whose durability has to be reported; 0 for none.
    pub(crate) number: u64,
    /// Payload bytes of the entries.
    pub(crate) bytes: u64,
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) stop: bool,
}

/// A snapshot from the leader that is durable elsewhere, so that the log begins anew behind it.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) mark: ferretcd_wal::SnapshotMark,
    /// The hard state that says that the mark is committed; written behind it.
    pub(crate) hard_state: Option<ferretcd_wal::HardState>,
}

/// A state that is durable elsewhere, so that the log before it is not needed.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    pub(crate) mark: ferretcd_wal::SnapshotMark,
    pub(crate) keep_segments: usize,
}

/// One round's result.
#[derive(Debug)]
pub(crate) struct Done {
    /// As in [`Batch`].
    pub(crate) number: u64,
    /// As in [`Batch`].
    pub(crate) bytes: u64,
    /// Present if the round included a sync.
    pub(crate) persisted: Option<Persisted>,
}

impl LogQueue {
    /// Adds work behind what waits already.
    pub(crate) fn put(&self, batch: Batch) {
        self.batch.lock().merge(batch);
        self.wake.notify_one();
    }

    fn take(&self) -> Batch {
        let mut batch = self.batch.lock();
        while batch.is_empty() {
            self.wake.wait(&mut batch);
        }
        std::mem::take(&mut *batch)
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.hard_state.is_none()
            && self.received.is_none()
            && self.checkpoint.is_none()
            && !self.stop
    }

    fn merge(&mut self, later: Self) {
        if let Some(received) = &mut self.received {
            // The node writes no entries until this has been done.
            assert!(later.entries.is_empty(), "nothing is appended behind a snapshot that is not installed");
            received.hard_state = later.hard_state.or(received.hard_state);
        } else {
            self.hard_state = later.hard_state.or(self.hard_state);
            self.received = later.received;
        }
        if self.entries.is_empty() {
            self.entries = later.entries;
        } else {
            self.entries.extend(later.entries);
        }
        self.number = self.number.max(later.number);
        self.bytes += later.bytes;
        self.checkpoint = later.checkpoint.or(self.checkpoint.take());
        self.stop |= later.stop;
    }
}

/// Works until a stop or until the log fails, which ends the node.
pub(crate) fn run(mut wal: Wal, queue: &LogQueue, inbox: &Inbox) {
    loop {
        let batch = queue.take();
        if let Err(error) = perform(&mut wal, &batch, inbox) {
            return inbox.put(|lanes| lanes.failed = Some(error));
        }
        if batch.stop {
            return;
        }
    }
}

fn perform(wal: &mut Wal, batch: &Batch, inbox: &Inbox) -> Result<(), Error> {
    let mut persisted = write(wal, &batch.entries, batch.hard_state)?;
    if let Some(received) = &batch.received {
        persisted = Some(begin_anew(wal, received)?);
    }
    let done = Done { number: batch.number, bytes: batch.bytes, persisted };
    inbox.put(|lanes| lanes.done.push(done));
    match &batch.checkpoint {
        Some(checkpoint) => release(wal, checkpoint),
        None => Ok(()),
    }
}

fn write(
    wal: &mut Wal,
    entries: &[ferretcd_wal::Entry],
    hard_state: Option<ferretcd_wal::HardState>,
) -> Result<Option<Persisted>, Error> {
    if entries.is_empty() && hard_state.is_none() {
        return Ok(None);
    }
    let (start, bytes_before) = (Instant::now(), wal.written_bytes());
    // Entries that replace earlier ones of the same batch start a run of their own.
    let runs: Vec<_> = entries.chunk_by(|entry, next| next.index == entry.index + 1).collect();
    let (last, earlier) = runs.split_last().map_or((&[][..], &[][..]), |(last, earlier)| (*last, earlier));
    let mut owes_sync = false;
    for run in earlier {
        owes_sync |= wal.append(run, None)?;
    }
    owes_sync |= wal.append(last, hard_state)?;
    if !owes_sync {
        return Ok(None);
    }
    let (write, bytes) = (start.elapsed(), wal.written_bytes() - bytes_before);
    wal.sync()?;
    Ok(Some(Persisted { bytes, write, sync: start.elapsed().saturating_sub(write) }))
}

fn begin_anew(wal: &mut Wal, received: &Received) -> Result<Persisted, Error> {
    let (start, bytes_before) = (Instant::now(), wal.written_bytes());
    // In this order: recovery takes a commit index ahead of the log's end for lost entries.
    wal.mark_snapshot(&received.mark)?;
    if wal.append(&[], received.hard_state)? {
        wal.sync()?;
    }
    let bytes = wal.written_bytes() - bytes_before;
    Ok(Persisted { bytes, write: Duration::ZERO, sync: start.elapsed() })
}

fn release(wal: &mut Wal, checkpoint: &Checkpoint) -> Result<(), Error> {
    // A snapshot received from the leader meanwhile is further.
    if checkpoint.mark.index < wal.start_index() {
        return Ok(());
    }
    wal.mark_snapshot(&checkpoint.mark)?;
    let index = checkpoint.mark.index;
    match wal.release(index, checkpoint.keep_segments) {
        Ok(0) => {}
        Ok(n_released) => tracing::info!(target: "raft", index, n_released, "released log segments"),
        // Segments that stay cost space, nothing else; the next checkpoint tries again.
        Err(error) => tracing::warn!(target: "raft", index, %error, "failed to release log segments"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_work_keeps_the_latest_of_each_kind() {
        let entry = |index| ferretcd_wal::Entry {
            term: 1,
            index,
            kind: ferretcd_wal::EntryKind::Normal,
            data: "x".into(),
        };
        let state = |commit| Some(ferretcd_wal::HardState { term: 1, vote: 0, commit });
        let mut batch =
            Batch { entries: vec![entry(1)], hard_state: state(0), number: 3, ..Batch::default() };
        batch.merge(Batch { entries: vec![entry(2)], number: 4, bytes: 1, ..Batch::default() });
        assert_eq!((batch.entries.len(), batch.hard_state, batch.number, batch.bytes), (2, state(0), 4, 1));
        batch.merge(Batch { hard_state: state(2), stop: true, ..Batch::default() });
        assert_eq!((batch.hard_state, batch.number, batch.stop), (state(2), 4, true));
    }

    #[test]
    fn a_received_snapshot_comes_behind_waiting_entries_and_overtakes_checkpoints() {
        let config = ferretcd_wal::Config { segment_bytes: 1 << 20, unsafe_no_fsync: false };
        let dir = ferretcd_wal::MemDir::new();
        let mut log = Wal::create_on(dir.clone(), ferretcd_wal::Metadata::default(), config).unwrap();
        let entry = |index| ferretcd_wal::Entry {
            term: 1,
            index,
            kind: ferretcd_wal::EntryKind::Normal,
            data: "x".into(),
        };
        let state = |term, commit| Some(ferretcd_wal::HardState { term, vote: 0, commit });
        let mark = |index, term| {
            let conf_state =
                Some(ferretcd_wal::ConfState { voters: vec![1], ..ferretcd_wal::ConfState::default() });
            ferretcd_wal::SnapshotMark { index, term, conf_state }
        };
        let mut batch =
            Batch { entries: vec![entry(1), entry(2)], hard_state: state(1, 1), ..Batch::default() };
        let received = Received { mark: mark(9, 2), hard_state: state(3, 9) };
        batch.merge(Batch { received: Some(received), number: 5, ..Batch::default() });
        let checkpoint = Checkpoint { mark: mark(1, 1), keep_segments: 1 };
        batch.merge(Batch { checkpoint: Some(checkpoint), ..Batch::default() });
        let inbox = Inbox::new(1, 0);
        perform(&mut log, &batch, &inbox).unwrap();

        let (_, recovered) = Wal::open_on(dir.crash(), config).unwrap();
        assert_eq!((recovered.snapshot, recovered.entries.len()), (mark(9, 2), 0));
        assert_eq!(Some(recovered.hard_state), state(3, 9));
        let done = inbox.take(Instant::now(), true).done;
        assert_eq!((done.len(), done[0].number), (1, 5));
    }

    #[test]
    fn entries_that_replace_others_of_their_batch_reach_the_disk() {
        let entry = |term, index| ferretcd_wal::Entry {
            term,
            index,
            kind: ferretcd_wal::EntryKind::Normal,
            data: "x".into(),
        };
        let config = ferretcd_wal::Config { segment_bytes: 1 << 20, unsafe_no_fsync: false };
        let dir = ferretcd_wal::MemDir::new();
        let mut log = Wal::create_on(dir.clone(), ferretcd_wal::Metadata::default(), config).unwrap();
        let entries = [entry(1, 1), entry(1, 2), entry(1, 3), entry(2, 2), entry(2, 3)];
        let hard_state = Some(ferretcd_wal::HardState { term: 2, vote: 1, commit: 1 });
        assert!(write(&mut log, &entries, hard_state).unwrap().is_some());
        assert!(write(&mut log, &[], hard_state).unwrap().is_none());

        let (_, recovered) = Wal::open_on(dir.crash(), config).unwrap();
        assert_eq!(recovered.entries, [entry(1, 1), entry(2, 2), entry(2, 3)]);
        assert_eq!(Some(recovered.hard_state), hard_state);
    }
}
