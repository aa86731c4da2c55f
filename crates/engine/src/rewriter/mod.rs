//! When the state file is rewritten, and how fast.
//!
//! What compactions free is used again, but the file keeps its size until its rows are written to a new one
//! ([`ferretcd_backend::Rewrite`]). The thread `state-file` does so in small steps between its commits: by itself when the
//! file has become much larger than its rows need, or because a client requests it.

mod log;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferretcd_backend::{Backend, Batch, Error, Rewrite, RewriteError, Size};
use ferretcd_data_dir::{DiskSpace, Paths};
use tokio::sync::oneshot;

use crate::DefragmentError;
use crate::metrics::Metrics;

/// Bytes of rows that are copied at once: some milliseconds of work, and as much for the disk to sync beside the log.
const STEP_BYTES: usize = 1 << 20;
/// The same before clients are served.
const STEP_BYTES_AT_START: usize = 16 << 20;
/// A commit adds rows behind those that are still to be copied. The step after it copies so many times as much, so that a
/// rewrite ends however much is written meanwhile.
const COMMITS_PER_STEP: usize = 2;
/// The pause after a step, as a multiple of the time that the step took: processors and the disk are there for requests
/// first.
const REST: f64 = 2.0;
/// The same while a client waits for the end.
const REST_IF_REQUESTED: f64 = 0.5;
/// How much larger than its rows need a file becomes before it is rewritten, as one part in so many. The more often, the
/// more is written for each byte that is given back: four bytes here.
const GAIN_SHARE: u64 = 4;
/// A smaller gain is not worth a rewrite. Files below it are left alone.
const GAIN_BYTES_MIN: u64 = 16 << 20;
/// The room of a new file as a multiple of its estimate, at most, for rows that fit badly into pages.
const FILL_MAX: f64 = 4.0;
/// A gain that is none, even if a client requests it: less than one part in so many,
const NO_GAIN_SHARE: u64 = 20;
/// and less than redb's own tables take.
const NO_GAIN_BYTES: u64 = 128 << 10;
/// The time until the file is rewritten again, as a multiple of the time that it took. Where every compaction frees much
/// that is soon used again, this bounds what the rewrites cost.
const PAUSE_AFTER_SUCCESS: u32 = 10;
/// The time until the file is rewritten after a failure. It doubles with each, up to an hour.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);
const PAUSE_AFTER_FAILURE_MAX: Duration = Duration::from_hours(1);

/// A client that waits for the end of a rewrite.
pub(crate) type Waiter = oneshot::Sender<Result<(), Arc<DefragmentError>>>;

/// Rewrites the state file. Belongs to the thread that commits.
#[derive(Debug)]
pub(crate) struct Rewriter {
    backend: Backend,
    config: ferretcd_backend::Config,
    paths: Paths,
    metrics: Arc<Metrics>,
    /// Measures the file system of a directory.
    disk_space: fn(&Path) -> io::Result<DiskSpace>,
    running: Option<Running>,
    waiting: Vec<Waiter>,
    /// The size of a new file, as a multiple of [`Size::packed`]. The last rewrite has shown it, so that a file which
    /// does not get smaller is not rewritten for ever.
    fill: f64,
    /// A rewrite that no client requests begins later than this.
    not_before: Instant,
    /// The pause after the next failure.
    pause: Duration,
}

/// A rewrite under way.
#[derive(Debug)]
struct Running {
    rewrite: Rewrite,
    before: Size,
    started: Instant,
    /// When the next step is due if no commit comes before.
    next: Instant,
}

impl Rewriter {
    /// For the state file at its place in `paths`, opened as `backend` with `config`.
    pub(crate) fn new(
        backend: Backend,
        config: ferretcd_backend::Config,
        paths: Paths,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            backend,
            config,
            paths,
            metrics,
            disk_space: DiskSpace::of,
            running: None,
            waiting: Vec::new(),
            fill: 1.0,
            not_before: Instant::now(),
            pause: PAUSE_AFTER_FAILURE,
        }
    }

    /// Rewrites the file before anything else uses it, if that frees at least `threshold` bytes; never if that is zero. A
    /// rewrite that fails does not matter, unless the file can't be used any more.
    pub(crate) fn at_start(&mut self, threshold: u64) -> Result<(), RewriteError> {
        let size = self.backend.size();
        if threshold == 0 {
            return Ok(());
        }
        if self.gain(size) < threshold {
            log::skipped(size, threshold);
            return Ok(());
        }
        let copied = self.begin().and_then(|()| {
            while !self.step(STEP_BYTES_AT_START)? {}
            Ok(())
        });
        copied.and_then(|()| self.finish()).or_else(|error| self.give_up(error))
    }

    /// When [`Self::work`] has something to do if no commit comes before.
    pub(crate) fn next(&self, is_compacting: bool) -> Option<Instant> {
        match &self.running {
            Some(running) => Some(running.next),
            None if self.has_gain() && !is_compacting => Some(self.not_before),
            None => None,
        }
    }

    /// A batch was committed.
    pub(crate) fn follow(&mut self, batch: &Batch) {
        if let Some(running) = &mut self.running {
            running.rewrite.follow(batch);
        }
    }

    /// Clients wait for the end of a rewrite: of the one that is running, or of one that begins with the next
    /// [`Self::work`]. Those for which nothing can be gained get their response at once.
    pub(crate) fn request(&mut self, waiters: Vec<Waiter>) {
        // Clients that have gone leave their places.
        self.waiting.retain(|waiter| !waiter.is_closed());
        self.waiting.extend(waiters);
        if self.waiting.is_empty() || self.running.is_some() {
            return;
        }
        let size = self.backend.size();
        if self.gain(size) <= (self.expected(size) / NO_GAIN_SHARE).max(NO_GAIN_BYTES) {
            log::nothing_to_gain(size);
            self.reply(&Ok(()));
        }
    }

    /// Begins a rewrite if there is reason to, and makes a step of one that is running: after each commit, of which
    /// `committed` has the bytes, or when its time has come. Does not begin while a compaction removes rows, unless a
    /// client requests it. An error is final: the file can't be used any more.
    pub(crate) fn work(&mut self, committed: Option<usize>, is_compacting: bool) -> Result<(), RewriteError> {
        let now = Instant::now();
        let is_due = match &self.running {
            Some(running) => committed.is_some() || running.next <= now,
            None if !self.waiting.is_empty() => true,
            None => self.not_before <= now && !is_compacting && self.has_gain(),
        };
        if !is_due {
            return Ok(());
        }
        let bytes = STEP_BYTES.max(COMMITS_PER_STEP * committed.unwrap_or(0));
        self.go_on(now, bytes).or_else(|error| self.give_up(error))
    }

    fn go_on(&mut self, now: Instant, bytes: usize) -> Result<(), DefragmentError> {
        if self.running.is_none() {
            self.begin()?;
        }
        // Each piece is synced by itself, so that a sync of the log waits for no more than one.
        for _ in 0..bytes.div_ceil(STEP_BYTES) {
            if self.step(STEP_BYTES)? {
                return self.finish();
            }
        }
        let is_requested = self.waiting.iter().any(|waiter| !waiter.is_closed());
        let rest = if is_requested { REST_IF_REQUESTED } else { REST };
        if let Some(running) = &mut self.running {
            running.next = Instant::now() + now.elapsed().mul_f64(rest);
        }
        Ok(())
    }

    /// Bytes that the file is expected to have after a rewrite.
    fn expected(&self, size: Size) -> u64 {
        (size.packed as f64 * self.fill) as u64
    }

    fn gain(&self, size: Size) -> u64 {
        size.total.saturating_sub(self.expected(size))
    }

    /// Whether a rewrite is worth its work.
    fn has_gain(&self) -> bool {
        let size = self.backend.size();
        self.gain(size) >= GAIN_BYTES_MIN.max(self.expected(size) / GAIN_SHARE)
    }

    fn begin(&mut self) -> Result<(), DefragmentError> {
        let before = self.backend.size();
        self.check_room(self.expected(before))?;
        let path = self.paths.rewritten_state_file();
        let rewrite = Rewrite::begin(&self.backend, &path, &self.config)?;
        log::begins(&self.paths.state_file(), before);
        self.metrics.defrag_inflight.set(1);
        let now = Instant::now();
        self.running = Some(Running { rewrite, before, started: now, next: now });
        Ok(())
    }

    /// Copies so many bytes of rows. Returns whether that was all.
    fn step(&mut self, bytes: usize) -> Result<bool, DefragmentError> {
        let Some(Running { rewrite, .. }) = &self.running else { return Ok(false) };
        let written = rewrite.bytes().map_err(|source| self.unmeasured(source))?;
        let left = self.expected(self.backend.size()).saturating_sub(written);
        self.check_room(left.max(bytes as u64))?;
        let running = self.running.as_mut().expect("it was there");
        Ok(running.rewrite.step(bytes)?)
    }

    /// Checks that so many bytes more can be stored.
    fn check_room(&self, bytes: u64) -> Result<(), DefragmentError> {
        let space = (self.disk_space)(self.paths.member()).map_err(|source| self.unmeasured(source))?;
        match space.missing(bytes) {
            0 => Ok(()),
            missing => Err(DefragmentError::DiskFull { path: self.paths.member().to_owned(), missing }),
        }
    }

    fn unmeasured(&self, source: io::Error) -> DefragmentError {
        DefragmentError::DiskSpace { path: self.paths.member().to_owned(), source }
    }

    /// Puts the new file into the place of the old one.
    fn finish(&mut self) -> Result<(), DefragmentError> {
        let Some(Running { rewrite, before, started, .. }) = self.running.take() else { return Ok(()) };
        let (new, path) = (self.paths.rewritten_state_file(), self.paths.state_file());
        rewrite.finish(|| {
            fs::rename(new, &path)?;
            File::open(self.paths.member())?.sync_all()
        })?;
        let (took, after) = (started.elapsed(), self.backend.size());
        self.metrics.defrag_inflight.set(0);
        self.metrics.defrag.observe(took.as_secs_f64());
        log::finished(&path, before, after, took);
        // What is free in the new file was deleted meanwhile, and says nothing of how rows are packed.
        self.fill = (after.in_use as f64 / after.packed.max(1) as f64).clamp(1.0, FILL_MAX);
        self.not_before = Instant::now() + took * PAUSE_AFTER_SUCCESS;
        self.pause = PAUSE_AFTER_FAILURE;
        self.reply(&Ok(()));
        Ok(())
    }

    /// Deletes what there is of a new file, and tries again after a while.
    fn give_up(&mut self, error: DefragmentError) -> Result<(), RewriteError> {
        self.running = None;
        self.metrics.defrag_inflight.set(0);
        self.not_before = Instant::now() + self.pause;
        match error {
            DefragmentError::Rewrite(error @ RewriteError::Name { .. }) => return Err(error),
            // The file of a received snapshot has just been written, and so has nothing to give back.
            DefragmentError::Rewrite(RewriteError::Rows(Error::Replaced)) => {
                tracing::info!("ended a defragmentation: another member has sent the state");
                self.fill = 1.0;
                self.reply(&Ok(()));
            }
            error => {
                log::failed(&self.paths.state_file(), &error, self.pause);
                self.pause = (2 * self.pause).min(PAUSE_AFTER_FAILURE_MAX);
                self.reply(&Err(Arc::new(error)));
            }
        }
        Ok(())
    }

    fn reply(&mut self, outcome: &Result<(), Arc<DefragmentError>>) {
        for waiter in self.waiting.drain(..) {
            // The client may have gone.
            let _ = waiter.send(outcome.clone());
        }
    }
}
