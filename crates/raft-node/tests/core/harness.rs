//! A member whose disk writes on command, and a network that loses nothing.

use std::time::Duration;

use ferretcd_base::{LogPosition, MemberId};
use ferretcd_raft_node::{
    Applied, Committed, ConfChange, ConfChangeKind, Config, Core, Error, Event, Message, Payload, Persist,
    Proposal, ReadToken, Role, Status,
};
use ferretcd_wal::{ConfState, Entry, EntryKind, HardState, Metadata, Recovered, SnapshotMark};

pub(crate) const ELECTION_TICKS: u64 = 10;

pub(crate) fn config(id: u64) -> Config {
    Config {
        id: MemberId(id),
        heartbeat: Duration::from_millis(100),
        election_ticks: ELECTION_TICKS as usize,
        pre_vote: true,
        check_quorum: true,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        catchup_entries: 1_000_000,
        catchup_bytes: 64 << 20,
        unapplied_max: 5000,
        inbox: 1024,
        proposal_ticks: 50,
        advance_ticks: true,
    }
}

/// A member's disk, and the writes on their way there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    /// The log begins behind this.
    pub(crate) mark: SnapshotMark,
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<Entry>,
    pub(crate) queue: Vec<Persist>,
}

impl Disk {
    /// The log of a new cluster of these members.
    pub(crate) fn bootstrapped(members: &[u64]) -> Self {
        let entries: Vec<_> =
            members.iter().zip(1..).map(|(member, index)| add_voter(index, *member)).collect();
        let hard_state = HardState { term: 1, vote: 0, commit: entries.len() as u64 };
        Self { hard_state, entries, ..Self::default() }
    }

    pub(crate) fn recovered(&self) -> Recovered {
        Recovered {
            metadata: Metadata::default(),
            snapshot: self.mark.clone(),
            hard_state: self.hard_state,
            entries: self.entries.clone(),
        }
    }

    /// Syncs the first `n_steps` that are queued; returns the last one's number.
    pub(crate) fn flush(&mut self, n_steps: usize) -> Option<u64> {
        let steps: Vec<_> = self.queue.drain(..n_steps).collect();
        for step in &steps {
            if let Some(mark) = &step.mark {
                self.write_mark(mark);
            }
            self.write_entries(&step.entries);
            self.hard_state = step.hard_state.unwrap_or(self.hard_state);
        }
        steps.last().map(|step| step.number)
    }

    /// Loses what is queued, except its first steps and some entries of the step after them.
    pub(crate) fn crash(&mut self, n_steps: usize, n_entries: usize) {
        self.flush(n_steps);
        if let Some(torn) = self.queue.first().cloned() {
            if let Some(mark) = torn.mark.filter(|_| n_entries > 0) {
                self.write_mark(&mark);
            }
            let survivors = torn.entries[..n_entries.min(torn.entries.len())].to_vec();
            self.write_entries(&survivors);
        }
        self.queue.clear();
    }

    /// As the log on disk does: what the mark contradicts goes, and the mark counts as committed.
    fn write_mark(&mut self, mark: &SnapshotMark) {
        let covered = (mark.index - self.mark.index) as usize;
        let is_known = self.entries.get(covered - 1).is_some_and(|entry| entry.term == mark.term);
        self.entries = if is_known { self.entries.split_off(covered) } else { Vec::new() };
        if self.hard_state.term < mark.term {
            self.hard_state = HardState { term: mark.term, vote: 0, commit: 0 };
        }
        self.hard_state.commit = self.hard_state.commit.max(mark.index);
        self.mark = mark.clone();
    }

    fn write_entries(&mut self, entries: &[Entry]) {
        if let Some(first) = entries.first() {
            self.entries.truncate((first.index - self.mark.index) as usize - 1);
            self.entries.extend_from_slice(entries);
        }
    }
}

/// A log entry that adds a voter, in etcd's encoding.
pub(crate) fn add_voter(index: u64, member: u64) -> Entry {
    let data = vec![0x08, 0, 0x10, 0, 0x18, u8::try_from(member).expect("test ids are small")];
    Entry { term: 1, index, kind: EntryKind::ConfChange, data: data.into() }
}

/// The configuration after a change, or `None` if the member rejects the change.
pub(crate) fn decide(conf_state: &ConfState, change: &ConfChange) -> Option<ConfState> {
    let node = change.node.0;
    let mut after = conf_state.clone();
    after.voters.retain(|id| *id != node);
    after.learners.retain(|id| *id != node);
    match change.kind {
        ConfChangeKind::AddNode => after.voters.push(node),
        ConfChangeKind::AddLearnerNode => after.learners.push(node),
        ConfChangeKind::RemoveNode => {}
        ConfChangeKind::UpdateNode => return Some(conf_state.clone()),
    }
    after.voters.sort_unstable();
    after.learners.sort_unstable();
    let is_demotion = change.kind == ConfChangeKind::AddLearnerNode && conf_state.voters.contains(&node);
    (!after.voters.is_empty() && !is_demotion).then_some(after)
}

/// A core, its disk and everything it has sent.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) config: Config,
    pub(crate) core: Core,
    pub(crate) disk: Disk,
    /// The state: every entry in order, from index 1.
    pub(crate) applied: Vec<Committed>,
    /// The configuration of the last installed snapshot, and how many entries it contains.
    base: (usize, ConfState),
    /// A snapshot that has arrived; else one of entries without effect is made up.
    pub(crate) arrived: Option<Vec<Committed>>,
    /// Applied entries are not reported.
    pub(crate) holds_applied: bool,
    /// Configuration changes are not decided: the member takes its time.
    pub(crate) holds_decisions: bool,
    /// Snapshots are not installed by themselves.
    pub(crate) holds_installs: bool,
    pub(crate) install: Option<SnapshotMark>,
    pub(crate) sent: Vec<Message>,
    pub(crate) reads: Vec<(ReadToken, u64)>,
    pub(crate) dropped: Vec<u64>,
    pub(crate) roles: Vec<Status>,
    pub(crate) failed: Option<Error>,
    n_starts: u64,
}

impl Member {
    pub(crate) fn start(config: Config, disk: Disk) -> Self {
        let core = Core::new(config.clone(), disk.recovered(), &Applied::default(), config.id.0).unwrap();
        let mut member = Self {
            config,
            core,
            disk,
            applied: Vec::new(),
            base: Default::default(),
            arrived: None,
            holds_applied: false,
            holds_decisions: false,
            holds_installs: false,
            install: None,
            sent: Vec::new(),
            reads: Vec::new(),
            dropped: Vec::new(),
            roles: Vec::new(),
            failed: None,
            n_starts: 1,
        };
        member.settle();
        member
    }

    /// Starts again from the disk with a state that has lost everything above `applied`.
    pub(crate) fn restart(&mut self, applied: usize) {
        self.n_starts += 1;
        self.applied.truncate(applied);
        let state = self.state();
        let seed = self.config.id.0 + 1000 * self.n_starts;
        self.core = Core::new(self.config.clone(), self.disk.recovered(), &state, seed).unwrap();
        (self.sent, self.reads, self.dropped, self.install) = Default::default();
        self.settle();
    }

    /// Starts again with a snapshot that was installed before.
    pub(crate) fn restart_from(&mut self, state: Vec<Committed>, mark: SnapshotMark) {
        self.base = (state.len(), mark.conf_state.expect("a snapshot has a configuration"));
        self.applied = state;
        self.restart(self.applied.len());
    }

    /// The state as a start sees it.
    pub(crate) fn state(&self) -> Applied {
        Applied { index: self.applied.len() as u64, conf_state: self.conf_state() }
    }

    /// The configuration as of the applied state.
    pub(crate) fn conf_state(&self) -> ConfState {
        let changes = self.applied.iter().skip(self.base.0).filter_map(|entry| match &entry.payload {
            Payload::ConfChange { change } => Some(change),
            _ => None,
        });
        changes.fold(self.base.1.clone(), |before, change| decide(&before, change).unwrap_or(before))
    }

    /// Where the state stands.
    pub(crate) fn mark(&self) -> SnapshotMark {
        let LogPosition { index, term } = self.applied.last().expect("something was applied").position;
        SnapshotMark { index, term, conf_state: Some(self.conf_state()) }
    }

    /// Installs the snapshot that the core wants.
    pub(crate) fn install(&mut self) {
        let mark = self.install.take().expect("a snapshot is to be installed");
        let nothing =
            |index| Committed { position: LogPosition::new(index, mark.term), payload: Payload::Empty };
        self.applied = self.arrived.take().unwrap_or_else(|| (1..=mark.index).map(nothing).collect());
        assert_eq!(self.applied.len() as u64, mark.index);
        self.base = (self.applied.len(), mark.conf_state.expect("a snapshot has a configuration"));
        self.handle(Event::Installed(mark.index));
    }

    /// Takes in an event and applies at once what it commits.
    pub(crate) fn handle(&mut self, event: Event) {
        self.core.handle(event);
        self.settle();
    }

    pub(crate) fn tick(&mut self, n_ticks: u64) {
        (0..n_ticks).for_each(|_| self.handle(Event::Tick));
    }

    pub(crate) fn propose(&mut self, token: u64, data: &'static str) {
        self.handle(Event::Propose(vec![Proposal::new(token, data)]));
    }

    pub(crate) fn change(&mut self, token: u64, kind: ConfChangeKind, node: u64) {
        let change = ConfChange { id: token, kind, node: MemberId(node), context: "{}".into() };
        self.handle(Event::ConfChange { token, change });
    }

    pub(crate) fn read(&mut self, token: u64) {
        self.handle(Event::ReadIndex(vec![ReadToken(token)]));
    }

    /// Syncs everything, again and again until nothing is left to sync.
    pub(crate) fn flush(&mut self) {
        while let Some(number) = self.disk.flush(self.disk.queue.len()) {
            self.handle(Event::Persisted(number));
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.core.status()
    }

    /// The proposals in the state.
    pub(crate) fn data(&self) -> Vec<String> {
        let data = |entry: &Committed| match &entry.payload {
            Payload::Normal(data) => Some(String::from_utf8(data.to_vec()).unwrap()),
            _ => None,
        };
        self.applied.iter().filter_map(data).collect()
    }

    /// The kinds of the messages that wait to be delivered.
    pub(crate) fn sent_kinds(&self) -> Vec<&'static str> {
        self.sent.iter().map(Message::kind).collect()
    }

    fn settle(&mut self) {
        loop {
            let effects = self.core.take_effects();
            self.sent.extend(effects.send);
            self.disk.queue.extend(effects.persist);
            self.reads.extend(effects.reads);
            self.dropped.extend(effects.dropped);
            self.roles.extend(effects.role);
            self.failed = effects.failed.or(self.failed.take());
            assert!(self.install.is_none() || effects.install.is_none(), "one state at a time");
            self.install = effects.install.or(self.install.take());
            // A snapshot of more entries than a test can have never arrives.
            let is_possible = |mark: &SnapshotMark| mark.index < 1 << 20;
            let may_install = !self.holds_installs && self.install.as_ref().is_some_and(is_possible);
            if effects.committed.is_empty() && may_install {
                return self.install();
            }
            if effects.committed.is_empty() {
                return;
            }
            for entry in effects.committed {
                assert_eq!(
                    entry.position.index,
                    self.applied.len() as u64 + 1,
                    "entries come in order, once"
                );
                if let Payload::ConfChange { change } = &entry.payload {
                    if self.holds_decisions {
                        // Nothing is handed out behind it.
                        return;
                    }
                    let decision = decide(&self.conf_state(), change).map(|_| change.clone());
                    self.core.handle(Event::Configure { index: entry.position.index, change: decision });
                }
                self.applied.push(entry);
            }
            if !self.holds_applied {
                self.core.handle(Event::Applied(self.applied.len() as u64));
            }
        }
    }
}

/// Delivers every message and syncs every disk until nothing moves.
pub(crate) fn deliver(members: &mut [Member]) {
    loop {
        members.iter_mut().for_each(Member::flush);
        let messages: Vec<_> =
            members.iter_mut().flat_map(|member| std::mem::take(&mut member.sent)).collect();
        if messages.is_empty() {
            return;
        }
        for message in messages {
            deliver_one(members, message);
        }
    }
}

/// Delivers a message, with the snapshot that it announces.
pub(crate) fn deliver_one(members: &mut [Member], message: Message) {
    let position = |id| members.iter().position(|member| member.config.id == id);
    let (Some(from), Some(to)) = (position(message.from()), position(message.to())) else { return };
    let is_snapshot = message.is_snapshot();
    let message = if is_snapshot {
        members[to].arrived = Some(members[from].applied.clone());
        message.with_snapshot_mark(&members[from].mark())
    } else {
        message
    };
    let receiver = members[to].config.id;
    members[to].handle(Event::Message(message));
    if is_snapshot {
        members[from].handle(Event::SnapshotSent { to: receiver, ok: true });
    }
}

/// Lets time pass until one of the members leads.
pub(crate) fn elect(members: &mut [Member]) {
    while members.iter().all(|member| member.status().role != Role::Leader) {
        members.iter_mut().for_each(|member| member.tick(1));
        deliver(members);
    }
}

/// Members 1 to `n` of a new cluster, of which member 1 is the leader and everything is applied everywhere.
pub(crate) fn cluster(n: u64) -> Vec<Member> {
    let ids: Vec<_> = (1..=n).collect();
    let mut members: Vec<_> =
        ids.iter().map(|id| Member::start(config(*id), Disk::bootstrapped(&ids))).collect();
    while members[0].status().leader != MemberId(1) {
        members[0].tick(1);
        deliver(&mut members);
    }
    members[0].tick(1);
    deliver(&mut members);
    members
}
