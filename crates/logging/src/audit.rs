//! Lines of an audit log, written by a thread of their own.

use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::sink::Sink;
use crate::time::Clock;
use crate::{OpenError, Output, Rotation};

/// Bytes of lines that wait for the thread; more are dropped.
const WAITING_BYTES_MAX: usize = 4 << 20;
/// How long lines gather before they are written, so that a busy server does not wake the thread for each.
const GATHER: Duration = Duration::from_millis(100);
/// So many bytes are written without waiting for more.
const GATHERED_BYTES: usize = 256 << 10;
/// Room that is kept for lines to come, in bytes.
const ROOM_BYTES_KEPT: usize = 4 * GATHERED_BYTES;
/// Bytes around the members of a line, at most: braces and the time.
const FRAME_BYTES: usize = 48;
/// Bytes of lines that are written at once. A file begins anew between two pieces.
const PIECE_BYTES: usize = 64 << 10;
/// How long the end waits for an output that does not take lines.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// An audit log. A line is one JSON object with its time in front.
///
/// Callers never wait for the output. When it is slow or full, or an error keeps lines from being written, lines are
/// dropped and counted, and each time that this begins there is a warning in the log. The thread goes on trying with the
/// next lines. Dropping it writes what waits, for two seconds at most.
pub struct AuditLog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    on_dropped: Box<dyn Fn(u64) + Send + Sync>,
}

struct State {
    /// Whole lines.
    waiting: String,
    clock: Clock,
    /// Lines are being dropped, and the warning was written.
    is_dropping: bool,
    /// Some were since the thread took lines last.
    has_dropped: bool,
    is_ending: bool,
    has_ended: bool,
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}

impl AuditLog {
    /// Opens the output; `on_dropped` gets the number of lines each time that some are lost.
    ///
    /// # Errors
    /// When a file cannot be opened, or when the output is the journal, which takes each line by itself.
    pub fn open(
        output: &Output,
        rotation: Option<Rotation>,
        on_dropped: impl Fn(u64) + Send + Sync + 'static,
    ) -> Result<Self, OpenError> {
        let sink = if *output == Output::Journal { None } else { Sink::open(output, rotation)? };
        let sink = sink.ok_or_else(|| OpenError {
            path: "systemd/journal".into(),
            source: io::Error::other("an audit log goes to a file, stderr or stdout"),
        })?;
        let shared = Arc::new(Shared::new(on_dropped));
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("audit".into())
            .spawn(move || of_thread.run(&sink))
            .map_err(|source| OpenError { path: "thread".into(), source })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Queues a line of these members of a JSON object. Never waits for the output.
    pub fn write(&self, members: &str) {
        self.shared.push(members);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new(on_dropped: impl Fn(u64) + Send + Sync + 'static) -> Self {
        let state = State {
            waiting: String::new(),
            clock: Clock::new(TimeZone::system()),
            is_dropping: false,
            has_dropped: false,
            is_ending: false,
            has_ended: false,
        };
        Self { state: Mutex::new(state), wake: Condvar::new(), on_dropped: Box::new(on_dropped) }
    }

    fn push(&self, members: &str) {
        let mut state = self.lock();
        let State { waiting, clock, .. } = &mut *state;
        let before = waiting.len();
        if before + members.len() + FRAME_BYTES > WAITING_BYTES_MAX {
            drop(state);
            return self.dropped(1, "the audit log is written too slowly");
        }
        waiting.push_str("{\"ts\":\"");
        clock.push(Timestamp::now(), waiting);
        waiting.push_str("\",");
        waiting.push_str(members);
        waiting.push_str("}\n");
        // The thread sleeps without lines, and for a while with few.
        if before == 0 || (before < GATHERED_BYTES && waiting.len() >= GATHERED_BYTES) {
            self.wake.notify_all();
        }
    }

    /// Counts lines that are lost, and logs the first of a series.
    fn dropped(&self, n_lines: u64, reason: impl fmt::Display) {
        (self.on_dropped)(n_lines);
        let mut state = self.lock();
        state.has_dropped = true;
        let is_first = !std::mem::replace(&mut state.is_dropping, true);
        drop(state);
        if is_first {
            tracing::warn!(%reason, "dropping lines of the audit log");
        }
    }

    fn run(&self, sink: &Sink) {
        // After an error the last line may be there in part.
        let mut is_torn = false;
        let mut lines = String::new();
        while self.take(&mut lines) {
            for piece in pieces(&lines) {
                let torn = if is_torn { sink.try_write_line("\n") } else { Ok(()) };
                match torn.and_then(|()| sink.try_write_line(piece)) {
                    Ok(()) => is_torn = false,
                    Err(error) => {
                        is_torn = true;
                        self.dropped(piece.matches('\n').count() as u64, error);
                    }
                }
            }
        }
        self.lock().has_ended = true;
        self.wake.notify_all();
    }

    /// Waits for lines, and a little for more of them, and takes them into `lines`, whose room is used for the next ones.
    /// Returns whether this was not the end.
    fn take(&self, lines: &mut String) -> bool {
        lines.clear();
        lines.shrink_to(ROOM_BYTES_KEPT);
        let idle = |state: &mut State| state.waiting.is_empty() && !state.is_ending;
        let state = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        let few = |state: &mut State| state.waiting.len() < GATHERED_BYTES && !state.is_ending;
        let waited = self.wake.wait_timeout_while(state, GATHER, few);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_dropping &= std::mem::take(&mut state.has_dropped);
        std::mem::swap(&mut state.waiting, lines);
        !lines.is_empty() || !state.is_ending
    }
}

/// Whole lines, together no more than [`PIECE_BYTES`] unless one alone is longer.
fn pieces(lines: &str) -> impl Iterator<Item = &str> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let bytes = rest.as_bytes();
        let end = |range: &[u8]| range.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let whole = bytes.get(..PIECE_BYTES).and_then(end);
        let first = || bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let len = if bytes.len() <= PIECE_BYTES { bytes.len() } else { whole.unwrap_or_else(first) };
        let (piece, later) = rest.split_at(len);
        rest = later;
        Some(piece)
    })
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        let has_ended = self.finish();
        if let Some(thread) = self.thread.take().filter(|_| has_ended) {
            let _ = thread.join();
        }
    }
}

impl AuditLog {
    /// Writes what waits, for two seconds at most; returns whether everything was written. Lines that come later are not.
    pub fn finish(&self) -> bool {
        self.shared.lock().is_ending = true;
        self.shared.wake.notify_all();
        let state = self.shared.lock();
        let ended = self.shared.wake.wait_timeout_while(state, END_TIMEOUT, |state| !state.has_ended);
        ended.unwrap_or_else(PoisonError::into_inner).0.has_ended
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn lines_are_there_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let log = AuditLog::open(&Output::File(path.clone()), None, |_| panic!("nothing is lost"))
            .expect("it opens");
        for n in 0..1000 {
            log.write(&format!("\"n\":{n}"));
        }
        drop(log);
        let text = fs::read_to_string(path).expect("it is there");
        assert_eq!(text.lines().count(), 1000);
        for (n, line) in text.lines().enumerate() {
            let json: serde_json::Value = serde_json::from_str(line).expect(line);
            assert_eq!(json["n"], n);
            assert!(line.starts_with("{\"ts\":\""), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        let count = move |lines| {
            count.fetch_add(lines, Ordering::Relaxed);
        };
        // Takes nothing, like a disk that is full.
        let log = AuditLog::open(&Output::File("/dev/full".into()), None, count).expect("it opens");
        for _ in 0..3 {
            log.write("\"a\":1");
        }
        drop(log);
        assert_eq!(dropped.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn lines_beyond_the_bound_are_dropped_and_callers_go_on() {
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        let shared = Shared::new(move |lines| {
            count.fetch_add(lines, Ordering::Relaxed);
        });
        let line = "x".repeat((1 << 20) - FRAME_BYTES);
        (0..6).for_each(|_| shared.push(&line));
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        assert!(shared.lock().waiting.len() <= WAITING_BYTES_MAX);
    }

    #[test]
    fn files_begin_anew_between_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let rotation = Rotation {
            bytes_max: 100_000,
            days_max: None,
            files_max: None,
            local_time: false,
            compress: false,
        };
        let log = AuditLog::open(&Output::File(path), Some(rotation), |_| {}).expect("it opens");
        let value = "v".repeat(1000);
        (0..200).for_each(|_| log.write(&format!("\"value\":\"{value}\"")));
        drop(log);
        let files: Vec<_> =
            fs::read_dir(folder.path()).expect("it is there").map(|file| file.expect("one").path()).collect();
        assert!(files.len() > 1, "{files:?}");
        let lines = files.iter().map(|path| fs::read_to_string(path).expect("text")).collect::<String>();
        assert_eq!(lines.lines().filter(|line| line.ends_with("\"}")).count(), 200);
    }

    #[test]
    fn journal_is_no_audit_log() {
        let error = AuditLog::open(&Output::Journal, None, |_| {}).expect_err("it takes lines one by one");
        assert!(error.source.to_string().contains("a file, stderr or stdout"), "{error}");
    }

    #[test]
    fn pieces_are_whole_lines() {
        let long = format!("{}\n", "l".repeat(PIECE_BYTES + 10));
        let short = "s\n".repeat(PIECE_BYTES / 2);
        let lines = format!("{short}s\n{long}");
        let found: Vec<_> = pieces(&lines).collect();
        assert_eq!(found, [&*short, "s\n", &*long]);
        assert_eq!(pieces("").count(), 0);
    }
}
