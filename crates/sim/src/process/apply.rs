//! Application of committed entries, and its consequences.

use ferretcd_apply::{Command, MemberChange, Response};
use ferretcd_backend::Batch;
use ferretcd_base::{KeyRange, LogPosition};
use ferretcd_mvcc::{RangeOptions, Scrub};
use ferretcd_raft_node::{Committed, ConfChange, ConfChangeKind, Event, Payload};
use ferretcd_wal::SnapshotMark;

use super::timer::Timer;
use super::times::STOP_AFTER_REMOVAL;
use super::waiter::Requester;
use super::{Process, files};
use crate::Sabotage;
use crate::check::{Outcome, Reply};
use crate::event_queue::MS;
use crate::world::World;

/// Every so many entries the members' whole states are compared.
const COMPARED_EVERY: u64 = 128;
/// Revisions at which hashes of history are compared.
const HASHED_EVERY: i64 = 64;
/// Rows that one step of a compaction looks at.
const SCRUB_ROWS: usize = 20;

impl Process {
    /// Committed entries wait for a moment, sometimes a long one.
    pub(super) fn apply_soon(&mut self, world: &mut World) {
        let has_nothing = self.inbox.is_empty() && self.snapshots.install.is_none();
        if has_nothing || std::mem::replace(&mut self.is_applying, true) {
            return;
        }
        let is_busy = world.is_faulty() && world.random.chance(1);
        let delay = world.random.below(if is_busy { 700 * MS } else { 2 * MS });
        self.set_timer(delay, Timer::Apply, world);
    }

    /// Applies everything that waits.
    pub(super) fn apply_all(&mut self, world: &mut World) {
        self.is_applying = false;
        if self.inbox.is_empty() {
            return self.install_snapshot(world);
        }
        let mut batch = Batch::default();
        for entry in std::mem::take(&mut self.inbox) {
            self.apply(entry, &mut batch, world);
            if world.violation.is_some() {
                return;
            }
        }
        let applied = self.machine.applied();
        let index = applied.position.index;
        self.flusher.add(world.now(), batch, self.machine.revision(), applied);
        self.flush_soon(world);
        self.core.handle(Event::Applied(index));
        self.applied_for_reads(index);
        self.wake_watches(world);
        self.install_snapshot(world);
    }

    fn apply(&mut self, entry: Committed, batch: &mut Batch, world: &mut World) {
        let position = entry.position;
        let index = position.index;
        let expected = self.machine.applied().position.index + 1;
        if index != expected {
            let violation = crate::Violation::Order { member: self.id, found: index, expected };
            world.check::<()>(Err(violation));
            return;
        }
        let synced = self.log.synced();
        if index > synced {
            let violation = crate::Violation::Unsynced { member: self.id, found: index, synced };
            world.check::<()>(Err(violation));
            return;
        }
        let mut change = None;
        let outcome = match &entry.payload {
            Payload::Empty => {
                self.machine.apply_empty(position);
                None
            }
            Payload::Normal(command) => Some(self.machine.apply(position, command.clone(), batch)),
            Payload::ConfChange { change: requested } => {
                change = Some(requested.clone());
                let member_change = member_change(requested);
                Some(self.machine.apply_members(position, requested.id, member_change, batch))
            }
        };
        let (id, found) = match outcome {
            None => (0, Outcome { revision: self.machine.revision(), result: Ok(Response::Done) }),
            Some(Ok(outcome)) => {
                let result = outcome.result.map_err(|_| ());
                (outcome.id, Outcome { revision: outcome.revision, result })
            }
            Some(Err(fault)) => return world.failed(self.id, &fault),
        };
        world.note(self.id, "applies", index, || format!("{} -> {found:?}", shown(&entry)));
        let now = world.now();
        let was_first = world.truth.applied(now, self.id, &entry, &found, &mut world.operations);
        let was_first = world.check(was_first).unwrap_or_default();
        if let Some(change) = change {
            self.configure(index, change, found.result.is_ok(), was_first, world);
        }
        if let Ok(response) = &found.result {
            self.leases_changed(response, world);
            let is_checkpoint = was_first && matches!(response, Response::LeasesCheckpointed(_));
            world.report.n_checkpoints += u64::from(is_checkpoint);
            if matches!(response, Response::Compaction { .. }) {
                self.scrub_soon(world);
            }
        }
        self.respond(id, found, world);
        if index.is_multiple_of(COMPARED_EVERY) {
            self.compare(world);
        }
    }

    /// Passes the membership's decision about a change on to the core.
    fn configure(
        &mut self,
        index: u64,
        change: ConfChange,
        is_accepted: bool,
        was_first: bool,
        world: &mut World,
    ) {
        if is_accepted {
            if change.kind == ConfChangeKind::RemoveNode && change.node.0 == self.id {
                self.is_removed = true;
                self.set_timer(STOP_AFTER_REMOVAL, Timer::Stop, world);
            }
            if was_first {
                world.report.n_changes += 1;
                if change.kind == ConfChangeKind::AddLearnerNode {
                    world.added.push(change.node.0);
                }
            }
        }
        let is_informed = is_accepted && (index < 8 || !world.breaks(Sabotage::KeepOldConfiguration));
        self.core.handle(Event::Configure { index, change: is_informed.then_some(change) });
    }

    fn respond(&mut self, id: u64, found: Outcome, world: &mut World) {
        match self.waiters.remove(&id).map(|waiter| waiter.requester) {
            Some(Requester::Client(op)) => world.reply(op, Reply::Applied(found)),
            Some(Requester::Renewal(op, ttl)) => world.reply(op, Reply::Alive(ttl)),
            Some(Requester::None) | None => {}
        }
    }

    /// Compares the rows with those that there must be at this revision: after a start, and after the installation of a
    /// state.
    pub(super) fn compare_with_model(&self, world: &mut World) {
        let view = self.machine.reader().view();
        let expected = world.truth.model.range_at(b"\0", b"\0", view.revision());
        let found = match view.range(&KeyRange::all(), &RangeOptions::default()) {
            Ok(found) => found.rows,
            Err(error) => return world.failed(self.id, &error),
        };
        let found: Vec<_> = found.iter().filter_map(|row| row.key_value().ok()).collect();
        if found != expected {
            let index = self.machine.applied().position.index;
            let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
            let violation = crate::Violation::Outcome { index, member: self.id, found, expected };
            world.check::<()>(Err(violation));
        }
    }

    /// Compares the whole state, but for history, with that of others at the same entry.
    pub(crate) fn compare(&self, world: &mut World) {
        let applied = self.machine.applied();
        let rows = match self.machine.reader().view().range(&KeyRange::all(), &RangeOptions::default()) {
            Ok(found) => found.rows,
            Err(error) => return world.failed(self.id, &error),
        };
        let rows: Vec<_> = rows.iter().map(|row| row.encoded.escape_ascii().to_string()).collect();
        let members: Vec<_> =
            self.machine.membership().members().map(ferretcd_membership::Member::to_json).collect();
        let leases = self.machine.lease_reader().all();
        let state = format!("{rows:?}, configuration {:?}, {members:?}, {leases:?}", applied.conf_state);
        let compared = world.truth.state(self.id, applied.position.index, state);
        world.check(compared);
    }

    /// Compares the hash of all history in the state file with that of others at the same revision.
    pub(crate) fn compare_history(&self, revision: i64, world: &mut World) {
        match self.machine.reader().compute_hash_kv(revision) {
            Ok(hash) => {
                let compared = world.truth.history(self.id, hash);
                world.check(compared);
            }
            Err(ferretcd_mvcc::ReadError::Compacted { .. }) => {}
            Err(error) => world.failed(self.id, &error),
        }
    }

    pub(super) fn flush_soon(&mut self, world: &mut World) {
        if let Some(delay) = self.flusher.due_in(world.now()) {
            self.set_timer(delay, Timer::FlushDue, world);
        }
    }

    pub(super) fn begin_flush(&mut self, world: &mut World) {
        // Several timers may have been set for one commit.
        if self.flusher.due_in(world.now()) == Some(0) {
            self.flusher.begin();
            let delay = world.speeds.sync(world.now(), self.id, &mut world.random);
            self.set_timer(delay, Timer::Flushed, world);
        }
    }

    pub(super) fn finish_flush(&mut self, world: &mut World) {
        let forgets = world.breaks(Sabotage::ForgetPosition);
        let flushed = match self.flusher.finish(&self.backend, forgets) {
            Ok(Some(flushed)) => flushed,
            Ok(None) => return,
            Err(error) => return world.failed(self.id, &error),
        };
        self.machine.release(flushed.main);
        let LogPosition { index, term } = flushed.applied.position;
        world.note(self.id, "flushes", index, String::new);
        if flushed.main >= HASHED_EVERY {
            self.compare_history(flushed.main - flushed.main % HASHED_EVERY, world);
        }
        if index - self.marked > world.profile.catchup_entries && !forgets {
            self.marked = index;
            let conf_state = Some(files::conf_state(&flushed.applied));
            self.log.add_mark(SnapshotMark { index, term, conf_state });
            self.write_log(world);
        }
        self.flush_soon(world);
        self.scrub_soon(world);
        self.send_waiting_snapshots(world);
        self.install_snapshot(world);
    }

    pub(super) fn scrub_soon(&mut self, world: &mut World) {
        if !std::mem::replace(&mut self.is_scrubbing, true) {
            self.set_timer(5 * MS, Timer::Scrub, world);
        }
    }

    pub(super) fn scrub(&mut self, world: &mut World) {
        self.is_scrubbing = false;
        let mut batch = Batch::default();
        let scrub = match self.machine.scrub(SCRUB_ROWS, &mut batch) {
            Ok(scrub) => scrub,
            Err(fault) => return world.failed(self.id, &fault),
        };
        if !batch.is_empty() {
            let applied = self.machine.applied();
            self.flusher.add(world.now(), batch, self.machine.revision(), applied);
            self.flush_soon(world);
        }
        if matches!(scrub, Scrub::Progress { .. } | Scrub::Finished { .. }) {
            self.scrub_soon(world);
        }
    }
}

fn member_change(change: &ConfChange) -> MemberChange {
    let (node, context) = (change.node, change.context.clone());
    match change.kind {
        ConfChangeKind::AddNode | ConfChangeKind::AddLearnerNode => MemberChange::Add { node, context },
        ConfChangeKind::UpdateNode => MemberChange::Update { node, context },
        ConfChangeKind::RemoveNode => MemberChange::Remove(node),
    }
}

/// An entry as the trace shows it.
fn shown(entry: &Committed) -> String {
    match &entry.payload {
        Payload::Normal(bytes) => match Command::decode(bytes.clone()) {
            Ok(Command { id, request, .. }) => format!("{id} {request:?}"),
            Err(error) => error.to_string(),
        },
        other => format!("{other:?}"),
    }
}
