//! Samples of the stacks of running threads.
//!
//! While a recording goes on, the kernel interrupts whichever thread uses the processor, and the thread notes its stack.
//! Before the first recording nothing is different from a process without this module. After it `pprof` keeps its table of
//! stacks, about 70 MB, an empty temporary file and the symbols, and the process ignores SIGPROF.

use std::time::UNIX_EPOCH;

use pprof::{Error, ProfilerGuard, ProfilerGuardBuilder, Report, Symbol};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::profile::{Builder, Frame};

/// Go's rate.
const SAMPLES_PER_SECOND: i32 = 100;

/// A stack is not walked from inside these: a thread may be interrupted where they hold a lock that the walk needs.
const NOT_INTERRUPTED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

const NOTE: &str = "ferretcd: without the time inside the C library and its system calls";

/// The signal is one of the process, so there is one recording at a time.
static ONE: Semaphore = Semaphore::const_new(1);

/// The right to record.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: SemaphorePermit<'static>,
}

/// A recording that goes on. It ends when it is dropped.
pub(super) struct Recording {
    profiler: ProfilerGuard<'static>,
    _turn: Turn,
}

impl Turn {
    /// `None` while there is a recording.
    pub(super) fn take() -> Option<Self> {
        ONE.try_acquire().ok().map(|permit| Self { _permit: permit })
    }

    /// Begins to record. Blocks: the first time in a process it reads the symbols of the program.
    pub(super) fn record(self) -> Result<Recording, Error> {
        let builder = ProfilerGuardBuilder::default().frequency(SAMPLES_PER_SECOND);
        Ok(Recording { profiler: builder.blocklist(&NOT_INTERRUPTED).build()?, _turn: self })
    }
}

impl Recording {
    /// Ends it and returns the profile as a file. Blocks while it looks up names.
    pub(super) fn finish(self) -> Result<Vec<u8>, Error> {
        self.profiler.report().build().map(encode)
    }
}

fn encode(report: Report) -> Vec<u8> {
    let period = 1_000_000_000 / i64::from(SAMPLES_PER_SECOND);
    let mut profile = Builder::new(&[("samples", "count"), ("cpu", "nanoseconds")]);
    profile.period(("cpu", "nanoseconds"), period);
    let nanoseconds = |time: std::time::Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let began = report.timing.start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
    profile.taken(nanoseconds(began), nanoseconds(report.timing.duration));
    profile.comment(NOTE);
    for (stack, count) in &report.data {
        let count = *count as i64;
        // The outermost place is the thread: its name says what the work is for, also in a program without symbols.
        let thread = vec![Frame::named(format!("thread {}", stack.thread_name_or_id()))];
        let places = stack.frames.iter().map(|place| place.iter().map(frame).collect());
        profile.sample(places.chain([thread]), vec![count, count.saturating_mul(period)]);
    }
    profile.finish()
}

fn frame(symbol: &Symbol) -> Frame {
    let file = symbol.filename.as_ref().map(|file| file.to_string_lossy().into_owned());
    Frame { function: symbol.name(), file: file.unwrap_or_default(), line: symbol.lineno() }
}
