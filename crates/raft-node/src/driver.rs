//! The thread that owns the raft core: takes what waits in the inbox, feeds the core, performs its effects.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::handle::Shared;
use crate::inbox::{Lanes, ProgressReply, Report};
use crate::log_thread::{Batch, Checkpoint, LogQueue, Received};
use crate::{Core, Error, Event, Host, Persist, Transport};

/// Bytes of entries on their way to the disk beyond which no proposals are taken from the inbox.
const WRITE_BACK_BYTES: u64 = 64 << 20;

pub(crate) struct Driver {
    pub(crate) core: Core,
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Arc<LogQueue>,
    pub(crate) log_thread: Option<JoinHandle<()>>,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) heartbeat: Duration,
    pub(crate) next_tick: Instant,
    /// A hard state that changes only the commit index. It waits for the next write: by itself it is worth none.
    pub(crate) lazy: Option<ferretcd_wal::HardState>,
    /// Bytes of entries handed to the log thread and not durable yet.
    pub(crate) under_way: u64,
    /// The last step handed to the log thread, and the last that it has synced.
    pub(crate) last_queued: u64,
    pub(crate) last_synced: u64,
    /// The applied index that the core knows.
    pub(crate) applied: u64,
    /// When the turn began.
    pub(crate) turn_began: Instant,
    /// The highest token among the proposals that were taken.
    pub(crate) last_token: u64,
}

/// Closes the inbox when the driver ends, in whatever way.
struct CloseOnExit(Arc<Shared>);

impl Drop for CloseOnExit {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Driver {
    /// Works until the node is stopped or fails.
    pub(crate) fn run(mut self) {
        let _close = CloseOnExit(self.shared.clone());
        let result = self.work();
        self.stop_log();
        if let Err(error) = result {
            self.host.failed(&error);
        }
    }

    /// Returns once a stop was requested and everything accepted before it is durable and handed out.
    fn work(&mut self) -> Result<(), Error> {
        self.perform_effects()?;
        let mut is_stopping = false;
        while !is_stopping || self.last_synced < self.last_queued {
            let mut taken = self.shared.inbox.take(self.next_tick, self.under_way < WRITE_BACK_BYTES);
            if let Some(error) = taken.failed.take() {
                return Err(error);
            }
            let checkpoint = taken.checkpoint.take();
            let progress = std::mem::take(&mut taken.progress);
            if std::mem::take(&mut taken.stop) {
                is_stopping = true;
                self.reject_rest();
            }
            self.feed(taken);
            self.perform_effects()?;
            self.reply_progress(progress);
            if let Some(checkpoint) = checkpoint {
                self.checkpoint(checkpoint);
            }
        }
        Ok(())
    }

    fn feed(&mut self, mut taken: Lanes) {
        self.take_done(&taken);
        for (index, change) in std::mem::take(&mut taken.configured) {
            self.core.handle(Event::Configure { index, change });
        }
        if let Some(index) = taken.installed {
            self.core.handle(Event::Installed(index));
            self.shared.inbox.set_applied(index);
        }
        self.take_applied();
        self.tick_if_due();
        for message in taken.messages {
            self.core.handle(Event::Message(message));
        }
        if let Some(last) = taken.proposals.last() {
            self.last_token = self.last_token.max(last.token);
            self.core.handle(Event::Propose(taken.proposals));
        }
        for (token, change) in taken.conf_changes {
            self.core.handle(Event::ConfChange { token, change });
        }
        if !taken.reads.is_empty() {
            self.core.handle(Event::ReadIndex(taken.reads));
        }
        for report in taken.reports {
            self.core.handle(match report {
                Report::Unreachable(id) => Event::Unreachable(id),
                Report::Snapshot { to, ok } => Event::SnapshotSent { to, ok },
            });
        }
        if let Some(to) = taken.transfer {
            self.core.handle(Event::TransferLeader(to));
        }
    }

    fn take_done(&mut self, taken: &Lanes) {
        for done in &taken.done {
            self.under_way -= done.bytes;
            if let Some(report) = &done.persisted {
                self.host.persisted(report);
            }
        }
        let newest = taken.done.iter().map(|done| done.number).max();
        if let Some(number) = newest.filter(|number| *number > 0) {
            self.last_synced = number;
            self.core.handle(Event::Persisted(number));
        }
    }

    fn take_applied(&mut self) {
        let applied = self.shared.inbox.applied();
        if applied > self.applied {
            self.applied = applied;
            self.core.handle(Event::Applied(applied));
        }
    }

    fn tick_if_due(&mut self) {
        let now = Instant::now();
        self.turn_began = now;
        if now < self.next_tick {
            return;
        }
        // After a pause of the process the missed ticks are not made up for: no messages were received either.
        self.next_tick = (self.next_tick + self.heartbeat).max(now);
        self.core.handle(Event::Tick);
        self.write_lazy();
    }

    /// Performs the core's effects. Errs if the node cannot go on.
    fn perform_effects(&mut self) -> Result<(), Error> {
        let effects = self.core.take_effects();
        self.shared.publish(&self.core, effects.role.is_some());
        // Before entries are handed out, so that the apply thread finds when they were committed.
        self.shared.timeline.note(self.turn_began, self.core.marks(self.last_token));
        if !effects.send.is_empty() {
            self.transport.send(effects.send);
        }
        self.persist(effects.persist);
        if let Some(status) = &effects.role {
            self.host.role_changed(status);
        }
        if !effects.committed.is_empty() {
            self.host.committed(effects.committed);
        }
        if let Some(mark) = effects.install {
            self.host.install(mark);
        }
        self.watch_applied();
        for (token, index) in effects.reads {
            self.host.read_ready(token, index);
        }
        if !effects.dropped.is_empty() {
            self.host.proposals_dropped(effects.dropped);
        }
        effects.failed.map_or(Ok(()), Err)
    }

    /// Behind the events of the same turn, so that the progress shows what they changed.
    fn reply_progress(&self, replies: Vec<ProgressReply>) {
        for ProgressReply(reply) in replies {
            reply(self.core.progress());
        }
    }

    fn persist(&mut self, steps: Vec<Persist>) {
        let mut batch = Batch::default();
        for step in steps {
            if let Some(mark) = step.mark {
                // Nothing follows it before the snapshot is installed.
                batch.received = Some(Received { mark, hard_state: step.hard_state });
                batch.number = step.number;
                break;
            }
            self.lazy = step.hard_state.or(self.lazy);
            if step.must_sync {
                batch.number = step.number;
            }
            if batch.entries.is_empty() {
                batch.entries = step.entries;
            } else {
                batch.entries.extend(step.entries);
            }
        }
        if batch.number == 0 {
            return;
        }
        batch.bytes = batch.entries.iter().map(|entry| entry.data.len() as u64).sum();
        batch.hard_state = self.lazy.take();
        self.under_way += batch.bytes;
        self.last_queued = batch.number;
        self.queue.put(batch);
    }

    /// Writes a commit index that has waited for a tick.
    fn write_lazy(&mut self) {
        if let Some(hard_state) = self.lazy.take() {
            self.queue.put(Batch { hard_state: Some(hard_state), ..Batch::default() });
        }
    }

    fn checkpoint(&mut self, checkpoint: Checkpoint) {
        let hard_state = self.lazy.take();
        self.queue.put(Batch { hard_state, checkpoint: Some(checkpoint), ..Batch::default() });
    }

    /// Makes the inbox wake the driver when the entry that the core waits for is applied.
    fn watch_applied(&mut self) {
        let awaited = self.core.awaited_applied();
        self.shared.inbox.await_applied(awaited);
        if awaited.is_some_and(|index| self.shared.inbox.applied() >= index) {
            self.shared.inbox.set_applied(self.shared.inbox.applied());
        }
    }

    /// Rejects all further requests, and drops those that came since the last look.
    fn reject_rest(&mut self) {
        let tokens = self.shared.inbox.close();
        if !tokens.is_empty() {
            self.host.proposals_dropped(tokens);
        }
    }

    /// Ends the log thread after everything it was given.
    fn stop_log(&mut self) {
        self.queue.put(Batch { hard_state: self.lazy.take(), stop: true, ..Batch::default() });
        if let Some(log_thread) = self.log_thread.take()
            && let Err(panic) = log_thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
