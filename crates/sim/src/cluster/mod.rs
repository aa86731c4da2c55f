//! All members, all clients, and the loop in which everything happens.

mod end;
mod faults;
mod members;

use std::collections::BTreeMap;

use ferretcd_base::MemberId;
use ferretcd_raft_node::Message;

use crate::Report;
use crate::check::{OpId, Reply};
use crate::disk::Disk;
use crate::event::SimEvent;
use crate::event_queue::MS;
use crate::process::timer::Timer;
use crate::process::{Process, format, reject_snapshot};
use crate::workload::{Client, Watcher, WatcherStep};
use crate::world::World;
use crate::{Profile, Sabotage, Trace, Violation};

/// How long a client waits for a reply.
const CLIENT_TIMEOUT: u64 = 5_000 * MS;

/// One member, running or not.
#[derive(Debug)]
struct Member {
    disk: Disk,
    process: Option<Process>,
    n_starts: u64,
    /// It has learned that it was removed, and is not started again.
    is_gone: bool,
}

/// A whole cluster with its clients and watchers.
#[derive(Debug)]
pub(crate) struct Cluster {
    world: World,
    members: BTreeMap<u64, Member>,
    clients: Vec<Client>,
    watchers: Vec<Watcher>,
    next_member: u64,
    is_over: bool,
}

impl Cluster {
    pub(crate) fn new(seed: u64, profile: Profile, sabotage: Option<Sabotage>, trace: Trace) -> Self {
        let mut world = World::new(seed, profile, sabotage, trace);
        let watchers = (0..profile.n_watchers).map(|_| Watcher::new(&mut world.random)).collect();
        let mut cluster = Self {
            world,
            members: BTreeMap::new(),
            clients: (0..profile.n_clients).map(|_| Client::default()).collect(),
            watchers,
            next_member: profile.n_members + 1,
            is_over: false,
        };
        let founders: Vec<_> = (1..=profile.n_members).collect();
        founders.iter().for_each(|id| cluster.add_member(*id, &founders));
        let events = &mut cluster.world.events;
        (0..profile.n_clients).for_each(|client| events.schedule(0, SimEvent::Client(client)));
        for watcher in 0..profile.n_watchers {
            events.schedule(0, SimEvent::Watcher { watcher, epoch: 0, step: WatcherStep::Connect });
        }
        events.schedule(500 * MS, SimEvent::Fault);
        cluster
    }

    /// Lets everything happen until the end, or until a rule is broken.
    pub(crate) fn run(mut self) -> Result<Report, Violation> {
        let end = (self.world.profile.faults_ms + self.world.profile.healed_ms) * MS;
        self.run_until(end)?;
        self.finish()
    }

    fn run_until(&mut self, end: u64) -> Result<(), Violation> {
        while let Some(event) = self.world.events.next_before(end) {
            self.handle(event);
            for id in std::mem::take(&mut self.world.added) {
                self.add_member(id, &[]);
            }
            if let Some(violation) = self.world.violation.take() {
                self.world.note(0, "violates", 0, || violation.to_string());
                return Err(violation);
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: SimEvent) {
        match event {
            SimEvent::Timer { member, start, timer } => self.timer_fired(member, start, timer),
            SimEvent::Deliver(parcel) => {
                let (to, kind) = (parcel.message.to().0, parcel.message.kind());
                if self.world.network.delivers(&parcel)
                    && let Some(process) = running(&mut self.members, to)
                {
                    let from = parcel.message.from().0;
                    self.world.note(to, "receives", from, || kind.to_owned());
                    process.receive(parcel.message, &mut self.world);
                }
            }
            SimEvent::Snapshot { message, image } => self.snapshot(message, image),
            SimEvent::SnapshotSent { from, to, ok } => {
                if let Some(process) = running(&mut self.members, from) {
                    process.snapshot_sent(to, ok, &mut self.world);
                }
            }
            SimEvent::Unreachable { from, to } => {
                if let Some(process) = running(&mut self.members, from) {
                    process.lost_messages(to, &mut self.world);
                }
            }
            SimEvent::Request { member, op } => self.request(member, op),
            SimEvent::Reply { op, reply } => self.finish_request(op, &reply),
            SimEvent::Client(client) => self.client(client),
            SimEvent::Overdue(op) => self.finish_request(op, &Reply::Unknown),
            SimEvent::Watcher { watcher, epoch, step } => self.watcher(watcher, epoch, step),
            SimEvent::Fault => self.fault(),
            SimEvent::Mend { from, to } => self.world.network.mend(from, to),
            SimEvent::Start(member) => self.start(member),
        }
    }

    fn timer_fired(&mut self, member: u64, start: u64, timer: Timer) {
        let process = running(&mut self.members, member).filter(|process| process.start == start);
        if process.is_some_and(|process| !process.wake(timer, &mut self.world)) {
            self.stop(member);
        }
        if timer == Timer::Sweep {
            self.stop_if_removed(member);
        }
    }

    /// A snapshot reaches a member, or its sender learns some time later that it did not.
    fn snapshot(&mut self, message: Message, image: Vec<u8>) {
        let (from, to) = (message.from().0, message.to().0);
        let is_lost =
            !self.world.network.is_open(from, to) || (self.world.is_faulty() && self.world.random.chance(10));
        match running(&mut self.members, to).filter(|_| !is_lost) {
            Some(process) => process.receive_snapshot(message, image, &mut self.world),
            None => reject_snapshot(&message, &mut self.world),
        }
    }

    /// A member that was removed without having noticed learns it when it next connects to a member.
    fn stop_if_removed(&mut self, id: u64) {
        let knows = |other: &Process| other.machine().membership().is_removed(MemberId(id));
        let is_informed = self.members.iter().any(|(other, member)| {
            member.process.as_ref().is_some_and(knows) && self.world.network.is_open(*other, id)
        });
        if is_informed {
            self.stop(id);
        }
    }

    fn add_member(&mut self, id: u64, founders: &[u64]) {
        let disk = Disk::default();
        format(&disk, id, founders).expect("a disk in memory takes a new log");
        self.members.insert(id, Member { disk, process: None, n_starts: 0, is_gone: false });
        self.start(id);
    }

    fn start(&mut self, id: u64) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.process.is_some() || member.is_gone {
            return;
        }
        member.n_starts += 1;
        member.process = Process::start(id, member.n_starts, &member.disk, &mut self.world);
    }

    /// A request has reached a member.
    fn request(&mut self, member: u64, op: OpId) {
        let Some(process) = running(&mut self.members, member) else {
            return self.world.reply(op, Reply::Dropped);
        };
        let leader = process.status().leader.0;
        let is_taken = process.request(op, &mut self.world);
        let is_reachable = self.world.network.is_open(member, leader);
        if !is_taken && leader != 0 && leader != member && is_reachable {
            let delay = self.world.random.between(100, 2 * MS);
            self.world.events.schedule(delay, SimEvent::Request { member: leader, op });
        }
    }

    fn client(&mut self, number: usize) {
        if self.is_over {
            return;
        }
        let ttl_max = self.world.profile.lease_ttl_max;
        let call = self.clients[number].next(number + 1, ttl_max, &mut self.world.random);
        let op = self.world.operations.begin(self.world.events.now(), call);
        self.clients[number].waits_for = Some(op);
        let member = self.some_member();
        self.world.note(100 + number as u64, "asks", op as u64, || format!("member {member}"));
        let delay = self.world.random.between(50, 1_500);
        self.world.events.schedule(delay, SimEvent::Request { member, op });
        self.world.events.schedule(CLIENT_TIMEOUT, SimEvent::Overdue(op));
    }

    fn finish_request(&mut self, op: OpId, reply: &Reply) {
        if !self.world.operations.is_open(op) {
            return;
        }
        let Some(number) = self.clients.iter().position(|client| client.waits_for == Some(op)) else {
            return;
        };
        let now = self.world.now();
        let World { operations, truth, .. } = &mut self.world;
        let checked = operations.finished(now, op, reply, &truth.model);
        let (call, requested_at) = (operations.call(op), operations.requested_at(op));
        let promised = match self.clients[number].learn(call, reply) {
            Some((lease, ttl)) => truth.promises.promised(lease, requested_at, ttl),
            None => Ok(()),
        };
        self.world.check(checked.and(promised));
        self.world.note(100 + number as u64, "hears", op as u64, || format!("{reply:?}"));
        self.clients[number].waits_for = None;
        let pause = self.world.random.below(self.world.profile.pause_ms * MS);
        self.world.events.schedule(pause, SimEvent::Client(number));
    }

    fn watcher(&mut self, number: usize, epoch: u64, step: WatcherStep) {
        let member = self.some_member();
        let watcher = &mut self.watchers[number];
        if watcher.epoch != epoch {
            return;
        }
        match step {
            WatcherStep::Connect => {
                let too_early = self.world.breaks(Sabotage::ResumeTooEarly);
                if let Some(process) = running(&mut self.members, member) {
                    let spec = watcher.spec(too_early);
                    let revision = process.watch(number, epoch, spec, &mut self.world);
                    watcher.requested_at((member, process.start), revision);
                    self.world.note(200 + number as u64, "watches", member, || format!("at {revision}"));
                } else {
                    self.connect(number);
                }
            }
            WatcherStep::Received(deliveries) => {
                let at = watcher.at;
                self.world.note(200 + number as u64, "is told", deliveries.len() as u64, || {
                    format!("{deliveries:?}")
                });
                if watcher.take(deliveries) {
                    if let Some(process) = at.and_then(|(member, _)| running(&mut self.members, member)) {
                        process.unwatch(number);
                    }
                    self.connect(number);
                }
            }
        }
    }

    fn connect(&mut self, number: usize) {
        let delay = self.world.random.below(300 * MS);
        let (epoch, step) = (self.watchers[number].epoch, WatcherStep::Connect);
        self.world.events.schedule(delay, SimEvent::Watcher { watcher: number, epoch, step });
    }

    fn some_member(&mut self) -> u64 {
        let ids: Vec<_> =
            self.members.iter().filter(|(_, member)| !member.is_gone).map(|(id, _)| *id).collect();
        *self.world.random.pick(&ids)
    }
}

fn running(members: &mut BTreeMap<u64, Member>, id: u64) -> Option<&mut Process> {
    members.get_mut(&id)?.process.as_mut()
}
