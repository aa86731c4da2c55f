//! One running member: the synchronous halves of a server, joined as the engine joins them, but by one thread and with
//! simulated time between the steps.
//!
//! ```text
//!   requests ─► core ─► log (takes time) ─► core ─► inbox (takes time) ─► state machine ─► replies, reads, watches
//!                 │                                                            └─► state file (takes time)
//!                 └─► network
//! ```
//!
//! What a member has in memory is gone when its [`Process`] is dropped; what is left is on its [`Disk`](crate::disk::Disk).

mod apply;
mod files;
mod flush;
mod hub;
mod inputs;
mod leases;
mod lessor;
mod log;
mod read_index;
mod reads;
mod snapshot_transfer;
mod snapshots;
mod start;
pub(crate) mod timer;
mod times;
mod waiter;
mod watches;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use ferretcd_apply::{Command, Request, StateMachine};
use ferretcd_backend::Backend;
use ferretcd_raft_node::{Committed, Core, Event, Proposal, ReadIndexRole, Role, Status};

pub(crate) use self::files::{format, member};
use self::flush::Flusher;
use self::hub::Watches;
use self::lessor::Lessor;
use self::log::LogWriter;
use self::reads::Reads;
use self::snapshots::Snapshots;
pub(crate) use self::snapshots::reject as reject_snapshot;
use self::timer::Timer;
use self::times::{LEASES, SWEEP, TICK, TIMEOUT};
use self::waiter::{Requester, Waiter};
use crate::Sabotage;
use crate::check::Reply;
use crate::event::SimEvent;
use crate::event_queue::Micros;
use crate::world::World;

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
    /// The role that all threads of a server would see.
    read_role: ReadIndexRole,
}

impl Process {
    pub(crate) fn status(&self) -> &Status {
        &self.status
    }

    pub(crate) fn machine(&self) -> &StateMachine {
        &self.machine
    }

    pub(crate) fn is_leader(&self) -> bool {
        self.status.role == Role::Leader
    }

    /// Clients' requests that have no reply yet.
    pub(crate) fn n_waiting(&self) -> usize {
        let proposals = self.waiters.values().filter(|waiter| !matches!(waiter.requester, Requester::None));
        proposals.count() + self.reads.n_of_clients()
    }

    fn set_timer(&self, delay: Micros, timer: Timer, world: &mut World) {
        let (member, start) = (self.id, self.start);
        world.events.schedule(delay, SimEvent::Timer { member, start, timer });
    }

    /// Handles a timer. Returns false when the member ends.
    pub(crate) fn wake(&mut self, timer: Timer, world: &mut World) -> bool {
        match timer {
            Timer::Tick => {
                self.core.handle(Event::Tick);
                self.log.add_lazy();
                self.set_timer(TICK, Timer::Tick, world);
            }
            Timer::LogSynced => match self.log.finish() {
                Ok(0) => {}
                Ok(number) => self.core.handle(Event::Persisted(number)),
                Err(error) => world.failed(self.id, &error),
            },
            Timer::Apply => self.apply_all(world),
            Timer::FlushDue => self.begin_flush(world),
            Timer::Flushed => self.finish_flush(world),
            Timer::Scrub => self.scrub(world),
            Timer::Sweep => {
                self.sweep(world);
                self.set_timer(SWEEP, Timer::Sweep, world);
            }
            Timer::Leases => {
                self.look_after_leases(world);
                self.promote_joined_members(world);
                self.set_timer(LEASES, Timer::Leases, world);
            }
            Timer::Watches => self.turn_watches(world),
            Timer::ReadStream(watcher) => self.read_stream(watcher, world),
            Timer::Stored => self.snapshot_stored(world),
            Timer::Stop => return false,
        }
        self.settle(world);
        true
    }

    fn propose_own(&mut self, request: Request, requester: Requester, world: &mut World) {
        let id = world.own_id();
        self.propose(id, request, requester, world);
    }

    fn propose(&mut self, id: u64, request: Request, requester: Requester, world: &World) {
        let data = Command { id, username: String::new(), auth_revision: 0, request }.encode();
        self.waiters.insert(id, Waiter { since: world.now(), requester });
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
        self.read_role = self.core.read_index_role();
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
                self.set_timer(delay, Timer::LogSynced, world);
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
            self.retry_reads(world);
        }
        self.count_down(&status, world);
        self.status = status;
    }

    /// A proposal is certainly in no log.
    fn dropped(&mut self, id: u64, world: &mut World) {
        match self.waiters.remove(&id).map(|waiter| waiter.requester) {
            Some(Requester::Client(op)) => world.reply(op, Reply::Dropped),
            Some(Requester::Renewal(op, _)) => world.reply(op, Reply::Unknown),
            Some(Requester::None) | None => {}
        }
    }

    fn sweep(&mut self, world: &mut World) {
        self.sweep_reads(TIMEOUT, world);
        self.sweep_renewals(TIMEOUT, world);
        let now = world.now();
        let overdue = self.waiters.extract_if(.., |_, waiter| now >= waiter.since + TIMEOUT);
        let overdue: Vec<_> = overdue.map(|(_, waiter)| waiter.requester).collect();
        for requester in overdue {
            if let Requester::Client(op) | Requester::Renewal(op, _) = requester {
                world.reply(op, Reply::Unknown);
            }
        }
    }

    /// The member goes down: all waiting requests get an unknown result.
    pub(crate) fn fail_waiting(&mut self, world: &mut World) {
        for waiter in std::mem::take(&mut self.waiters).into_values() {
            if let Requester::Client(op) | Requester::Renewal(op, _) = waiter.requester {
                world.reply(op, Reply::Unknown);
            }
        }
        self.fail_reads();
        self.go_on_with_reads(world);
        self.drop_snapshots(world);
    }
}
