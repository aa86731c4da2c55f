//! All members, all clients, and the loop in which everything happens.

mod end;
mod faults;
mod members;

use std::collections::BTreeMap;

use ferretcd_base::MemberId;
use ferretcd_raft_node::Message;

use crate::agenda::MS;
use crate::check::{Answer, OpId};
use crate::disk::Disk;
use crate::process::{Alarm, Process, format, refuse_snapshot};
use crate::run::Report;
use crate::workload::{Client, Watcher, WatcherStep};
use crate::world::{Happening, World};
use crate::{Profile, Sabotage, Trace, Violation};

/// How long a client waits for an answer.
const PATIENCE: u64 = 5_000 * MS;

/// One member, running or not.
#[derive(Debug)]
struct Member {
    disk: Disk,
    process: Option<Process>,
    n_starts: u64,
    /// It has learned that it was removed, and is not started again.
    is_gone: bool,
}

/// A whole cluster with everybody around it.
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
        let agenda = &mut cluster.world.agenda;
        (0..profile.n_clients).for_each(|client| agenda.after(0, Happening::Client(client)));
        for watcher in 0..profile.n_watchers {
            agenda.after(0, Happening::Watcher { watcher, epoch: 0, step: WatcherStep::Connect });
        }
        agenda.after(500 * MS, Happening::Fault);
        cluster
    }

    /// Lets everything happen until the end, or until a rule is broken.
    pub(crate) fn run(mut self) -> Result<Report, Violation> {
        let end = (self.world.profile.faults_ms + self.world.profile.healed_ms) * MS;
        self.run_until(end)?;
        self.finish()
    }

    fn run_until(&mut self, end: u64) -> Result<(), Violation> {
        while let Some(happening) = self.world.agenda.next_before(end) {
            self.happen(happening);
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

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Alarm { member, start, alarm } => self.alarm(member, start, alarm),
            Happening::Deliver(parcel) => {
                let (to, kind) = (parcel.message.to().0, parcel.message.kind());
                if self.world.network.delivers(&parcel)
                    && let Some(process) = running(&mut self.members, to)
                {
                    let from = parcel.message.from().0;
                    self.world.note(to, "receives", from, || kind.to_owned());
                    process.receive(parcel.message, &mut self.world);
                }
            }
            Happening::Snapshot { message, image } => self.snapshot(message, image),
            Happening::SnapshotSent { from, to, ok } => {
                if let Some(process) = running(&mut self.members, from) {
                    process.snapshot_sent(to, ok, &mut self.world);
                }
            }
            Happening::Unreachable { from, to } => {
                if let Some(process) = running(&mut self.members, from) {
                    process.lost_messages(to, &mut self.world);
                }
            }
            Happening::Request { member, op } => self.request(member, op),
            Happening::Answer { op, answer } => self.answer(op, &answer),
            Happening::Client(client) => self.client(client),
            Happening::Overdue(op) => self.answer(op, &Answer::Unknown),
            Happening::Watcher { watcher, epoch, step } => self.watcher(watcher, epoch, step),
            Happening::Fault => self.fault(),
            Happening::Mend { from, to } => self.world.network.mend(from, to),
            Happening::Start(member) => self.start(member),
        }
    }

    fn alarm(&mut self, member: u64, start: u64, alarm: Alarm) {
        let process = running(&mut self.members, member).filter(|process| process.start == start);
        if process.is_some_and(|process| !process.wake(alarm, &mut self.world)) {
            self.stop(member);
        }
        if alarm == Alarm::Sweep {
            self.tell_whether_removed(member);
        }
    }

    /// A state reaches a member, or its sender hears some time later that it did not.
    fn snapshot(&mut self, message: Message, image: Vec<u8>) {
        let (from, to) = (message.from().0, message.to().0);
        let is_lost =
            !self.world.network.is_open(from, to) || (self.world.is_faulty() && self.world.random.chance(10));
        match running(&mut self.members, to).filter(|_| !is_lost) {
            Some(process) => process.receive_snapshot(message, image, &mut self.world),
            None => refuse_snapshot(&message, &mut self.world),
        }
    }

    /// A member that was removed without having noticed hears it when it next connects to somebody.
    fn tell_whether_removed(&mut self, id: u64) {
        let knows = |other: &Process| other.machine().membership().is_removed(MemberId(id));
        let is_told = self.members.iter().any(|(other, member)| {
            member.process.as_ref().is_some_and(knows) && self.world.network.is_open(*other, id)
        });
        if is_told {
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
            return self.world.answer(op, Answer::Dropped);
        };
        let leader = process.status().leader.0;
        let is_taken = process.request(op, &mut self.world);
        let is_reachable = self.world.network.is_open(member, leader);
        if !is_taken && leader != 0 && leader != member && is_reachable {
            let delay = self.world.random.between(100, 2 * MS);
            self.world.agenda.after(delay, Happening::Request { member: leader, op });
        }
    }

    fn client(&mut self, number: usize) {
        if self.is_over {
            return;
        }
        let ttl_max = self.world.profile.lease_ttl_max;
        let call = self.clients[number].next(number + 1, ttl_max, &mut self.world.random);
        let op = self.world.operations.begin(self.world.agenda.now(), call);
        self.clients[number].waits_for = Some(op);
        let member = self.some_member();
        self.world.note(100 + number as u64, "asks", op as u64, || format!("member {member}"));
        let delay = self.world.random.between(50, 1_500);
        self.world.agenda.after(delay, Happening::Request { member, op });
        self.world.agenda.after(PATIENCE, Happening::Overdue(op));
    }

    fn answer(&mut self, op: OpId, answer: &Answer) {
        if !self.world.operations.is_open(op) {
            return;
        }
        let Some(number) = self.clients.iter().position(|client| client.waits_for == Some(op)) else {
            return;
        };
        let now = self.world.now();
        let World { operations, truth, .. } = &mut self.world;
        let checked = operations.answered(now, op, answer, &truth.model);
        let (call, asked) = (operations.call(op), operations.asked(op));
        let promised = match self.clients[number].learn(call, answer) {
            Some((lease, ttl)) => truth.promises.promised(lease, asked, ttl),
            None => Ok(()),
        };
        self.world.check(checked.and(promised));
        self.world.note(100 + number as u64, "hears", op as u64, || format!("{answer:?}"));
        self.clients[number].waits_for = None;
        let pause = self.world.random.below(self.world.profile.pause_ms * MS);
        self.world.agenda.after(pause, Happening::Client(number));
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
                    watcher.asked_at((member, process.start), revision);
                    self.world.note(200 + number as u64, "watches", member, || format!("at {revision}"));
                } else {
                    self.connect(number);
                }
            }
            WatcherStep::Told(deliveries) => {
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
        self.world.agenda.after(delay, Happening::Watcher { watcher: number, epoch, step });
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
