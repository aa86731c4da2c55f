//! The physical part of compactions, in bounded steps between two turns of the apply thread.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferretcd_apply::{Fault, StateMachine};
use ferretcd_backend::Batch;
use ferretcd_mvcc::{KvHash, Scrub};

use crate::RequestError;
use crate::flusher::Flusher;
use crate::metrics::Metrics;
use crate::replies::{Replies, Reply, ReplyTo};

/// How long a step waits at least for a commit to take the rows of the steps before it.
const RETRY: Duration = Duration::from_millis(1);

/// The pace of the running compaction, and the requests that wait for its end.
pub(super) struct Scrubber {
    batch: usize,
    pause: Duration,
    flusher: Flusher,
    metrics: Arc<Metrics>,
    /// When the next step is due; `None` while there is nothing to remove or rows are still on their way.
    next: Option<Instant>,
    /// Whether the next step is due when rows have reached the state file.
    is_waiting: bool,
    /// With the revision whose compaction is waited for.
    waiting: Vec<(i64, ReplyTo<Reply>, Reply)>,
    /// When the running compaction was accepted, or the one before it was done.
    started: Instant,
}

impl Scrubber {
    /// A step looks at `batch` rows, and `pause` passes before the next one.
    pub(super) fn new(batch: usize, pause: Duration, flusher: Flusher, metrics: Arc<Metrics>) -> Self {
        let now = Instant::now();
        flusher.set_compacting(true);
        Self {
            batch,
            pause,
            flusher,
            metrics,
            // A compaction that the last run of the member did not finish goes on.
            next: Some(now),
            is_waiting: false,
            waiting: Vec::new(),
            started: now,
        }
    }

    /// When the next step is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// A compaction was accepted.
    pub(super) fn accepted(&mut self) {
        self.started = Instant::now();
        self.next = Some(self.started);
        self.flusher.set_compacting(true);
    }

    /// Sends the reply when the compaction to `revision` is done.
    pub(super) fn reply_when_done(&mut self, revision: i64, to: ReplyTo<Reply>, reply: Reply) {
        self.waiting.push((revision, to, reply));
    }

    /// Rows that a waiting compaction looks for may have reached the state file.
    pub(super) fn rows_flushed(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            self.next = Some(Instant::now());
        }
    }

    /// Another state took the place of the old one, and may bring an unfinished compaction. Returns the requests that
    /// waited for compactions of the old one.
    pub(super) fn state_replaced(&mut self) -> Vec<(ReplyTo<Reply>, Result<Reply, RequestError>)> {
        self.next = Some(Instant::now());
        self.flusher.set_compacting(true);
        self.waiting.drain(..).map(|(_, to, _)| (to, Err(RequestError::Timeout))).collect()
    }

    /// A step between two turns, however busy the member is: what is not removed takes room for ever.
    pub(super) fn step_if_due(&mut self, machine: &mut StateMachine) -> Result<(), Fault> {
        let now = Instant::now();
        match self.next {
            Some(at) if at <= now => self.step(now, machine),
            _ => Ok(()),
        }
    }

    fn step(&mut self, now: Instant, machine: &mut StateMachine) -> Result<(), Fault> {
        if self.flusher.has_enough_deletes() {
            self.flusher.flush_soon();
            self.next = Some(now + self.pause.max(RETRY));
            return Ok(());
        }
        let mut batch = Batch::default();
        let scrub = machine.scrub(self.batch, &mut batch)?;
        if matches!(scrub, Scrub::Progress { .. } | Scrub::Finished { .. }) {
            self.metrics.scrub_pause.observe(now.elapsed().as_secs_f64() * 1e3);
        }
        if !batch.is_empty() {
            self.flusher.add(&mut batch, machine.revision(), machine.applied(), 0);
        }
        self.next = match scrub {
            Scrub::Progress { removed } => {
                self.metrics.scrubbed_rows.inc_by(removed as u64);
                Some(now + self.pause)
            }
            Scrub::Waiting => {
                // The flush itself wakes the compaction.
                self.flusher.flush_soon();
                self.is_waiting = true;
                None
            }
            Scrub::Idle => {
                self.flusher.set_compacting(false);
                None
            }
            Scrub::Finished { revision, removed, hash } => {
                self.metrics.scrubbed_rows.inc_by(removed as u64);
                self.finish(now, revision, hash);
                // Another one may have been accepted meanwhile.
                Some(now)
            }
        };
        Ok(())
    }

    fn finish(&mut self, now: Instant, revision: i64, hash: Option<KvHash>) {
        let took = now.saturating_duration_since(self.started);
        self.metrics.compaction.observe(took.as_secs_f64() * 1e3);
        self.metrics.last_compaction.set(unix_seconds());
        let took = format!("{took:?}");
        self.started = now;
        let hash = hash.map(|hash| hash.hash);
        tracing::info!("compact-revision" = revision, took, hash, "finished scheduled compaction");
        let done = self.waiting.extract_if(.., |(waited_for, ..)| *waited_for <= revision);
        let replies: Vec<_> = done.map(|(_, to, reply)| (to, Ok(reply))).collect();
        if !replies.is_empty() {
            self.flusher.then(Replies::Proposals(replies));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a metric shows the time of the wall clock; nothing else sees it"
)]
fn unix_seconds() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}
