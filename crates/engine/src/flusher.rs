//! The thread that writes the state file.
//!
//! Applying leaves rows and a position in memory; this thread commits them together, at the latest one
//! interval after the oldest of them, or when there are many. The log holds everything meanwhile, so a crash
//! costs the time to apply a moment's worth of entries again and nothing else.
//!
//! As the only thread that commits it also rewrites the file when that has become too large ([`Rewriter`]), between two
//! commits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferretcd_apply::Applied;
use ferretcd_backend::{Backend, Batch, RewriteError};
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::DefragmentError;
use crate::replies::{Dispatcher, Replies};
use crate::rewriter::{Rewriter, Waiter};

/// Bytes of rows after which a commit does not wait for its time.
const COMMIT_BYTES: usize = 16 << 20;
/// Deletes of a compaction in one commit, at least. Each may cost a page, and the page from before is free only two commits
/// later: without a bound a compaction would let a small file grow to several times its rows.
const COMMIT_DELETES_MIN: u64 = 1_000;
/// The same for larger files, as a share of the pages in use.
const COMMIT_DELETES_SHARE: u64 = 8;
const PAGE_BYTES: u64 = 4096;
/// Bytes of rows at which applying waits for the state file. Clients see it as requests rejected because
/// too many wait to be applied.
const PENDING_BYTES_MAX: usize = 4 * COMMIT_BYTES;

/// When the state file is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) interval: Duration,
    pub(crate) rows: usize,
}

/// A commit that has become durable.
#[derive(Clone, Debug)]
pub(crate) struct Flushed {
    /// Rows of revisions up to this one are in the state file's view.
    pub(crate) main: i64,
    pub(crate) applied: Applied,
    /// Bytes of the entries since the last commit.
    pub(crate) entry_bytes: u64,
    pub(crate) took: Duration,
}

/// The state file cannot be written any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Commit(#[from] ferretcd_backend::Error),
    #[error(transparent)]
    Rewrite(#[from] RewriteError),
}

/// Rows that are still to be written, and the requests that wait for them.
#[derive(Debug, Default)]
struct Pending {
    batch: Batch,
    main: i64,
    applied: Applied,
    entry_bytes: u64,
    since: Option<Instant>,
    /// Whether it is written before its time.
    is_urgent: bool,
    flush: Vec<oneshot::Sender<()>>,
    then: Vec<Replies>,
    defragment: Vec<Waiter>,
    is_stopping: bool,
    /// Nothing is written any more. The senders of requests that wait are dropped.
    is_over: bool,
}

#[derive(Debug, Default)]
struct Queue {
    pending: Mutex<Pending>,
    /// Deletes from which on a compaction waits for a commit.
    deletes_max: AtomicUsize,
    /// Whether a compaction removes rows.
    is_compacting: AtomicBool,
    work: Condvar,
    room: Condvar,
}

impl Queue {
    /// For a file of which `in_use` bytes are in use.
    fn set_deletes_max(&self, in_use: u64) {
        let n = (in_use / PAGE_BYTES / COMMIT_DELETES_SHARE).max(COMMIT_DELETES_MIN);
        self.deletes_max.store(usize::try_from(n).unwrap_or(usize::MAX), Ordering::Relaxed);
    }
}

/// The apply thread's end: rows in. Also the way to wait for durability.
#[derive(Clone, Debug)]
pub(crate) struct Flusher {
    queue: Arc<Queue>,
    pace: Pace,
}

impl Flusher {
    pub(crate) fn new(pace: Pace) -> Self {
        let queue = Queue::default();
        queue.set_deletes_max(0);
        Self { queue: Arc::new(queue), pace }
    }

    /// Queues rows and the position they bring the state to, leaving `batch` empty. They come from entries of so many
    /// bytes. Waits while too much is queued.
    pub(crate) fn add(&self, batch: &mut Batch, main: i64, applied: &Applied, entry_bytes: u64) {
        let mut pending = self.queue.pending.lock();
        while pending.batch.bytes() >= PENDING_BYTES_MAX && !pending.is_over {
            self.queue.room.wait(&mut pending);
        }
        pending.batch.append(std::mem::take(batch));
        pending.main = main;
        pending.applied.clone_from(applied);
        pending.entry_bytes += entry_bytes;
        let was_idle = pending.since.is_none();
        if was_idle {
            pending.since = Some(Instant::now());
        }
        if was_idle || self.is_much(&pending) {
            self.queue.work.notify_one();
        }
    }

    /// Whether so many deletes wait for a commit that no more should come before it.
    pub(crate) fn has_enough_deletes(&self) -> bool {
        let pending = self.queue.pending.lock();
        pending.batch.n_deletes() >= self.queue.deletes_max.load(Ordering::Relaxed) && !pending.is_over
    }

    /// Answers to be given once everything added so far is durable.
    pub(crate) fn then(&self, replies: Replies) {
        let mut pending = self.queue.pending.lock();
        if !pending.is_over {
            pending.then.push(replies);
            self.queue.work.notify_one();
        }
    }

    /// Commits what was added so far without waiting for its time. The receiver fails if the file cannot be
    /// written.
    pub(crate) fn flush(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut pending = self.queue.pending.lock();
        if !pending.is_over {
            pending.flush.push(sender);
            self.queue.work.notify_one();
        }
        receiver
    }

    /// Commits what was added so far without waiting for its time, as [`Self::flush`] does, for a caller that does not
    /// wait for the end. Takes no room, however often it is called before a commit.
    pub(crate) fn flush_soon(&self) {
        self.queue.pending.lock().is_urgent = true;
        self.queue.work.notify_one();
    }

    /// Commits what was added so far and rewrites the file, or waits for the end of the rewrite that is under way. The
    /// receiver fails if the thread stops before. Dropping it does not stop the rewrite.
    pub(crate) fn defragment(&self) -> oneshot::Receiver<Result<(), Arc<DefragmentError>>> {
        let (sender, receiver) = oneshot::channel();
        let mut pending = self.queue.pending.lock();
        if !pending.is_over {
            pending.defragment.push(sender);
            self.queue.work.notify_one();
        }
        receiver
    }

    /// A compaction removes rows from now on, or does so no more. The file is not rewritten by itself meanwhile: there will
    /// be more to gain.
    pub(crate) fn set_compacting(&self, is_compacting: bool) {
        if self.queue.is_compacting.swap(is_compacting, Ordering::Relaxed) && !is_compacting {
            self.flush_soon();
        }
    }

    /// Makes [`Self::run`] return after a last commit.
    pub(crate) fn stop(&self) {
        self.queue.pending.lock().is_stopping = true;
        self.queue.work.notify_one();
    }

    /// The thread's work: commits until stopped, and calls `on_flushed` after each commit; rewrites the file in between.
    /// An error ends it; from then on no request waits for the file any more.
    pub(crate) fn run(
        &self,
        backend: &Backend,
        rewriter: &mut Rewriter,
        dispatcher: &Dispatcher,
        on_flushed: impl FnMut(Flushed),
    ) -> Result<(), RunError> {
        let ended = self.write(backend, rewriter, dispatcher, on_flushed);
        self.end();
        ended
    }

    fn write(
        &self,
        backend: &Backend,
        rewriter: &mut Rewriter,
        dispatcher: &Dispatcher,
        mut on_flushed: impl FnMut(Flushed),
    ) -> Result<(), RunError> {
        let is_compacting = || self.queue.is_compacting.load(Ordering::Relaxed);
        loop {
            let Some((mut work, is_last)) = self.next(rewriter.next(is_compacting())) else {
                rewriter.work(None, is_compacting())?;
                continue;
            };
            let mut committed = None;
            if work.since.is_some() {
                let started = Instant::now();
                work.applied.store(&mut work.batch);
                backend.commit(&work.batch)?;
                rewriter.follow(&work.batch);
                committed = Some(work.batch.bytes());
                self.queue.set_deletes_max(backend.size().in_use);
                let took = started.elapsed();
                let Pending { main, applied, entry_bytes, .. } = work;
                on_flushed(Flushed { main, applied, entry_bytes, took });
            }
            for waiter in work.flush {
                let _ = waiter.send(());
            }
            for replies in work.then {
                dispatcher.send(replies);
            }
            if is_last {
                return Ok(());
            }
            rewriter.request(work.defragment);
            rewriter.work(committed, is_compacting())?;
        }
    }

    /// Waits for something to commit and for its time, and takes it; until `step` at most, which is `None` for no such
    /// time. `None` means that it was reached.
    fn next(&self, step: Option<Instant>) -> Option<(Pending, bool)> {
        let mut pending = self.queue.pending.lock();
        loop {
            let is_urgent = pending.is_stopping
                || pending.is_urgent
                || !pending.flush.is_empty()
                || !pending.then.is_empty()
                || !pending.defragment.is_empty()
                || self.is_much(&pending);
            let commit = pending.since.map(|since| since + self.pace.interval);
            let is_reached = |time: Option<Instant>| time.is_some_and(|time| time <= Instant::now());
            if is_urgent || is_reached(commit) {
                break;
            }
            if is_reached(step) {
                return None;
            }
            match commit.into_iter().chain(step).min() {
                None => self.queue.work.wait(&mut pending),
                Some(time) => drop(self.queue.work.wait_until(&mut pending, time)),
            }
        }
        let is_last = pending.is_stopping;
        let taken = std::mem::take(&mut *pending);
        pending.is_stopping = is_last;
        self.queue.room.notify_all();
        Some((taken, is_last))
    }

    /// Whether so much waits that its time does not matter.
    fn is_much(&self, pending: &Pending) -> bool {
        pending.batch.bytes() >= COMMIT_BYTES || pending.batch.len() >= self.pace.rows
    }

    fn end(&self) {
        let mut pending = self.queue.pending.lock();
        pending.is_over = true;
        pending.flush.clear();
        pending.then.clear();
        pending.defragment.clear();
        self.queue.room.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_without_a_waiter_take_no_room() {
        let flusher = Flusher::new(Pace { interval: Duration::from_hours(1), rows: usize::MAX });
        let mut batch = Batch::default();
        batch.delete(ferretcd_backend::Bucket::Key, "row");
        flusher.add(&mut batch, 1, &Applied::default(), 0);
        for _ in 0..1000 {
            flusher.flush_soon();
        }
        // Returns at once.
        let (work, _) = flusher.next(None).expect("no step is due");
        assert_eq!((work.batch.len(), work.flush.len() + work.then.len()), (1, 0));
        assert!(!flusher.queue.pending.lock().is_urgent, "the next one has its time");
    }
}
