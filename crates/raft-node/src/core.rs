//! The decisions of a node: events in, effects out.

use std::collections::VecDeque;

use ferretcd_base::MemberId;
use raft::eraftpb::{self, MessageType};
use raft::{ProgressState, RawNode, SnapshotStatus, StateRole};

mod hand_out;
mod pending;
mod propose;

use self::pending::Pending;
use crate::jitter::Jitter;
use crate::memory_log::MemoryLog;
use crate::outbox::Outbox;
use crate::read_index::{ReadIndexRole, ReadSource, Requester};
use crate::split::split;
use crate::{
    Applied, Config, Effects, Error, Event, Message, Persist, Progress, ReadToken, Role, Status, logger,
    recover, translate,
};

/// Bytes of entries in memory that are not applied, above which none are taken from other members. The leader sends its
/// entries again; a proposal that was forwarded is lost, and ends as a time-out.
const UNAPPLIED_BYTES_MAX: u64 = 512 << 20;

/// So many of the reads that wait for somebody to ask are kept, the newest: who asks again does not wait for what was
/// asked before.
const PENDING_READS_MAX: usize = 64;

/// By how much election time-outs differ from each other, in percent of the shortest. The library and etcd draw from
/// twice as long an interval as the shortest, and lose more time by waiting than two candidates at once lose them: with
/// pre-votes those cost a round of messages.
const ELECTION_SPREAD_PERCENT: usize = 40;

/// The raft core of one member with its in-memory log, without threads, clocks, disks or sockets.
///
/// Give it events with [`Self::handle`], any number of them, then perform what [`Self::take_effects`] returns
/// before giving it more. Equal events and an equal seed make equal effects.
///
/// A member that has applied its own removal or has failed does nothing any more: proposals are dropped,
/// everything else is ignored.
pub struct Core {
    config: Config,
    raw: RawNode<MemoryLog>,
    outbox: Outbox,
    requester: Requester,
    /// Reads while nobody leads, or of a leader that has not committed in its term; the raft library would forget
    /// them.
    pending_reads: Vec<ReadToken>,
    pending: Pending,
    jitter: Jitter,
    /// Ticks so far, to age what is held.
    n_ticks: u64,
    /// Term, role and leader when the election time-out was last drawn.
    spread: (u64, StateRole, u64),
    /// The last hard state given to the disk.
    hard_state: ferretcd_wal::HardState,
    /// Committed and durable entries behind `handed_out`. They share their payloads with the log in memory.
    backlog: VecDeque<eraftpb::Entry>,
    /// The last committed entry given to the member.
    handed_out: u64,
    /// The last configuration change among those.
    conf_change: u64,
    /// That change, while the member has not said what becomes of it. It is the last entry handed out then.
    unconfigured: Option<u64>,
    /// The last entry that the member reported as applied. The raft core may be told only later.
    applied: u64,
    /// The state from the leader that is not in place yet. While there is one, nothing may move in `raw`: it would
    /// look for entries that are neither in the log nor applied.
    installing: Option<Installing>,
    /// Whether the first election of a sole voter is still to be started.
    election_due: bool,
    /// What the last report of the role said.
    reported: Status,
    /// Nothing may call into `raw` any more: it panics once its own member is not in the configuration.
    over: bool,
    effects: Effects,
}

/// A state from the leader on its way into its place.
#[derive(Debug)]
struct Installing {
    mark: ferretcd_wal::SnapshotMark,
    step: Step,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// The raft core has taken it in.
    Received,
    /// The log is told to begin anew with this batch.
    Persisting(u64),
    /// That is durable, and the member was asked to install the state.
    Installing,
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("status", &self.status())
            .field("outbox", &self.outbox)
            .finish_non_exhaustive()
    }
}

impl Core {
    /// A core that continues from what the log and the state hold. `seed` must be another one for each start of
    /// the same member: it spreads elections and names the questions about reads.
    ///
    /// Errs if the settings are out of range, or if log and state do not fit together.
    pub fn new(
        config: Config,
        recovered: ferretcd_wal::Recovered,
        applied: &Applied,
        seed: u64,
    ) -> Result<Self, Error> {
        config.validate()?;
        let log = recover::memory_log(recovered, applied)?;
        let raw = RawNode::new(&config.to_raft(applied.index), log, &logger::to_tracing())
            .map_err(|_| Error::ConfState { conf_state: applied.conf_state.clone() })?;
        let mut core = Self {
            outbox: Outbox::default(),
            requester: Requester { member: config.id, boot: seed },
            pending_reads: Vec::new(),
            pending: Pending::default(),
            jitter: Jitter::new(seed),
            n_ticks: 0,
            spread: (raw.raft.term, raw.raft.state, u64::MAX),
            hard_state: translate::hard_state_to_wal(&raw.raft.hard_state()),
            backlog: VecDeque::new(),
            handed_out: applied.index,
            conf_change: 0,
            unconfigured: None,
            applied: applied.index,
            installing: None,
            election_due: config.advance_ticks,
            reported: status(&raw),
            over: false,
            effects: Effects::default(),
            config,
            raw,
        };
        core.raw.mut_store().set_applied(applied.index);
        core.trim_log(applied.index);
        core.spread_elections();
        Ok(core)
    }

    /// Takes in one event.
    pub fn handle(&mut self, event: Event) {
        if self.over {
            return self.refuse(event);
        }
        if self.installing.is_some() {
            return self.wait_for_state(event);
        }
        match event {
            Event::Tick => self.tick(),
            Event::Message(message) => self.receive(message),
            Event::Propose(proposals) => self.propose(proposals),
            Event::ConfChange { token, change } => self.propose_conf_change(token, &change),
            Event::ReadIndex(tokens) => self.read_index(tokens),
            Event::Persisted(number) => {
                self.outbox.synced(number);
                self.settle();
            }
            Event::Installed(_) => {}
            Event::Unreachable(id) => self.raw.report_unreachable(id.0),
            Event::SnapshotSent { to, ok } => {
                let status = if ok { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
                self.raw.report_snapshot(to.0, status);
            }
            Event::Configure { index, change } => self.configure(index, change.as_ref()),
            Event::Applied(index) => self.report_applied(index),
            Event::TransferLeader(to) => self.raw.transfer_leader(to.0),
        }
        self.spread_elections();
    }

    /// What has to be done because of the events so far.
    pub fn take_effects(&mut self) -> Effects {
        loop {
            while self.may_move() && self.raw.has_ready() {
                self.take_ready();
            }
            self.hand_out();
            if !self.may_move() || !self.go_on() {
                break;
            }
        }
        if self.over {
            self.expire_pending();
        }
        self.spread_elections();
        self.report_role();
        std::mem::take(&mut self.effects)
    }

    /// What this node knows about the cluster and itself.
    pub fn status(&self) -> Status {
        let status = status(&self.raw);
        match self.over {
            true => Status { leader: MemberId::default(), role: Role::Follower, ..status },
            false => status,
        }
    }

    /// What this node can say about reads without deciding anything.
    pub fn read_index_role(&self) -> ReadIndexRole {
        ReadIndexRole { requester: self.requester, source: self.read_source() }
    }

    fn read_source(&self) -> ReadSource {
        let raft = &self.raw.raft;
        if self.over || !self.can_serve_reads() {
            return ReadSource::Unknown;
        }
        let (leader, term) = (MemberId(raft.leader_id), raft.term);
        if raft.state != StateRole::Leader {
            return ReadSource::Leader { id: leader, term };
        }
        if self.is_sole_voter() {
            return ReadSource::Own;
        }
        let is_pair =
            |id: &u64| *id != raft.id && raft.prs().has_quorum(&[raft.id, *id].into_iter().collect());
        let voters = raft.prs().conf().voters().ids();
        ReadSource::Pair { term, with: voters.iter().filter(is_pair).map(MemberId).collect() }
    }

    /// The applied index that the core waits for, so that its report should not wait for another event: that of
    /// a configuration change, before which no further change is accepted and no election is started, or one
    /// that makes room for committed entries.
    pub fn awaited_applied(&self) -> Option<u64> {
        if self.over || self.unconfigured.is_some() {
            return None;
        }
        let room = (!self.backlog.is_empty()).then(|| self.handed_out - self.config.unapplied_max / 2);
        self.unapplied_conf_change().into_iter().chain(room).min()
    }

    fn unapplied_conf_change(&self) -> Option<u64> {
        (self.conf_change > self.raw.raft.raft_log.applied).then_some(self.conf_change)
    }

    /// How many entries are kept in memory.
    pub fn n_kept(&self) -> usize {
        self.raw.store().n_kept()
    }

    /// How far the members are; nothing unless this node leads.
    pub fn progress(&self) -> Vec<Progress> {
        let raft = &self.raw.raft;
        if self.over || raft.state != StateRole::Leader {
            return Vec::new();
        }
        let members = raft.prs().iter().map(|(id, progress)| {
            let is_self = *id == raft.id;
            Progress {
                id: MemberId(*id),
                matched: if is_self { raft.raft_log.last_index() } else { progress.matched },
                is_recently_active: is_self || progress.recent_active,
                needs_snapshot: progress.state == ProgressState::Snapshot,
                is_learner: raft.prs().conf().learners().contains(id),
            }
        });
        members.collect()
    }

    /// Whether the raft core may be asked for more work.
    fn may_move(&self) -> bool {
        !self.over && self.installing.as_ref().is_none_or(|installing| installing.step == Step::Received)
    }

    /// All that happens while a state is on its way into its place.
    fn wait_for_state(&mut self, event: Event) {
        let Some(Installing { mark, step }) = &mut self.installing else { return };
        match event {
            Event::Persisted(number) => {
                self.outbox.synced(number);
                if matches!(step, Step::Persisting(awaited) if number >= *awaited) {
                    *step = Step::Installing;
                    self.effects.install = Some(mark.clone());
                }
            }
            Event::Installed(index) if *step == Step::Installing && index == mark.index => {
                self.installing = None;
                self.applied = index;
                self.settle();
                self.advance_applied();
            }
            other => self.refuse(other),
        }
    }

    fn refuse(&mut self, event: Event) {
        match event {
            Event::Propose(proposals) => self.drop_proposals(&proposals),
            Event::ConfChange { token, .. } => self.effects.dropped.push(token),
            _ => {}
        }
    }

    fn tick(&mut self) {
        self.n_ticks += 1;
        self.expire_pending();
        if !self.is_sole_voter_with_unsynced_tail() {
            self.raw.tick();
        }
    }

    fn receive(&mut self, message: Message) {
        let raft = &self.raw.raft;
        let last = raft.raft_log.last_index();
        let Message(eraftpb::Message { to, term, index, reject_hint, commit, .. }) = message;
        let is_taken = match message.0.get_msg_type() {
            MessageType::MsgAppend | MessageType::MsgPropose if self.is_choked() => {
                message.0.entries.is_empty()
            }
            MessageType::MsgTimeoutNow => !self.is_sole_voter_with_unsynced_tail(),
            // The library cannot pass this on once more.
            MessageType::MsgTransferLeader => raft.state == StateRole::Leader,
            // Nobody can have what this leader has not sent.
            MessageType::MsgAppendResponse => index <= last && reject_hint <= last,
            // Nobody was asked before what had to be durable was.
            MessageType::MsgRequestVoteResponse => !self.has_unsynced_tail() && self.outbox.vote_is_durable(),
            // Two states at one place contradict each other.
            MessageType::MsgSnapshot => {
                let mark = translate::mark_of(message.0.get_snapshot());
                mark.index != raft.raft_log.committed || raft.raft_log.match_term(mark.index, mark.term)
            }
            MessageType::MsgHeartbeat if term >= raft.term && commit > last => {
                return self.fail(Error::LostEntries { commit, last });
            }
            _ => true,
        };
        if to != self.config.id.0 || !is_taken {
            return;
        }
        let must_wait = match message.0.get_msg_type() {
            MessageType::MsgPropose => !self.can_order_proposals(),
            MessageType::MsgReadIndex => !self.can_serve_reads(),
            _ => false,
        };
        if must_wait {
            return self.queue_forwarded(message.0);
        }
        // It errs for answers of unknown members and for forwarded proposals that are dropped; neither sender
        // is told.
        let _ = self.raw.step(message.0);
        if let Some(snapshot) = self.raw.snap() {
            let mark = translate::mark_of(snapshot);
            self.installing = Some(Installing { mark, step: Step::Received });
        }
    }

    fn read_index(&mut self, tokens: Vec<ReadToken>) {
        if !self.can_serve_reads() {
            self.pending_reads.extend(tokens);
            let n_old = self.pending_reads.len().saturating_sub(PENDING_READS_MAX);
            self.pending_reads.drain(..n_old);
            return;
        }
        for token in tokens {
            self.raw.read_index(self.requester.context(token, self.raw.raft.term).to_vec());
        }
    }

    fn report_applied(&mut self, index: u64) {
        self.applied = self.applied.max(index.min(self.handed_out));
        self.advance_applied();
    }

    /// Tells the raft core what is applied, but nothing from an undecided configuration change on: it would take
    /// the next change and start elections before this one is in force.
    fn advance_applied(&mut self) {
        let index = self.unconfigured.map_or(self.applied, |change| self.applied.min(change - 1));
        if index > self.raw.raft.raft_log.applied {
            self.raw.advance_apply_to(index);
            self.raw.mut_store().set_applied(index);
            // Entries may be dropped only up to what the core was told to be applied: it reads them again.
            self.trim_log(index);
        }
    }

    /// Whether the member applies so much more slowly than others send that memory would run out. Only while there is
    /// something to apply, or it would never end.
    fn is_choked(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        // Above the first summand nothing applied is kept.
        log.applied < log.committed
            && self.raw.store().bytes() > self.config.catchup_bytes + UNAPPLIED_BYTES_MAX
    }

    fn trim_log(&mut self, applied: u64) {
        let Config { catchup_entries, catchup_bytes, .. } = self.config;
        self.raw.mut_store().trim(applied, catchup_entries, catchup_bytes);
    }

    /// Turns the core's next batch of work into effects.
    fn take_ready(&mut self) {
        let mut ready = self.raw.ready();
        let number = ready.number();
        let must_sync = ready.must_sync();
        let hard_state = ready.hs().map(translate::hard_state_to_wal);
        let vote_changed = hard_state
            .is_some_and(|new| (new.term, new.vote) != (self.hard_state.term, self.hard_state.vote));
        self.outbox.issue(number, must_sync, vote_changed);
        self.post(ready.take_messages(), ready.take_persisted_messages());

        let entries = ready.take_entries();
        if let Some(Installing { mark, step }) = &mut self.installing {
            assert!(entries.is_empty(), "nothing is taken in behind a state that is not in place");
            *step = Step::Persisting(number);
            let mark = mark.clone();
            self.begin_anew(number, mark, hard_state);
        } else if let Err(error) = self.persist(number, &entries, hard_state, must_sync) {
            return self.fail(error);
        } else {
            self.raw.mut_store().append(entries);
        }

        let committed = ready.take_committed_entries();
        let read_states = ready.take_read_states();
        self.raw.advance_append_async(ready);
        self.settle();
        for read in read_states {
            let token = self.requester.token(&read.request_ctx);
            self.effects.reads.extend(token.map(|token| (token, read.index)));
        }
        self.backlog.extend(committed);
    }

    /// Sends or holds a batch's messages: `leading` those of a leader, `following` those of anybody else.
    fn post(&mut self, leading: Vec<eraftpb::Message>, following: Vec<eraftpb::Message>) {
        let bytes_max = self.config.max_size_per_msg;
        let leading = leading.into_iter().flat_map(|message| split(message, bytes_max)).map(Message);
        if self.outbox.vote_is_durable() {
            self.effects.send.extend(leading);
        } else {
            self.outbox.hold(leading.collect());
        }
        let (now, later) = following.into_iter().map(Message).partition(Message::promises_nothing);
        self.effects.send.extend::<Vec<_>>(now);
        self.outbox.hold(later);
    }

    fn persist(
        &mut self,
        number: u64,
        entries: &[eraftpb::Entry],
        hard_state: Option<ferretcd_wal::HardState>,
        must_sync: bool,
    ) -> Result<(), Error> {
        if entries.is_empty() && hard_state.is_none() {
            return Ok(());
        }
        let entries = entries.iter().map(translate::entry_to_wal).collect::<Result<_, _>>()?;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        self.effects.persist.push(Persist { number, mark: None, entries, hard_state, must_sync });
        Ok(())
    }

    /// The log goes on behind a state from the leader. What was committed before and not handed out is in the state.
    fn begin_anew(
        &mut self,
        number: u64,
        mark: ferretcd_wal::SnapshotMark,
        hard_state: Option<ferretcd_wal::HardState>,
    ) {
        self.backlog.clear();
        self.unconfigured = None;
        self.conf_change = 0;
        self.handed_out = mark.index;
        self.hard_state = hard_state.unwrap_or(self.hard_state);
        self.raw.mut_store().restart_at(mark.clone());
        let (mark, entries) = (Some(mark), Vec::new());
        self.effects.persist.push(Persist { number, mark, entries, hard_state, must_sync: true });
    }

    /// Tells the core what is durable and lets go of the messages that waited for it.
    fn settle(&mut self) {
        if self.installing.is_some() {
            return;
        }
        if let Some(number) = self.outbox.settle(&mut self.effects.send) {
            self.raw.on_persist_ready(number);
        }
    }

    /// Starts what had to wait for a state that has come about meanwhile. Returns whether it did something.
    fn go_on(&mut self) -> bool {
        if self.first_election_can_start() {
            self.election_due = false;
            // It refuses only while configuration changes are unapplied, which was just asked.
            return self.raw.campaign().is_ok();
        }
        if self.release_pending() {
            return true;
        }
        if !self.pending_reads.is_empty() && self.can_serve_reads() {
            let tokens = std::mem::take(&mut self.pending_reads);
            self.read_index(tokens);
            return true;
        }
        false
    }

    fn first_election_can_start(&self) -> bool {
        let raft = &self.raw.raft;
        self.election_due
            && raft.leader_id == raft::INVALID_ID
            && self.is_sole_voter()
            && !self.is_sole_voter_with_unsynced_tail()
            && self.handed_out >= raft.raft_log.committed
            && self.unapplied_conf_change().is_none()
    }

    fn is_sole_voter(&self) -> bool {
        self.raw.raft.prs().is_singleton() && self.raw.raft.promotable()
    }

    /// A sole voter wins its election the moment it starts one, and the library asserts that its log is durable
    /// then.
    fn is_sole_voter_with_unsynced_tail(&self) -> bool {
        self.has_unsynced_tail() && self.raw.raft.state != StateRole::Leader && self.is_sole_voter()
    }

    fn has_unsynced_tail(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        log.persisted < log.last_index()
    }

    /// Replaces the election time-out that the library has drawn from the thread's random generator.
    fn spread_elections(&mut self) {
        let raft = &mut self.raw.raft;
        let now = (raft.term, raft.state, raft.leader_id);
        if now != self.spread {
            self.spread = now;
            let ticks = self.config.election_ticks;
            let spread = (ticks * ELECTION_SPREAD_PERCENT).div_ceil(100).max(2);
            raft.set_randomized_election_timeout(ticks + self.jitter.below(spread));
        }
    }

    fn report_role(&mut self) {
        let status = self.status();
        let essence =
            |status: &Status| (status.leader, status.term, status.role, status.is_voter, status.is_learner);
        if essence(&status) != essence(&self.reported) {
            self.reported = status.clone();
            self.effects.role = Some(status);
        }
    }

    fn fail(&mut self, error: Error) {
        self.effects.failed = Some(error);
        self.over = true;
    }
}

fn status(raw: &RawNode<MemoryLog>) -> Status {
    let raft = &raw.raft;
    let conf = raft.prs().conf();
    Status {
        id: MemberId(raft.id),
        leader: MemberId(raft.leader_id),
        term: raft.term,
        role: raft.state.into(),
        committed: raft.raft_log.committed,
        applied: raft.raft_log.applied,
        is_voter: conf.voters().contains(raft.id),
        is_learner: conf.learners().contains(&raft.id),
    }
}
