//! The checks when the faults are long over.

use ferretcd_testkit::watch_history;

use super::Cluster;
use crate::Report;
use crate::Violation;
use crate::event_queue::MS;

/// How long the last requests may take.
const LAST_ANSWERS: u64 = 1_500 * MS;
/// How long the last entries and events may travel.
const LAST_NEWS: u64 = 2_000 * MS;
/// A write got its reply within this time before the clients stop.
const RECENT: u64 = 1_500 * MS;

impl Cluster {
    /// Lets the clients stop, waits for what is under way, and looks at what is left.
    pub(super) fn finish(mut self) -> Result<Report, Violation> {
        let now = self.world.now();
        let last_write = self.world.operations.last_write;
        let recent = RECENT + 3 * self.world.profile.pause_ms * MS;
        if last_write + recent < now {
            return Err(stuck(format!("the last write was answered at {last_write} us, now it is {now} us")));
        }
        self.is_over = true;
        self.run_until(now + LAST_ANSWERS)?;
        // Leases may still end. What is true now must have reached all members some time later.
        let (index, revision) = (self.world.truth.last_index(), self.world.truth.model.revision());
        self.run_until(now + LAST_ANSWERS + LAST_NEWS)?;
        self.check_members(index, revision)?;
        self.check_watchers(revision)?;
        Ok(self.report())
    }

    /// There is a leader, and each of its members has all entries up to `last` and owes no client a reply.
    fn check_members(&mut self, last: u64, revision: i64) -> Result<(), Violation> {
        let running = self.members.values().filter_map(|member| member.process.as_ref());
        let leader =
            running.filter(|process| process.is_leader()).max_by_key(|process| process.status().term);
        let leader = leader.ok_or_else(|| stuck("nobody leads".to_owned()))?;
        if !leader.agrees_about_members() {
            return Err(stuck(format!("leader {} does not count its members", leader.id)));
        }
        let all: Vec<_> = leader.machine().membership().members().map(|member| member.id.0).collect();
        for id in all {
            let process = self.members.get(&id).and_then(|member| member.process.as_ref());
            let process = process.ok_or_else(|| stuck(format!("member {id} does not run")))?;
            let applied = process.machine().applied().position.index;
            if applied < last {
                return Err(stuck(format!("member {id} has applied {applied} of {last} entries")));
            }
            if process.n_waiting() > 0 {
                return Err(stuck(format!("member {id} owes {} answers", process.n_waiting())));
            }
            process.compare(&mut self.world);
            process.compare_history(revision, &mut self.world);
            if let Some(violation) = self.world.violation.take() {
                return Err(violation);
            }
        }
        Ok(())
    }

    fn check_watchers(&mut self, revision: i64) -> Result<(), Violation> {
        let record = self.world.truth.model.record();
        for (number, watcher) in self.watchers.iter().enumerate() {
            let checked = watch_history::check(record, &watcher.history, revision);
            let n_events = checked.map_err(|source| Violation::Watch { watcher: number, source })?;
            self.world.report.n_events += n_events as u64;
        }
        Ok(())
    }

    fn report(self) -> Report {
        let operations = &self.world.operations;
        Report {
            n_writes: operations.n_writes,
            n_reads: operations.n_reads,
            n_unknown: operations.n_unknown,
            n_expired: self.world.truth.promises.n_expired() as u64,
            n_elections: self.world.truth.n_elections() as u64,
            n_entries: self.world.truth.last_index(),
            hash: self.world.trace.hash(),
            ..self.world.report
        }
    }
}

fn stuck(reason: String) -> Violation {
    Violation::Stuck { reason }
}
