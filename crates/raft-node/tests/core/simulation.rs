//! Whole clusters from one seed: crashes that lose the unsynced tail, slow disks, lost, late and overtaking
//! messages, partitions, leadership transfers, changes of members, and logs so short that a member that was away needs
//! a snapshot. Checked all the time: all members hand out the same log, a read sees every write that was acknowledged
//! before it began. Checked at the end: every acknowledged write is in every log, and writes flow.
//!
//! A failure names its seed: `SEED=17 cargo test -p ferretcd-raft-node --test core simulation`.

use std::collections::{BTreeMap, HashMap};

use ferretcd_base::MemberId;
use ferretcd_raft_node::{
    Applied, Committed, ConfChange, ConfChangeKind, Config, Core, Event, Message, Payload, Proposal,
    ReadToken, Role,
};
use ferretcd_wal::ConfState;

use self::random::Random;
use crate::harness::{Disk, config, decide};

mod random;
mod states;

const TICK_MS: u64 = 100;
const FAULTS_MS: u64 = 15_000;
const HEALED_MS: u64 = 10_000;

/// The settings of a run, besides its seed.
#[derive(Clone, Copy, Debug)]
struct Scenario {
    n_members: u64,
    changes_members: bool,
}

#[test]
fn three_members_under_faults() {
    run_seeds(0..80, Scenario { n_members: 3, changes_members: false });
}

#[test]
fn three_members_that_are_exchanged() {
    run_seeds(1000..1070, Scenario { n_members: 3, changes_members: true });
}

#[test]
fn one_member_to_which_others_are_added() {
    run_seeds(2000..2050, Scenario { n_members: 1, changes_members: true });
}

#[test]
fn equal_seeds_make_equal_runs() {
    let scenario = Scenario { n_members: 3, changes_members: true };
    let run = || {
        let mut cluster = Cluster::new(7, scenario);
        cluster.run();
        (cluster.log, cluster.n_acked, cluster.n_reads, cluster.n_delivered)
    };
    assert_eq!(run(), run());
}

fn run_seeds(seeds: std::ops::Range<u64>, scenario: Scenario) {
    let only = std::env::var("SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let (mut n_acked, mut n_reads, mut n_crashes, mut n_installed) = (0, 0, 0, 0);
    for seed in seeds.filter(|seed| only.is_none_or(|only| only == *seed)) {
        let report = OnPanic(seed);
        let mut cluster = Cluster::new(seed, scenario);
        cluster.run();
        std::mem::forget(report);
        n_acked += cluster.n_acked;
        n_reads += cluster.n_reads;
        n_crashes += cluster.n_crashes;
        n_installed += cluster.n_installed;
    }
    // A simulation in which nothing happens proves nothing.
    assert!(
        only.is_some() || (n_acked > 1000 && n_reads > 1000 && n_crashes > 50 && n_installed > 20),
        "{n_acked} {n_reads} {n_crashes} {n_installed}"
    );
}

/// The settings of a member that soon drops entries which members that were away need.
fn short_log(id: u64) -> Config {
    Config { catchup_entries: 15, unapplied_max: 8, ..config(id) }
}

struct OnPanic(u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        let line = format!("SEED={} cargo test -p ferretcd-raft-node --test core simulation\n", self.0);
        std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes())
            .expect("a failing test can be reported");
    }
}

/// Events of a run.
enum Happening {
    /// A snapshot and its message arrive.
    State {
        message: Message,
        state: Vec<(Committed, ConfState)>,
        start: u64,
    },
    /// A received snapshot is installed.
    Installed {
        member: u64,
        start: u64,
    },
    Tick {
        member: u64,
        start: u64,
    },
    Deliver(Message),
    Synced {
        member: u64,
        start: u64,
        n_steps: usize,
    },
    Client,
    Fault,
    Restart {
        member: u64,
    },
    Heal {
        from: u64,
        to: u64,
    },
}

struct Member {
    disk: Disk,
    /// The applied entries, and the configuration after each.
    applied: Vec<(Committed, ConfState)>,
    /// How many of those survive a crash.
    n_durable: usize,
    /// Snapshots from other members that were stored here. They survive everything.
    arrived: HashMap<u64, Vec<(Committed, ConfState)>>,
    running: Option<Running>,
    n_starts: u64,
    is_removed: bool,
}

struct Running {
    core: Core,
    start: u64,
    is_syncing: bool,
    /// The place of the snapshot that is to be installed.
    install: Option<u64>,
    /// Writes proposed here and not yet committed.
    writes: HashMap<u64, ()>,
    /// Reads requested here: what was acknowledged when they began.
    reads: HashMap<u64, u64>,
    /// Reads that wait for this index to be applied.
    ready: Vec<(u64, u64)>,
}

struct Cluster {
    random: Random,
    scenario: Scenario,
    now: u64,
    /// By time, then by order of creation.
    agenda: BTreeMap<(u64, u64), Happening>,
    n_scheduled: u64,
    members: BTreeMap<u64, Member>,
    next_member: u64,
    /// Pairs between which nothing is delivered.
    cut: Vec<(u64, u64)>,
    /// The one true log, as far as any member has handed it out.
    log: Vec<Committed>,
    /// The acknowledged writes with their indices.
    acked: Vec<(u64, u64)>,
    last_acked_index: u64,
    next_value: u64,
    n_acked: u64,
    n_reads: u64,
    n_crashes: u64,
    n_delivered: u64,
    n_installed: u64,
}

impl Cluster {
    fn new(seed: u64, scenario: Scenario) -> Self {
        let mut cluster = Self {
            random: Random(seed),
            scenario,
            now: 0,
            agenda: BTreeMap::new(),
            n_scheduled: 0,
            members: BTreeMap::new(),
            next_member: scenario.n_members + 1,
            cut: Vec::new(),
            log: Vec::new(),
            acked: Vec::new(),
            last_acked_index: 0,
            next_value: 1,
            n_acked: 0,
            n_reads: 0,
            n_crashes: 0,
            n_delivered: 0,
            n_installed: 0,
        };
        let ids: Vec<_> = (1..=scenario.n_members).collect();
        for id in &ids {
            cluster.add_member(*id, Disk::bootstrapped(&ids));
        }
        cluster.at(0, Happening::Client);
        cluster.at(500, Happening::Fault);
        cluster
    }

    fn run(&mut self) {
        let end = FAULTS_MS + HEALED_MS;
        while let Some((at, _)) = self.agenda.first_key_value().map(|(key, _)| *key)
            && at < end
        {
            let (_, happening) = self.agenda.pop_first().expect("the agenda is not empty");
            self.now = at;
            self.happen(happening);
        }
        self.check_end();
    }

    fn is_faulty(&self) -> bool {
        self.now < FAULTS_MS
    }

    fn at(&mut self, delay: u64, happening: Happening) {
        self.n_scheduled += 1;
        self.agenda.insert((self.now + delay, self.n_scheduled), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick { member, start } => {
                if self.running(member).is_some_and(|running| running.start == start) {
                    self.feed(member, Event::Tick);
                    self.at(TICK_MS, Happening::Tick { member, start });
                }
            }
            Happening::Deliver(message) => {
                let (from, to) = (message.from().0, message.to().0);
                let sender_is_removed = self.members.get(&from).is_none_or(|member| member.is_removed);
                if !self.cut.contains(&(from, to)) && !sender_is_removed {
                    self.n_delivered += 1;
                    self.feed(to, Event::Message(message));
                }
            }
            Happening::State { message, state, start } => self.state_arrives(message, state, start),
            Happening::Installed { member, start } => self.installed(member, start),
            Happening::Synced { member, start, n_steps } => self.synced(member, start, n_steps),
            Happening::Client => self.client(),
            Happening::Fault => self.fault(),
            Happening::Restart { member } => self.start_member(member),
            Happening::Heal { from, to } => self.cut.retain(|pair| *pair != (from, to)),
        }
    }

    fn running(&mut self, member: u64) -> Option<&mut Running> {
        self.members.get_mut(&member)?.running.as_mut()
    }

    fn add_member(&mut self, id: u64, disk: Disk) {
        let member = Member {
            disk,
            applied: Vec::new(),
            n_durable: 0,
            arrived: HashMap::new(),
            running: None,
            n_starts: 0,
            is_removed: false,
        };
        self.members.insert(id, member);
        self.start_member(id);
    }

    fn start_member(&mut self, id: u64) {
        let (seed, is_released) = (self.random.below(u64::MAX), self.random.chance(30));
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.running.is_some() || member.is_removed {
            return;
        }
        member.n_starts += 1;
        if member.disk.mark.index > member.applied.len() as u64 {
            member.applied = member.arrived[&member.disk.mark.index].clone();
            member.n_durable = member.applied.len();
        }
        if let Some((last, conf_state)) = member.applied.last().filter(|_| is_released) {
            member.disk.release(last.position.index, conf_state.clone());
        }
        let start = member.n_starts;
        let conf_state = member.applied.last().map(|(_, conf_state)| conf_state.clone()).unwrap_or_default();
        let applied = Applied { index: member.applied.len() as u64, conf_state };
        let core =
            Core::new(short_log(id), member.disk.recovered(), &applied, seed).expect("disk and state fit");
        member.running = Some(Running {
            core,
            start,
            is_syncing: false,
            install: None,
            writes: HashMap::new(),
            reads: HashMap::new(),
            ready: Vec::new(),
        });
        let first_tick = self.random.below(TICK_MS);
        self.at(first_tick, Happening::Tick { member: id, start });
        self.perform(id);
    }

    fn feed(&mut self, member: u64, event: Event) {
        if let Some(running) = self.running(member) {
            running.core.handle(event);
            self.perform(member);
        }
    }

    fn perform(&mut self, id: u64) {
        loop {
            let Some(running) = self.running(id) else { return };
            let effects = running.core.take_effects();
            assert!(effects.failed.is_none(), "{:?}", effects.failed);
            for token in &effects.dropped {
                running.writes.remove(token);
            }
            running.ready.extend(effects.reads.iter().map(|(token, index)| (token.0, *index)));
            for message in effects.send {
                self.send(id, message);
            }
            let member = self.members.get_mut(&id).expect("it is running");
            member.disk.queue.extend(effects.persist);
            self.sync_soon(id);
            let n_committed = effects.committed.len();
            for entry in effects.committed {
                self.apply(id, entry);
            }
            if let Some(mark) = effects.install {
                self.install_soon(id, mark.index);
            }
            self.serve_reads(id);
            if n_committed == 0 {
                return;
            }
            let applied = self.members[&id].applied.len() as u64;
            if let Some(running) = self.running(id) {
                running.core.handle(Event::Applied(applied));
            }
        }
    }

    fn send(&mut self, from: u64, message: Message) {
        if message.is_snapshot() {
            return self.send_state(from, message);
        }
        let is_lost = self.is_faulty() && self.random.chance(5);
        if !is_lost {
            let is_late = self.is_faulty() && self.random.chance(3);
            let delay = if is_late { self.random.below(3000) } else { 1 + self.random.below(5) };
            self.at(delay, Happening::Deliver(message));
        }
    }

    fn sync_soon(&mut self, id: u64) {
        let is_slow = self.is_faulty() && self.random.chance(10);
        let delay = if is_slow { self.random.below(1500) } else { 1 + self.random.below(8) };
        let member = self.members.get_mut(&id).expect("only members have disks");
        let n_steps = member.disk.queue.len();
        let Some(running) = member.running.as_mut().filter(|running| !running.is_syncing) else { return };
        if n_steps > 0 {
            running.is_syncing = true;
            let start = running.start;
            self.at(delay, Happening::Synced { member: id, start, n_steps });
        }
    }

    fn synced(&mut self, id: u64, start: u64, n_steps: usize) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let Some(running) = member.running.as_mut().filter(|running| running.start == start) else { return };
        running.is_syncing = false;
        let number = member.disk.flush(n_steps).expect("a sync has something to sync");
        self.feed(id, Event::Persisted(number));
        self.sync_soon(id);
    }

    fn apply(&mut self, id: u64, entry: Committed) {
        let place = entry.position.index as usize - 1;
        match self.log.get(place) {
            Some(known) => assert_eq!(*known, entry, "member {id} hands out another entry"),
            None => {
                assert_eq!(self.log.len(), place, "member {id} leaves entries out");
                self.log.push(entry.clone());
            }
        }
        let member = self.members.get_mut(&id).expect("it applies");
        assert_eq!(member.applied.len(), place, "member {id} hands out an entry twice or too early");
        assert!(
            member.disk.last_index() > place as u64,
            "member {id} hands out an entry that is not durable"
        );
        let before = member.applied.last().map(|(_, conf_state)| conf_state.clone()).unwrap_or_default();
        let mut after = before;
        if let Payload::ConfChange { change } = &entry.payload {
            let decision = decide(&after, change);
            let running = member.running.as_mut().expect("it applies");
            let change = decision.is_some().then(|| change.clone());
            running.core.handle(Event::Configure { index: entry.position.index, change });
            after = decision.unwrap_or(after);
        }
        if let Payload::Normal(data) = &entry.payload {
            let value = u64::from_be_bytes(data[..].try_into().expect("values have eight bytes"));
            if member.running.as_mut().is_some_and(|running| running.writes.remove(&value).is_some()) {
                self.acked.push((value, entry.position.index));
                self.last_acked_index = self.last_acked_index.max(entry.position.index);
                self.n_acked += 1;
            }
        }
        if let Payload::ConfChange { change, .. } = &entry.payload
            && change.kind == ConfChangeKind::RemoveNode
            && change.node == MemberId(id)
        {
            member.is_removed = true;
        }
        member.applied.push((entry, after));
    }

    fn serve_reads(&mut self, id: u64) {
        let applied = self.members[&id].applied.len() as u64;
        let Some(running) = self.running(id) else { return };
        let mut n_served = 0;
        let Running { ready, reads, .. } = running;
        ready.retain(|(token, index)| {
            if *index > applied {
                return true;
            }
            let acked_at_start = reads.remove(token).expect("a read is confirmed once");
            assert!(applied >= acked_at_start, "member {id} serves a read from an old state");
            n_served += 1;
            false
        });
        self.n_reads += n_served;
    }

    /// A client sends a request to some member, now and then.
    fn client(&mut self) {
        let pause = 5 + self.random.below(30);
        self.at(pause, Happening::Client);
        let id = self.some_member();
        let value = self.next_value;
        self.next_value += 1;
        let acked = self.last_acked_index;
        let is_write = self.random.chance(60);
        let Some(running) = self.running(id) else { return };
        if is_write {
            running.writes.insert(value, ());
            let data = value.to_be_bytes().to_vec();
            self.feed(id, Event::Propose(vec![Proposal::new(value, data)]));
        } else {
            running.reads.insert(value, acked);
            self.feed(id, Event::ReadIndex(vec![ReadToken(value)]));
        }
    }

    fn some_member(&mut self) -> u64 {
        let position = self.random.below(self.members.len() as u64) as usize;
        *self.members.keys().nth(position).expect("there are members")
    }

    fn fault(&mut self) {
        if !self.is_faulty() {
            self.heal();
            return;
        }
        let pause = 100 + self.random.below(1500);
        self.at(pause, Happening::Fault);
        let id = self.some_member();
        match self.random.below(10) {
            0..4 => self.crash(id),
            4 => self.members.keys().copied().collect::<Vec<_>>().into_iter().for_each(|id| self.crash(id)),
            5 | 6 => {
                let other = self.some_member();
                let is_one_way = self.random.chance(30);
                self.cut(id, other);
                if !is_one_way {
                    self.cut(other, id);
                }
            }
            7 => {
                let to = MemberId(self.some_member());
                self.feed(id, Event::TransferLeader(to));
            }
            _ if self.scenario.changes_members => self.change_members(id),
            _ => {}
        }
    }

    fn cut(&mut self, from: u64, to: u64) {
        let duration = self.random.below(4000);
        self.cut.push((from, to));
        self.at(duration, Happening::Heal { from, to });
    }

    /// Stops a member and loses what its disk and its state have not made durable.
    fn crash(&mut self, id: u64) {
        let member = self.members.get_mut(&id).expect("only members crash");
        if member.running.take().is_none() {
            return;
        }
        self.n_crashes += 1;
        let n_steps = self.random.below(member.disk.queue.len() as u64 + 1) as usize;
        let n_entries = self.random.below(4) as usize;
        member.disk.crash(n_steps, n_entries);
        let n_volatile = (member.applied.len() - member.n_durable) as u64;
        member.n_durable += self.random.below(n_volatile + 1) as usize;
        member.applied.truncate(member.n_durable);
        let pause = 5 + self.random.below(3000);
        self.at(pause, Happening::Restart { member: id });
    }

    /// Proposes to add, promote or remove a member, keeping between two and five voters once there are two.
    fn change_members(&mut self, at: u64) {
        let member = &self.members[&at];
        let Some((_, conf)) = member.applied.last() else { return };
        let (voters, learners) = (conf.voters.clone(), conf.learners.clone());
        let (kind, node) = match self.random.below(3) {
            0 if voters.len() + learners.len() < 5 => {
                let id = self.next_member;
                self.next_member += 1;
                self.add_member(id, Disk::default());
                let as_learner = self.random.chance(50);
                (if as_learner { ConfChangeKind::AddLearnerNode } else { ConfChangeKind::AddNode }, id)
            }
            1 if !learners.is_empty() => (ConfChangeKind::AddNode, learners[0]),
            // Of two voters, the one that stays may forget in a crash that the other has left, and needs its vote.
            2 if voters.len() > 2 => {
                let position = self.random.below(voters.len() as u64) as usize;
                // A leader transfers its leadership before it is removed.
                if voters[position] == at || !self.is_leader(at) {
                    return;
                }
                (ConfChangeKind::RemoveNode, voters[position])
            }
            _ => return,
        };
        let change = ConfChange { id: 0, kind, node: MemberId(node), context: "{}".into() };
        self.feed(at, Event::ConfChange { token: 0, change });
    }

    fn is_leader(&mut self, id: u64) -> bool {
        self.running(id).is_some_and(|running| running.core.status().role == Role::Leader)
    }

    fn heal(&mut self) {
        self.cut.clear();
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.start_member(id);
        }
    }

    /// After some time without faults there is a leader, and every member of its cluster has all that was ever
    /// acknowledged and what was written just now.
    fn check_end(&self) {
        let leader = self
            .members
            .values()
            .filter(|member| !member.is_removed)
            .filter(|member| {
                member.running.as_ref().is_some_and(|running| running.core.status().role == Role::Leader)
            })
            .max_by_key(|member| member.applied.len())
            .expect("there is a leader");
        for (value, index) in &self.acked {
            let entry = &self.log[*index as usize - 1];
            assert_eq!(
                entry.payload,
                Payload::Normal(value.to_be_bytes().to_vec().into()),
                "a write is lost"
            );
        }
        let (_, conf) = leader.applied.last().expect("the leader has applied something");
        let last_acked = self.acked.iter().map(|(_, index)| *index).max().unwrap_or_default();
        for id in conf.voters.iter().chain(&conf.learners) {
            let n_applied = self.members[id].applied.len() as u64;
            assert!(n_applied + 50 > last_acked, "member {id} has {n_applied} of {last_acked} entries");
        }
        let n_entries = self.log.len() as u64;
        assert!(
            last_acked + 50 > n_entries && n_entries > 100,
            "writes do not flow: {last_acked} of {n_entries}"
        );
    }
}
