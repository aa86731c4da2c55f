//! One running member: the synchronous halves of a server, joined as the engine joins them, but by one thread and with
//! simulated time between the steps.
//!
//! ```text
//!   requests ─► core ─► log (takes time) ─► core ─► inbox (takes time) ─► state machine ─► answers, reads, watches
//!                 │                                                            └─► state file (takes time)
//!                 └─► network
//! ```
//!
//! What a member has in memory is gone when its [`Process`] is dropped; what is left is on its [`Disk`].

mod apply;
mod flush;
mod inputs;
mod lessor;
mod log;
mod reads;
mod snapshots;
mod start;
mod watches;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ferretcd_apply::{Command, Request, StateMachine};
use ferretcd_backend::Backend;
use ferretcd_raft_node::{Committed, Core, Event, Proposal, ReadIndexRole, Role, Status};

use self::flush::Flusher;
use self::lessor::Lessor;
use self::log::LogWriter;
use self::reads::Reads;
use self::snapshots::Snapshots;
pub(crate) use self::snapshots::refuse as refuse_snapshot;
pub(crate) use self::start::{format, member};
use self::watches::Watches;
use crate::Sabotage;
use crate::agenda::{MS, Micros};
use crate::check::{Answer, OpId};
use crate::disk::Disk;
use crate::world::{Happening, World};

/// The interval of heartbeats.
const TICK: Micros = 100 * MS;
/// Ticks without a leader before an election.
const ELECTION_TICKS: usize = 10;
/// The election time-out, without what chance adds.
const ELECTION: Micros = ELECTION_TICKS as Micros * TICK;
/// How often overdue requests are looked for.
const SWEEP: Micros = 500 * MS;
/// How long a member waits before it answers that it does not know.
const TIMEOUT: Micros = 7_000 * MS;
/// How often leases are looked after.
const LEASES: Micros = 100 * MS;
/// How long a removed member goes on.
const FAREWELL: Micros = 1_000 * MS;

/// What a member does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alarm {
    /// A heartbeat interval has passed.
    Tick,
    /// The round of the log that was under way is synced.
    LogSynced,
    /// What is committed is applied.
    Apply,
    /// Rows have waited long enough.
    FlushDue,
    /// The commit of the state file that was under way is durable.
    Flushed,
    /// A step of a compaction.
    Scrub,
    /// Overdue requests are looked for.
    Sweep,
    /// Leases are looked after.
    Leases,
    /// Watches are told what is new.
    Watches,
    /// The reader of a stream takes what there is.
    ReadStream(usize),
    /// A state that has arrived is stored.
    Stored,
    /// It was removed some time ago.
    Stop,
}

/// Why a read does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Stopped,
    Timeout,
}

/// Who is told what became of a proposal.
#[derive(Clone, Copy, Debug)]
enum Asker {
    Client(OpId),
    /// A client whose lease was renewed for so many seconds.
    Renewal(OpId, i64),
    Nobody,
}

#[derive(Debug)]
struct Waiter {
    since: Micros,
    asker: Asker,
}

/// A running member.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) id: u64,
    /// How many times the member has been started.
    pub(crate) start: u64,
    /// It has applied its own removal.
    pub(crate) is_removed: bool,
    core: Core,
    log: LogWriter,
    inbox: VecDeque<Committed>,
    is_applying: bool,
    machine: StateMachine,
    backend: Backend,
    flusher: Flusher,
    snapshots: Snapshots,
    /// Where recovery of the log would start.
    marked: u64,
    is_scrubbing: bool,
    waiters: BTreeMap<u64, Waiter>,
    reads: Reads,
    lessor: Lessor,
    watches: Watches,
    status: Status,
    /// What all threads of a server would see.
    standing: ReadIndexRole,
}

impl Process {
    /// Starts a member on what its disk holds.
    pub(crate) fn start(id: u64, start: u64, disk: &Disk, world: &mut World) -> Option<Self> {
        match start::open(id, start, disk, world) {
            Ok(mut process) => {
                let first_tick = world.random.below(TICK);
                process.alarm(first_tick, Alarm::Tick, world);
                process.alarm(SWEEP, Alarm::Sweep, world);
                process.alarm(LEASES, Alarm::Leases, world);
                process.scrub_soon(world);
                process.settle(world);
                Some(process)
            }
            Err(error) => {
                world.failed(id, &*error);
                None
            }
        }
    }

    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn machine(&self) -> &StateMachine {
        &self.machine
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.status.role == Role::Leader
    }

    /// Clients' requests that have no answer yet.
    pub(crate) fn n_waiting(&self) -> usize {
        let proposals = self.waiters.values().filter(|waiter| !matches!(waiter.asker, Asker::Nobody));
        proposals.count() + self.reads.n_of_clients()
    }

    fn alarm(&self, delay: Micros, alarm: Alarm, world: &mut World) {
        let (member, start) = (self.id, self.start);
        world.agenda.after(delay, Happening::Alarm { member, start, alarm });
    }

    /// Does what it has set itself. Returns false when the member ends.
    pub(crate) fn wake(&mut self, alarm: Alarm, world: &mut World) -> bool {
        match alarm {
            Alarm::Tick => {
                self.core.handle(Event::Tick);
                self.log.add_lazy();
                self.alarm(TICK, Alarm::Tick, world);
            }
            Alarm::LogSynced => match self.log.finish() {
                Ok(0) => {}
                Ok(number) => self.core.handle(Event::Persisted(number)),
                Err(error) => world.failed(self.id, &error),
            },
            Alarm::Apply => self.apply_all(world),
            Alarm::FlushDue => self.begin_flush(world),
            Alarm::Flushed => self.finish_flush(world),
            Alarm::Scrub => self.scrub(world),
            Alarm::Sweep => {
                self.sweep(world);
                self.alarm(SWEEP, Alarm::Sweep, world);
            }
            Alarm::Leases => {
                self.look_after_leases(world);
                self.promote_who_has_joined(world);
                self.alarm(LEASES, Alarm::Leases, world);
            }
            Alarm::Watches => self.tell_watches(world),
            Alarm::ReadStream(watcher) => self.read_stream(watcher, world),
            Alarm::Stored => self.snapshot_stored(world),
            Alarm::Stop => return false,
        }
        self.settle(world);
        true
    }

    fn propose_own(&mut self, request: Request, asker: Asker, world: &mut World) {
        let id = world.own_id();
        self.propose(id, request, asker, world);
    }

    fn propose(&mut self, id: u64, request: Request, asker: Asker, world: &World) {
        let data = Command { id, username: String::new(), auth_revision: 0, request }.encode();
        self.waiters.insert(id, Waiter { since: world.now(), asker });
        self.core.handle(Event::Propose(vec![Proposal::new(id, Bytes::from(data.to_vec()))]));
    }

    /// Performs what the core has decided, and what follows from that, until nothing is left to do.
    fn settle(&mut self, world: &mut World) {
        loop {
            let is_quiet = self.perform(world);
            if !self.go_on_with_reads(world) && is_quiet {
                return;
            }
        }
    }

    /// Returns whether the core has nothing new to decide.
    fn perform(&mut self, world: &mut World) -> bool {
        let effects = self.core.take_effects();
        let mut is_quiet = effects.reads.is_empty();
        self.standing = self.core.read_index_role();
        for message in effects.send {
            if message.is_snapshot() {
                self.send_snapshot(message, world);
            } else {
                world.send(message);
            }
        }
        let newest = effects.persist.iter().map(|step| step.number).max();
        self.log.add(effects.persist);
        self.write_log(world);
        if let Some(number) = newest.filter(|_| world.breaks(Sabotage::AcknowledgeBeforeSync)) {
            self.core.handle(Event::Persisted(number));
            is_quiet = false;
        }
        if let Some(status) = effects.role {
            self.role_changed(status, world);
        }
        self.inbox.extend(effects.committed);
        self.snapshots.install = effects.install.or(self.snapshots.install.take());
        self.apply_soon(world);
        for (token, index) in effects.reads {
            self.confirmed(token, index, world);
        }
        for id in effects.dropped {
            self.dropped(id, world);
        }
        if let Some(error) = effects.failed {
            world.failed(self.id, &error);
        }
        is_quiet
    }

    fn write_log(&mut self, world: &mut World) {
        match self.log.begin() {
            Ok(true) => {
                let delay = world.speeds.sync(world.now(), self.id, &mut world.random);
                self.alarm(delay, Alarm::LogSynced, world);
            }
            Ok(false) => {}
            Err(error) => world.failed(self.id, &error),
        }
    }

    fn role_changed(&mut self, status: Status, world: &mut World) {
        world.note(self.id, "is", status.term, || format!("{} of {}", status.role, status.leader));
        if status.role == Role::Leader {
            let led = world.truth.leads(self.id, status.term);
            world.check(led);
        }
        if status.leader != self.status.leader && self.status.leader != ferretcd_base::MemberId::default() {
            self.ask_for_reads_again(world);
        }
        self.count_down(&status, world);
        self.status = status;
    }

    /// A proposal is certainly in no log.
    fn dropped(&mut self, id: u64, world: &mut World) {
        match self.waiters.remove(&id).map(|waiter| waiter.asker) {
            Some(Asker::Client(op)) => world.answer(op, Answer::Dropped),
            Some(Asker::Renewal(op, _)) => world.answer(op, Answer::Unknown),
            Some(Asker::Nobody) | None => {}
        }
    }

    fn sweep(&mut self, world: &mut World) {
        self.sweep_reads(TIMEOUT, world);
        self.sweep_renewals(TIMEOUT, world);
        let now = world.now();
        let overdue = self.waiters.extract_if(.., |_, waiter| now >= waiter.since + TIMEOUT);
        let overdue: Vec<_> = overdue.map(|(_, waiter)| waiter.asker).collect();
        for asker in overdue {
            if let Asker::Client(op) | Asker::Renewal(op, _) = asker {
                world.answer(op, Answer::Unknown);
            }
        }
    }

    /// The member goes down with all who wait for it.
    pub(crate) fn hang_up(&mut self, world: &mut World) {
        for waiter in std::mem::take(&mut self.waiters).into_values() {
            if let Asker::Client(op) | Asker::Renewal(op, _) = waiter.asker {
                world.answer(op, Answer::Unknown);
            }
        }
        self.refuse_reads();
        self.go_on_with_reads(world);
        self.drop_snapshots(world);
    }
}
