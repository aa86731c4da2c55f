//! The apply thread: the only writer of the state machine.
//!
//! It wakes on one closed set of causes ([`Work`]), takes everything that waits, applies it in the order of the
//! log, hands the rows to the [`Flusher`] and only then lets anybody know: reads that waited for the index,
//! and proposers for their answers. Between two batches it does one bounded step of a running compaction.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ferretcd_apply::{MemberChange, Outcome, Response, StateMachine};
use ferretcd_backend::Batch;
use ferretcd_base::LogPosition;
use ferretcd_data_dir::{InstallError, Installer};
use ferretcd_mvcc::{KvHash, Scrub};
use ferretcd_raft_node::{Committed, ConfChange, ConfChangeKind, NodeHandle, Payload};

use crate::RequestError;
use crate::flusher::Flusher;
use crate::inbox::{Inbox, Work};
use crate::lease::Lessor;
use crate::metrics::Metrics;
use crate::quota::{Quota, fits};
use crate::refetch::Fence;
use crate::replies::{Dispatcher, ReadRounds, Replies, Reply, ReplyTo};
use crate::shared::Shared;
use crate::waiters::Waiters;
use crate::watch::Watching;

/// Entries that are applied before anybody is told.
const ENTRIES_PER_TURN: usize = 1024;

pub(crate) struct ApplyLoop {
    pub(crate) machine: StateMachine,
    pub(crate) installer: Installer,
    pub(crate) fence: Fence,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) flusher: Flusher,
    pub(crate) node: NodeHandle,
    pub(crate) shared: Arc<Shared>,
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) watching: Arc<Watching>,
    pub(crate) lessor: Arc<Lessor>,
    pub(crate) read_rounds: Arc<ReadRounds>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) quota: Quota,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) slow_apply: Duration,
    pub(crate) scrubber: Scrubber,
}

/// The pace of the physical compaction, and who waits for its end.
pub(crate) struct Scrubber {
    pub(crate) batch: usize,
    pub(crate) pause: Duration,
    /// When the next step is due; `None` while there is nothing to remove or rows are still on their way.
    pub(crate) next: Option<Instant>,
    /// Whether the next step is due when rows have reached the state file.
    pub(crate) is_waiting: bool,
    /// With the revision whose compaction is waited for.
    pub(crate) waiting: Vec<(i64, ReplyTo<Reply>, Reply)>,
    /// When the running compaction was accepted, or the one before it was done.
    pub(crate) started: Instant,
}

impl Scrubber {
    /// The compactions that are waited for are those of another state.
    fn give_up(&mut self) -> Vec<(ReplyTo<Reply>, Result<Reply, RequestError>)> {
        self.waiting.drain(..).map(|(_, to, _)| (to, Err(RequestError::Timeout))).collect()
    }
}

/// The member cannot go on.
#[derive(Debug, thiserror::Error)]
enum ApplyLoopError {
    #[error(transparent)]
    Apply(#[from] ferretcd_apply::Fault),
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// What a turn leaves to be told.
#[derive(Default)]
struct Turn {
    batch: Batch,
    replies: Vec<(ReplyTo<Reply>, Result<Reply, RequestError>)>,
    n_entries: usize,
    changed_members: bool,
    /// The configuration of the group changed.
    changed_group: bool,
}

impl ApplyLoop {
    /// Runs until stopped, or until the log holds something that this member cannot follow.
    pub(crate) fn run(mut self) {
        loop {
            let done = match self.inbox.take(self.scrubber.next) {
                Some(Work { stop: true, entries, .. }) => return self.end(entries),
                Some(work) => self.turn(work),
                None => Ok(()),
            };
            if let Err(error) = done.and_then(|()| Ok(self.scrub_if_due()?)) {
                return self.fail(&error);
            }
        }
    }

    /// The last turn.
    fn end(&mut self, entries: Vec<Committed>) {
        self.fence.open();
        if let Err(error) = self.turn(Work { entries, ..Work::default() }) {
            self.fail(&error);
        }
    }

    /// Nothing is applied any more.
    fn fail(&self, error: &ApplyLoopError) {
        self.shared.fail(error);
    }

    /// Does everything that waited.
    fn turn(&mut self, work: Work) -> Result<(), ApplyLoopError> {
        if let Some(main) = work.flushed {
            self.machine.release(main);
            self.wake_scrubber();
        }
        self.fence.add(work.entries);
        for command in work.fence_commands {
            self.fence.execute(command, self.machine.applied().position.index);
        }
        if work.install.is_some() {
            // The state that comes is as good as one that is fetched.
            self.fence.open();
        }
        self.apply_entries()?;
        if let Some(done) = self.fence.arrived(self.machine.applied().position.index) {
            self.install_refetched()?;
            // Whoever has gone does not ask for more.
            let _ = done.send(());
            self.apply_entries()?;
        }
        work.install.map_or(Ok(()), |mark| self.install(mark.index))
    }

    /// Applies what may be applied. In pieces, so that rows and answers leave in time when much has piled up.
    fn apply_entries(&mut self) -> Result<(), ferretcd_apply::Fault> {
        loop {
            let started = Instant::now();
            let mut turn = Turn::default();
            while turn.n_entries < ENTRIES_PER_TURN
                && let Some(entry) = self.fence.next()
            {
                self.apply(entry, &mut turn)?;
            }
            if turn.n_entries == 0 {
                return Ok(());
            }
            self.report_slow(started.elapsed(), turn.n_entries);
            self.finish(turn);
        }
    }

    /// Goes on with a state that this member has asked for, as of the entry that was applied last.
    fn install_refetched(&mut self) -> Result<(), InstallError> {
        let index = self.machine.applied().position.index;
        tracing::info!(
            "current-applied-index" = index,
            "putting a fetched state in the place of the member's own"
        );
        if !self.empty_flusher() {
            return Ok(());
        }
        self.installer.install_refetched(index, &mut self.machine)?;
        self.shared.publish(&self.machine);
        let compactions = self.scrubber.give_up();
        self.dispatcher.send(Replies::Proposals(compactions));
        self.scrubber.next = Some(Instant::now());
        self.watching.revision_moved();
        tracing::info!("current-applied-index" = index, "put a fetched state in place");
        Ok(())
    }

    /// Goes on with a state that was received, as of entry `index`.
    fn install(&mut self, index: u64) -> Result<(), ApplyLoopError> {
        let applied = self.machine.applied().position.index;
        tracing::info!(
            "current-applied-index" = applied,
            "incoming-leader-snapshot-index" = index,
            "applying snapshot"
        );
        // If that cannot be, the member is ending.
        if !self.empty_flusher() {
            return Ok(());
        }
        self.metrics.installing.set(1);
        self.installer.install(index, &mut self.machine)?;
        self.metrics.installing.set(0);
        self.shared.publish(&self.machine);
        // What became of proposals in the entries that were skipped, nobody can tell here.
        let mut replies = self.scrubber.give_up();
        replies.extend(self.waiters.take_all().into_iter().map(|to| (to, Err(RequestError::Timeout))));
        self.dispatcher.send(Replies::Proposals(replies));
        let reads = self.read_rounds.applied(index);
        self.dispatcher.send(Replies::Reads(reads));
        self.node.installed(index);
        // The new state may bring an unfinished compaction.
        self.scrubber.next = Some(Instant::now());
        self.watching.revision_moved();
        tracing::info!("current-applied-index" = index, "applied snapshot");
        Ok(())
    }

    /// Nothing may be on its way to the old state file when a new one comes, and no word of it either: the old one may
    /// have had revisions that the new one is still to get. Returns whether everything was written.
    fn empty_flusher(&self) -> bool {
        let is_written = self.flusher.flush().blocking_recv().is_ok();
        self.inbox.forget_flushed();
        is_written
    }

    fn apply(&mut self, entry: Committed, turn: &mut Turn) -> Result<(), ferretcd_apply::Fault> {
        let Committed { position, payload } = entry;
        turn.n_entries += 1;
        // What there is before the command is what it is measured by.
        let mut room = None;
        let outcome = match payload {
            Payload::Empty => {
                self.machine.apply_empty(position);
                return Ok(());
            }
            Payload::Normal(command) => {
                room = self.quota.room();
                self.machine.apply(position, command, &mut turn.batch)?
            }
            Payload::ConfChange { change } => self.change_members(position, change, turn)?,
        };
        self.settle(outcome, room, turn);
        Ok(())
    }

    /// Decides about a change of the members. The consensus core learns it before the entry counts as applied.
    fn change_members(
        &mut self,
        position: LogPosition,
        change: ConfChange,
        turn: &mut Turn,
    ) -> Result<Outcome, ferretcd_apply::Fault> {
        let asked_for = member_change(&change);
        let outcome = self.machine.apply_members(position, change.id, asked_for, &mut turn.batch)?;
        turn.changed_group |= outcome.result.is_ok();
        self.node.configure(position.index, outcome.result.is_ok().then_some(change));
        Ok(outcome)
    }

    /// Notes what an outcome means for others and queues the answer for who waits for it.
    fn settle(&mut self, outcome: Outcome, room: Option<u64>, turn: &mut Turn) {
        let Outcome { id, revision, cost, result } = outcome;
        self.metrics.count(&result);
        turn.changed_members |= matches!(result, Ok(Response::Done | Response::Alarm(_)));
        match &result {
            Ok(Response::Compaction { .. }) => {
                self.scrubber.started = Instant::now();
                self.scrubber.next = Some(self.scrubber.started);
            }
            Ok(Response::LeaseGrant { id, ttl }) => self.lessor.granted(*id, *ttl),
            Ok(Response::LeasesRevoked(ids)) => self.lessor.revoked(ids),
            Ok(Response::LeasesCheckpointed(checkpoints)) => self.lessor.checkpointed(checkpoints),
            _ => {}
        }
        let result = result.map(|response| Reply { revision, response }).map_err(RequestError::from);
        let to = self.waiters.take(id);
        // The write stays; only its answer says that there was no room, and the alarm keeps more away.
        if result.is_ok() && !fits(cost, room) {
            return self.shared.quota_exceeded.add(to);
        }
        let Some(to) = to else { return };
        match result {
            Ok(reply @ Reply { response: Response::Compaction { physical: true, revision }, .. }) => {
                self.scrubber.waiting.push((revision, to, reply));
            }
            result => turn.replies.push((to, result)),
        }
    }

    fn finish(&mut self, mut turn: Turn) {
        let applied = self.machine.applied();
        self.flusher.add(&mut turn.batch, self.machine.revision(), applied);
        if turn.changed_members {
            self.shared.publish(&self.machine);
        }
        if turn.changed_group {
            // Until the newcomer was asked.
            self.shared.are_all_ferretcd.store(false, Ordering::Release);
            // Of two voters one may have left: should this one forget, nobody could tell it that it votes alone.
            drop(self.flusher.flush());
        }
        let index = applied.position.index;
        self.node.applied(index);
        let reads = self.read_rounds.applied(index);
        if !reads.is_empty() {
            self.dispatcher.send(Replies::Reads(reads));
        }
        if !turn.replies.is_empty() {
            self.dispatcher.send(Replies::Proposals(turn.replies));
        }
        self.watching.revision_moved();
    }

    fn report_slow(&self, took: Duration, n_entries: usize) {
        if took >= self.slow_apply {
            self.metrics.slow_applies.inc();
            let (took, expected) = (format!("{took:?}"), format!("{:?}", self.slow_apply));
            tracing::warn!(
                took,
                "expected-duration" = expected,
                entries = n_entries,
                "apply request took too long"
            );
        }
    }

    /// Rows that a waiting compaction looks for may have arrived.
    fn wake_scrubber(&mut self) {
        if std::mem::take(&mut self.scrubber.is_waiting) {
            self.scrubber.next = Some(Instant::now());
        }
    }

    /// A step between two turns, however busy the member is: what is not removed takes room for ever.
    fn scrub_if_due(&mut self) -> Result<(), ferretcd_apply::Fault> {
        let now = Instant::now();
        match self.scrubber.next {
            Some(at) if at <= now => self.scrub_step(now),
            _ => Ok(()),
        }
    }

    fn scrub_step(&mut self, now: Instant) -> Result<(), ferretcd_apply::Fault> {
        let mut batch = Batch::default();
        let scrub = self.machine.scrub(self.scrubber.batch, &mut batch)?;
        self.metrics.scrub_pause.observe(now.elapsed().as_secs_f64() * 1e3);
        if !batch.is_empty() {
            self.flusher.add(&mut batch, self.machine.revision(), self.machine.applied());
        }
        self.scrubber.next = match scrub {
            Scrub::Progress { removed } => {
                self.metrics.scrubbed_rows.inc_by(removed as u64);
                Some(now + self.scrubber.pause)
            }
            Scrub::Waiting => {
                // Nobody needs to hear of it: the flush itself wakes the compaction.
                drop(self.flusher.flush());
                self.scrubber.is_waiting = true;
                None
            }
            Scrub::Idle => None,
            Scrub::Finished { revision, removed, hash } => {
                self.metrics.scrubbed_rows.inc_by(removed as u64);
                self.finish_scrub(now, revision, hash);
                // Another one may have been accepted meanwhile.
                Some(now)
            }
        };
        Ok(())
    }

    fn finish_scrub(&mut self, now: Instant, revision: i64, hash: Option<KvHash>) {
        let took = now.saturating_duration_since(self.scrubber.started);
        self.metrics.compaction.observe(took.as_secs_f64() * 1e3);
        let took = format!("{took:?}");
        self.scrubber.started = now;
        let hash = hash.map(|hash| hash.hash);
        tracing::info!("compact-revision" = revision, took, hash, "finished scheduled compaction");
        let done = self.scrubber.waiting.extract_if(.., |(waited_for, ..)| *waited_for <= revision);
        let replies: Vec<_> = done.map(|(_, to, reply)| (to, Ok(reply))).collect();
        if !replies.is_empty() {
            self.flusher.then(Replies::Proposals(replies));
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
