//! The loop of the apply thread.
//!
//! It wakes on one closed set of causes ([`Work`]), takes everything that waits, applies it in the order of the
//! log, hands the rows to the [`Flusher`] and only then lets requests go on: reads that waited for the index,
//! and proposals with their outcomes. Between two batches it does one bounded step of a running compaction.

use std::sync::Arc;
use std::time::Instant;

use ferretcd_apply::{Fault, MemberChange, Outcome, Response, StateMachine};
use ferretcd_backend::Batch;
use ferretcd_base::LogPosition;
use ferretcd_data_dir::{InstallError, Installer};
use ferretcd_raft_node::{Committed, ConfChange, ConfChangeKind, NodeHandle, Payload};

use super::fence::Fence;
use super::inbox::Work;
use super::scrubber::Scrubber;
use crate::auth::applied;
use crate::channels::Channels;
use crate::maintenance::quota::{Quota, fits};
use crate::replies::{Replies, Reply, ReplyTo};
use crate::slow::AppliedEntry;
use crate::{Config, RequestError};

/// Entries that are applied before their outcomes leave.
const ENTRIES_PER_TURN: usize = 1024;

/// Owns the state machine.
pub(crate) struct ApplyLoop {
    machine: StateMachine,
    installer: Installer,
    node: NodeHandle,
    channels: Channels,
    quota: Quota,
    fence: Fence,
    scrubber: Scrubber,
}

/// The member cannot go on.
#[derive(Debug, thiserror::Error)]
enum ApplyLoopError {
    #[error(transparent)]
    Apply(#[from] Fault),
    #[error(transparent)]
    Install(#[from] InstallError),
}

/// What a turn leaves to be done at its end.
#[derive(Default)]
struct Turn {
    batch: Batch,
    replies: Vec<(ReplyTo<Reply>, Result<Reply, RequestError>)>,
    n_entries: usize,
    entry_bytes: u64,
    changed_members: bool,
    /// The configuration of the group changed.
    changed_group: bool,
}

impl ApplyLoop {
    pub(crate) fn new(
        config: &Config,
        machine: StateMachine,
        installer: Installer,
        node: NodeHandle,
        quota: Quota,
        channels: Channels,
    ) -> Self {
        let (flusher, metrics) = (channels.flusher.clone(), channels.metrics.clone());
        let scrubber = Scrubber::new(config.compaction_batch, config.compaction_sleep, flusher, metrics);
        Self { machine, installer, node, channels, quota, fence: Fence::default(), scrubber }
    }

    /// Runs until stopped, or until the log holds something that this member cannot follow.
    pub(crate) fn run(mut self) {
        loop {
            let done = match self.channels.inbox.take(self.scrubber.next()) {
                Some(Work { stop: true, entries, .. }) => return self.end(entries),
                Some(work) => self.turn(work),
                None => Ok(()),
            };
            let done = done.and_then(|()| Ok(self.scrubber.step_if_due(&mut self.machine)?));
            if let Err(error) = done {
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
        self.channels.shared.fail(error);
    }

    /// Does everything that waited.
    fn turn(&mut self, work: Work) -> Result<(), ApplyLoopError> {
        if let Some(main) = work.flushed {
            self.machine.release(main);
            self.scrubber.rows_flushed();
        }
        self.fence.add(work.entries);
        for command in work.fence_commands {
            self.fence.execute(command, self.machine.applied().position.index);
        }
        if work.install.is_some() {
            // The snapshot that comes is as good as a fetched one.
            self.fence.open();
        }
        self.apply_entries()?;
        if let Some(done) = self.fence.arrived(self.machine.applied().position.index) {
            self.install_refetched()?;
            // The receiver may have been dropped; then nothing more is fetched.
            let _ = done.send(());
            self.apply_entries()?;
        }
        work.install.map_or(Ok(()), |mark| self.install(mark.index))
    }

    /// Applies what may be applied. In pieces, so that rows and outcomes leave in time when much has piled up.
    fn apply_entries(&mut self) -> Result<(), Fault> {
        loop {
            let mut turn = Turn::default();
            while turn.n_entries < ENTRIES_PER_TURN
                && let Some(entry) = self.fence.next()
            {
                self.apply(entry, &mut turn)?;
            }
            if turn.n_entries == 0 {
                return Ok(());
            }
            self.finish(turn);
        }
    }

    /// Goes on with a snapshot that this member has fetched, at the entry that was applied last.
    fn install_refetched(&mut self) -> Result<(), InstallError> {
        let index = self.machine.applied().position.index;
        tracing::info!(
            "current-applied-index" = index,
            "putting a fetched state in the place of the member's own"
        );
        if !self.empty_flusher() {
            return Ok(());
        }
        self.replace_state(|installer, machine| installer.install_refetched(index, machine))?;
        let compactions = self.scrubber.state_replaced();
        self.channels.dispatcher.send(Replies::Proposals(compactions));
        self.channels.watching.revision_moved();
        tracing::info!("current-applied-index" = index, "put a fetched state in place");
        Ok(())
    }

    /// Goes on with a received snapshot at entry `index`.
    fn install(&mut self, index: u64) -> Result<(), ApplyLoopError> {
        let applied = self.machine.applied().position.index;
        tracing::info!(
            "current-applied-index" = applied,
            "incoming-leader-snapshot-index" = index,
            "applying snapshot"
        );
        // If nothing can be written, the member is stopping.
        if !self.empty_flusher() {
            return Ok(());
        }
        self.channels.metrics.installing.set(1);
        self.replace_state(|installer, machine| installer.install(index, machine))?;
        self.channels.metrics.installing.set(0);
        // The outcomes of proposals in the entries that were skipped are not known here.
        let mut replies = self.scrubber.state_replaced();
        replies
            .extend(self.channels.waiters.take_all().into_iter().map(|to| (to, Err(RequestError::Timeout))));
        self.channels.dispatcher.send(Replies::Proposals(replies));
        let reads = self.channels.read_rounds.applied(index);
        self.channels.dispatcher.send(Replies::Reads(reads));
        self.node.installed(index);
        self.channels.watching.revision_moved();
        tracing::info!("current-applied-index" = index, "applied snapshot");
        Ok(())
    }

    /// Puts another state in place, and tells the parts that rely on it.
    fn replace_state(
        &mut self,
        install: impl FnOnce(&mut Installer, &mut StateMachine) -> Result<(), InstallError>,
    ) -> Result<(), InstallError> {
        let Channels { tokens, rights, .. } = &self.channels;
        let before = Arc::clone(&rights.load());
        install(&mut self.installer, &mut self.machine)?;
        self.channels.shared.publish(&self.machine);
        applied::follow_replacement(tokens, &before, &rights.load());
        self.channels.notify_rights_changed();
        Ok(())
    }

    /// Nothing may be on its way to the old state file when a new one comes, and no report about it either: the old one
    /// may have had revisions that the new one is still to get. Returns whether everything was written.
    fn empty_flusher(&self) -> bool {
        let is_written = self.channels.flusher.flush().blocking_recv().is_ok();
        self.channels.inbox.forget_flushed();
        is_written
    }

    fn apply(&mut self, entry: Committed, turn: &mut Turn) -> Result<(), Fault> {
        let Committed { position, payload } = entry;
        turn.n_entries += 1;
        // The room before the command decides whether it fits.
        let mut room = None;
        let mut applied = None;
        let outcome = match payload {
            Payload::Empty => {
                self.machine.apply_empty(position);
                return Ok(());
            }
            Payload::Normal(command) => {
                turn.entry_bytes += command.len() as u64;
                room = self.quota.room();
                let (entry, index, started) = (command.clone(), position.index, Instant::now());
                let outcome = self.machine.apply(position, command, &mut turn.batch)?;
                let entry = AppliedEntry { entry, index, started, ended: Instant::now() };
                self.observe(&entry, &outcome);
                applied = Some(entry);
                outcome
            }
            Payload::ConfChange { change } => self.change_members(position, change, turn)?,
        };
        self.settle(outcome, applied, room, turn);
        Ok(())
    }

    /// Measures the execution of an entry.
    fn observe(&self, entry: &AppliedEntry, outcome: &Outcome) {
        let metrics = &self.channels.metrics;
        if let Some(kind) = outcome.kind {
            metrics.applied(kind, &outcome.result, entry.ended.saturating_duration_since(entry.started));
        }
        if entry.warn_if_slow(self.channels.slow_apply.get(), &outcome.result) {
            metrics.slow_applies.inc();
        }
    }

    /// Decides about a change of the members. The consensus core learns it before the entry counts as applied.
    fn change_members(
        &mut self,
        position: LogPosition,
        change: ConfChange,
        turn: &mut Turn,
    ) -> Result<Outcome, Fault> {
        let requested = member_change(&change);
        let outcome = self.machine.apply_members(position, change.id, requested, &mut turn.batch)?;
        turn.changed_group |= outcome.result.is_ok();
        self.node.configure(position.index, outcome.result.is_ok().then_some(change));
        Ok(outcome)
    }

    /// Passes an outcome on to the parts of the member that it concerns, and queues it for its proposer.
    fn settle(
        &mut self,
        outcome: Outcome,
        applied: Option<AppliedEntry>,
        room: Option<u64>,
        turn: &mut Turn,
    ) {
        let Outcome { id, revision, cost, result, .. } = outcome;
        self.channels.metrics.count(&result);
        turn.changed_members |= matches!(result, Ok(Response::Done | Response::Alarm(_)));
        match &result {
            Ok(Response::Compaction { .. }) => self.scrubber.accepted(),
            Ok(Response::LeaseGrant { id, ttl }) => self.channels.lessor.granted(*id, *ttl),
            Ok(Response::LeaseRevoked(id)) => self.channels.lessor.revoked(*id),
            Ok(Response::LeasesCheckpointed(checkpoints)) => self.channels.lessor.checkpointed(checkpoints),
            Ok(Response::Auth(response)) => {
                let Channels { tokens, rights, .. } = &self.channels;
                if applied::follow(tokens, &rights.load(), response) {
                    self.channels.notify_rights_changed();
                }
            }
            _ => {}
        }
        let (since, to) = self.channels.waiters.take_since(id).unzip();
        let slow = applied.zip(since).and_then(|(entry, since)| entry.if_slow(id, since, &self.node));
        let result = result.map(|response| Reply { revision, response, slow }).map_err(RequestError::from);
        // The write stays; only its response says that there was no room, and the alarm keeps more away.
        if result.is_ok() && !fits(cost, room) {
            return self.channels.quota_exceeded.add(to);
        }
        let Some(to) = to else { return };
        match result {
            Ok(reply @ Reply { response: Response::Compaction { physical: true, revision }, .. }) => {
                self.scrubber.reply_when_done(revision, to, reply);
            }
            result => turn.replies.push((to, result)),
        }
    }

    fn finish(&mut self, mut turn: Turn) {
        self.channels.metrics.count_operations(self.machine.take_counts());
        let applied = self.machine.applied();
        self.channels.flusher.add(&mut turn.batch, self.machine.revision(), applied, turn.entry_bytes);
        if turn.changed_members {
            self.channels.shared.publish(&self.machine);
        }
        if turn.changed_group {
            // Of two voters one may have left: if this one forgot that, no other member could tell it that it votes alone.
            drop(self.channels.flusher.flush());
        }
        let index = applied.position.index;
        self.node.applied(index);
        let reads = self.channels.read_rounds.applied(index);
        if !reads.is_empty() {
            self.channels.dispatcher.send(Replies::Reads(reads));
        }
        if !turn.replies.is_empty() {
            self.channels.dispatcher.send(Replies::Proposals(turn.replies));
        }
        self.channels.watching.revision_moved();
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
