//! The entry up to which the apply thread applies.

use std::collections::VecDeque;

use ferretcd_raft_node::Committed;
use tokio::sync::oneshot;

/// Commands to the apply thread while a snapshot is fetched.
#[derive(Debug)]
pub(crate) enum FenceCommand {
    /// Apply nothing more, and tell the last entry applied.
    Hold(oneshot::Sender<u64>),
    /// Apply up to entry `index`, put the fetched snapshot at that entry in place, and go on. If that is not possible,
    /// the sender is dropped.
    Install {
        /// The last entry in the snapshot.
        index: u64,
        /// Notified when it is in place.
        done: oneshot::Sender<()>,
    },
    /// Go on with the present state.
    Resume,
}

/// The entries that are to be applied, and the last of them that may be. Belongs to the apply thread.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    /// In the order of the log. The consensus node bounds how many it hands out ahead.
    entries: VecDeque<Committed>,
    /// `None` for no bound.
    last: Option<u64>,
    install: Option<oneshot::Sender<()>>,
}

impl Fence {
    /// Adds entries behind those that wait.
    pub(crate) fn add(&mut self, entries: Vec<Committed>) {
        if self.entries.is_empty() {
            self.entries = entries.into();
        } else {
            self.entries.extend(entries);
        }
    }

    /// Executes a command, when the entries up to `applied` have been applied.
    pub(crate) fn execute(&mut self, command: FenceCommand, applied: u64) {
        self.open();
        match command {
            FenceCommand::Hold(held) => {
                self.last = Some(applied);
                // A receiver that was dropped before has sent a command to resume.
                let _ = held.send(applied);
            }
            FenceCommand::Install { index, done } if index >= applied => {
                self.last = Some(index);
                self.install = Some(done);
            }
            FenceCommand::Install { .. } | FenceCommand::Resume => {}
        }
    }

    /// Everything may be applied, and nothing is installed.
    pub(crate) fn open(&mut self) {
        self.last = None;
        self.install = None;
    }

    /// The next entry that may be applied.
    pub(crate) fn next(&mut self) -> Option<Committed> {
        let last = self.last.unwrap_or(u64::MAX);
        self.entries.pop_front_if(|entry| entry.position.index <= last)
    }

    /// Whether the fetched snapshot is to be put in place, now that the entries up to `applied` have been applied: the
    /// sender to notify when that is done. Opens the fence.
    pub(crate) fn arrived(&mut self, applied: u64) -> Option<oneshot::Sender<()>> {
        let done = self.install.take_if(|_| self.last == Some(applied))?;
        self.last = None;
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_base::LogPosition;
    use ferretcd_raft_node::Payload;

    use super::*;

    fn entries(indexes: std::ops::RangeInclusive<u64>) -> Vec<Committed> {
        indexes
            .map(|index| Committed { position: LogPosition::new(index, 1), payload: Payload::Empty })
            .collect()
    }

    /// Applies what may be; returns the last entry applied.
    fn apply(fence: &mut Fence, mut applied: u64) -> u64 {
        while let Some(entry) = fence.next() {
            assert_eq!(entry.position.index, applied + 1);
            applied = entry.position.index;
        }
        applied
    }

    #[test]
    fn fetched_snapshot_is_installed_at_its_entry_alone() {
        let mut fence = Fence::default();
        fence.add(entries(1..=3));
        let applied = apply(&mut fence, 0);
        assert_eq!(applied, 3);
        let (held, mut is_held) = oneshot::channel();
        fence.execute(FenceCommand::Hold(held), applied);
        assert_eq!(is_held.try_recv(), Ok(3));
        fence.add(entries(4..=5));
        fence.add(entries(6..=6));
        assert_eq!((apply(&mut fence, 3), fence.arrived(3).is_some()), (3, false));

        let (done, mut installed) = oneshot::channel();
        fence.execute(FenceCommand::Install { index: 7, done }, 3);
        assert_eq!((apply(&mut fence, 3), fence.arrived(6).is_some()), (6, false));
        fence.add(entries(7..=9));
        assert_eq!(apply(&mut fence, 6), 7);
        fence.arrived(7).expect("it is the entry").send(()).expect("the receiver exists");
        assert_eq!(installed.try_recv(), Ok(()));
        assert_eq!(apply(&mut fence, 7), 9);
        // The controller sends this at the end.
        fence.execute(FenceCommand::Resume, 9);
        assert!(fence.arrived(9).is_none());
    }

    #[test]
    fn snapshot_that_cannot_be_installed_holds_no_entry_back() {
        for command in [None, Some(FenceCommand::Resume)] {
            let mut fence = Fence::default();
            let (held, _) = oneshot::channel();
            fence.execute(FenceCommand::Hold(held), 3);
            fence.add(entries(4..=6));
            let (done, mut installed) = oneshot::channel();
            // Too old without a command behind it.
            let index = if command.is_some() { 5 } else { 2 };
            fence.execute(FenceCommand::Install { index, done }, 3);
            if let Some(command) = command {
                fence.execute(command, 3);
            }
            assert_eq!((apply(&mut fence, 3), fence.arrived(6).is_some()), (6, false));
            assert_eq!(installed.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        }
    }
}
