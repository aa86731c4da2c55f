//! The decisions of a node: events in, effects out.

use std::collections::VecDeque;

use raft::eraftpb::{self, MessageType};
use raft::{RawNode, SnapshotStatus, StateRole};

mod hand_out;
mod install;
mod pending;
mod propose;
mod queueing;
mod ready;
mod status;

use self::pending::Pending;
use crate::jitter::Jitter;
use crate::memory_log::MemoryLog;
use crate::outbox::Outbox;
use crate::read_index::Requester;
use crate::timeline::Marks;
use crate::{Applied, Config, Effects, Error, Event, Message, ReadToken, Status, logger, recover, translate};

/// Bytes of unapplied entries in memory above which no entries are accepted from other members. The leader sends its
/// entries again; a forwarded proposal is lost, and ends as a time-out.
const UNAPPLIED_BYTES_MAX: u64 = 512 << 20;

/// How many of the reads that wait for a leader are kept, the newest: a caller that tries again does not wait for its
/// earlier tokens.
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
/// A member that has applied its own removal or has failed does nothing any more: it drops proposals and ignores
/// everything else.
pub struct Core {
    config: Config,
    raw: RawNode<MemoryLog>,
    outbox: Outbox,
    requester: Requester,
    /// Reads that wait for a leader, or on the leader for its first commit in its term; the raft library would drop
    /// them silently.
    pending_reads: Vec<ReadToken>,
    pending: Pending,
    jitter: Jitter,
    /// Ticks so far, to age pending requests.
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
    /// That change, until the member has decided about it. It is the last entry handed out then.
    unconfigured: Option<u64>,
    /// The last entry that the member reported as applied. The raft library may learn of it only later.
    applied: u64,
    /// The snapshot from the leader that is not installed yet. While there is one, nothing may move in `raw`: it would
    /// look for entries that are neither in the log nor applied.
    installing: Option<Installing>,
    /// Whether the first election of a sole voter is still to be started.
    election_due: bool,
    /// The status in the last report of the role.
    reported: Status,
    /// Nothing may call into `raw` any more: it panics once its own member is not in the configuration.
    has_ended: bool,
    effects: Effects,
}

/// A snapshot from the leader, until it is installed.
#[derive(Debug)]
struct Installing {
    mark: ferretcd_wal::SnapshotMark,
    step: Step,
}

#[derive(Debug, PartialEq)]
enum Step {
    /// The raft library has accepted it.
    Received,
    /// The log begins anew behind it with this batch.
    Persisting(u64),
    /// That is durable, and the member installs the snapshot.
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
    /// A core that continues from the log and the state. `seed` must differ for each start of the same member: it
    /// spreads elections and is part of the name of each read request.
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
            reported: Status::of(&raw),
            has_ended: false,
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
        if self.has_ended {
            return self.reject(event);
        }
        if self.installing.is_some() {
            return self.wait_for_snapshot(event);
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

    /// The effects of the events so far.
    pub fn take_effects(&mut self) -> Effects {
        loop {
            while self.may_move() && self.raw.has_ready() {
                self.take_ready();
            }
            self.hand_out();
            if !self.may_move() || !self.start_due_work() {
                break;
            }
        }
        if self.has_ended {
            self.expire_pending();
        }
        self.spread_elections();
        self.report_role();
        std::mem::take(&mut self.effects)
    }

    /// The applied index that the core waits for, whose report should not wait for another event: that of a
    /// configuration change, before which no further change is accepted and no election is started, or one
    /// that makes room for committed entries.
    pub fn awaited_applied(&self) -> Option<u64> {
        if self.has_ended || self.unconfigured.is_some() {
            return None;
        }
        let room = (!self.backlog.is_empty()).then(|| self.handed_out - self.config.unapplied_max / 2);
        self.unapplied_conf_change().into_iter().chain(room).min()
    }

    /// How far the log is.
    pub(crate) fn marks(&self, token: u64) -> Marks {
        let log = &self.raw.raft.raft_log;
        Marks { token, last: log.last_index(), persisted: log.persisted, committed: log.committed }
    }

    fn unapplied_conf_change(&self) -> Option<u64> {
        (self.conf_change > self.raw.raft.raft_log.applied).then_some(self.conf_change)
    }

    /// How many entries are kept in memory.
    pub fn n_kept(&self) -> usize {
        self.raw.store().n_kept()
    }

    fn reject(&mut self, event: Event) {
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
            // No member can have entries that this leader has not sent.
            MessageType::MsgAppendResponse => index <= last && reject_hint <= last,
            // No vote was requested before term and log were durable.
            MessageType::MsgRequestVoteResponse => !self.has_unsynced_tail() && self.outbox.vote_is_durable(),
            // Two snapshots at one place contradict each other.
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
        // It errs for responses of unknown members and for forwarded proposals that are dropped; neither sender
        // gets a response.
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

    /// Reports to the raft library what is applied, but nothing from an undecided configuration change on: it would
    /// accept the next change and start elections before this one is in force.
    fn advance_applied(&mut self) {
        let index = self.unconfigured.map_or(self.applied, |change| self.applied.min(change - 1));
        if index > self.raw.raft.raft_log.applied {
            self.raw.advance_apply_to(index);
            self.raw.mut_store().set_applied(index);
            // The library reads entries again until they were reported to it as applied.
            self.trim_log(index);
        }
    }

    /// Whether the member applies so much more slowly than other members send that memory would run out. Only while
    /// there is something to apply, or it would never end.
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

    /// Starts the work whose condition has come true meanwhile. Returns whether there was any.
    fn start_due_work(&mut self) -> bool {
        if self.first_election_can_start() {
            self.election_due = false;
            // It errs only while configuration changes are unapplied, which was just checked.
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

    /// A sole voter wins its election as soon as it starts one, and the library asserts that its log is durable
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

    fn fail(&mut self, error: Error) {
        self.effects.failed = Some(error);
        self.has_ended = true;
    }
}
