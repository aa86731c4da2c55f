//! What waits for the apply thread.
//!
//! Lanes under one lock rather than a queue of events: entries that are committed while the thread is busy
//! join those that wait already, of flushes only the newest matters, and everything is taken with one lock
//! and woken with at most one call.

use std::time::Instant;

use ferretcd_raft_node::Committed;
use ferretcd_wal::SnapshotMark;
use parking_lot::{Condvar, Mutex};

use super::fence::FenceCommand;

/// Every cause of work of the apply thread.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// To be applied, in the order of the log. The consensus node bounds how many it hands out ahead.
    pub(crate) entries: Vec<Committed>,
    /// A received snapshot is to take the place of the member's state, after the entries above. The node hands out
    /// nothing more until that is done.
    pub(crate) install: Option<SnapshotMark>,
    /// Rows of revisions up to this one can be read from the state file.
    pub(crate) flushed: Option<i64>,
    /// From the controller that fetches a snapshot.
    pub(crate) fence_commands: Vec<FenceCommand>,
    /// Nothing comes after this.
    pub(crate) stop: bool,
}

/// Filled by the consensus driver and the state file's writer, emptied by the apply thread.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    work: Mutex<Work>,
    wake: Condvar,
}

impl Inbox {
    /// Adds entries.
    pub(crate) fn add_entries(&self, entries: Vec<Committed>) {
        let mut work = self.work.lock();
        if work.entries.is_empty() {
            work.entries = entries;
        } else {
            work.entries.extend(entries);
        }
        self.wake.notify_one();
    }

    pub(crate) fn install(&self, mark: SnapshotMark) {
        self.work.lock().install = Some(mark);
        self.wake.notify_one();
    }

    pub(crate) fn set_flushed(&self, main: i64) {
        self.work.lock().flushed = Some(main);
        self.wake.notify_one();
    }

    /// Another state file takes the place of the one that was written, whose flushes say nothing about the new one.
    pub(crate) fn forget_flushed(&self) {
        self.work.lock().flushed = None;
    }

    pub(crate) fn command(&self, command: FenceCommand) {
        self.work.lock().fence_commands.push(command);
        self.wake.notify_one();
    }

    /// The thread ends when it has done what came before.
    pub(crate) fn stop(&self) {
        self.work.lock().stop = true;
        self.wake.notify_one();
    }

    /// Takes everything; waits for something to come, or until `deadline`. `None` means that it was reached.
    pub(crate) fn take(&self, deadline: Option<Instant>) -> Option<Work> {
        let mut work = self.work.lock();
        while work.is_empty() {
            match deadline {
                None => self.wake.wait(&mut work),
                Some(deadline) => {
                    if self.wake.wait_until(&mut work, deadline).timed_out() && work.is_empty() {
                        return None;
                    }
                }
            }
        }
        let taken = std::mem::take(&mut *work);
        work.stop = taken.stop;
        Some(taken)
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.install.is_none()
            && self.flushed.is_none()
            && self.fence_commands.is_empty()
            && !self.stop
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_base::LogPosition;
    use ferretcd_raft_node::Payload;

    use super::*;

    #[test]
    fn all_work_is_taken_together() {
        let inbox = Inbox::default();
        let entry = |index| Committed { position: LogPosition::new(index, 1), payload: Payload::Empty };
        inbox.add_entries(vec![entry(1)]);
        inbox.set_flushed(4);
        inbox.add_entries(vec![entry(2), entry(3)]);
        inbox.set_flushed(5);
        let work = inbox.take(None).expect("no deadline");
        assert_eq!(work.entries.iter().map(|entry| entry.position.index).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((work.flushed, work.stop), (Some(5), false));
        assert!(inbox.take(Some(Instant::now())).is_none(), "nothing is left");
        inbox.set_flushed(6);
        inbox.forget_flushed();
        assert!(inbox.take(Some(Instant::now())).is_none(), "the file was replaced");
        inbox.stop();
        assert!(inbox.take(None).is_some_and(|work| work.stop));
    }
}
