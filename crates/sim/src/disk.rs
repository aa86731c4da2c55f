//! A member's disk: what survives its end, and how long syncs take.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use ferretcd_backend::MemoryMedium;
use ferretcd_testkit::Random;
use ferretcd_wal::MemDir;

use crate::event_queue::{MS, Micros};

/// A member's files. Clones are handles of the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// The directory of the log.
    pub(crate) log: MemDir,
    pub(crate) states: Rc<RefCell<States>>,
}

/// The state file, and others that may take its place.
#[derive(Debug, Default)]
pub(crate) struct States {
    pub(crate) current: MemoryMedium,
    /// Snapshots received from a leader, by the entry that each stands at.
    pub(crate) arrived: BTreeMap<u64, MemoryMedium>,
}

impl Disk {
    /// Loses what was not synced, but for some of it.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        self.log = if random.chance(50) {
            self.log.crash_after(random.below(self.log.n_unsynced() + 1))
        } else {
            self.log.crash_keeping(|_| random.chance(50))
        };
        // Commits are whole or not there: what is between is cut elsewhere, by the tests of the state file. Its pages
        // are not always written in one order, so that pieces of them must not decide about a run.
        let states = self.states.borrow();
        let crashed = |medium: &MemoryMedium| medium.crash(|| false);
        let arrived = states.arrived.iter().map(|(index, medium)| (*index, crashed(medium))).collect();
        let crashed = States { current: crashed(&states.current), arrived };
        drop(states);
        self.states = Rc::new(RefCell::new(crashed));
    }
}

/// How long syncs take.
#[derive(Debug, Default)]
pub(crate) struct Speeds {
    slow: BTreeMap<u64, Slow>,
}

#[derive(Clone, Copy, Debug)]
struct Slow {
    until: Micros,
    /// Longest time for one sync; with 0 everything waits for the end.
    sync_max: Micros,
}

impl Speeds {
    /// A disk becomes slow for a while.
    pub(crate) fn slow_down(&mut self, member: u64, until: Micros, sync_max: Micros) {
        self.slow.insert(member, Slow { until, sync_max });
    }

    /// A disk does nothing for a while.
    pub(crate) fn stall(&mut self, member: u64, until: Micros) {
        self.slow.insert(member, Slow { until, sync_max: 0 });
    }

    /// All disks are good again.
    pub(crate) fn heal(&mut self) {
        self.slow.clear();
    }

    /// How long a sync that begins now takes.
    pub(crate) fn sync(&self, now: Micros, member: u64, random: &mut Random) -> Micros {
        let usual = random.between(MS / 2, 6 * MS);
        match self.slow.get(&member) {
            Some(Slow { until, sync_max: 0 }) => until.saturating_sub(now) + usual,
            Some(Slow { until, sync_max }) if now < *until => random.between(150 * MS, *sync_max),
            _ => usual,
        }
    }
}
