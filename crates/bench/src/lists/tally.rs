//! What came of lists.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Counts lists and their bytes.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Lists that have arrived as a whole, their bytes, and the time that they took together.
    pub(crate) n_done: u64,
    pub(crate) done_bytes: u64,
    pub(crate) done_time: Duration,
    /// Lists that the server has refused because it is busy.
    pub(crate) n_refused: u64,
    /// Clients without a window that the server has dropped.
    pub(crate) n_dropped: u64,
    /// Wrong responses.
    pub(crate) n_failed: u64,
    /// Bytes of all lists, incomplete ones included.
    pub(crate) bytes: u64,
    /// From the first request until the end.
    pub(crate) time: Duration,
    /// Nanoseconds from a request until the first byte of its message had been read.
    pub(crate) first_bytes: Histogram<u64>,
    /// The first thing that must not happen.
    pub(crate) fault: Option<String>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let hour_ns = 3_600_000_000_000;
        Self {
            n_done: 0,
            done_bytes: 0,
            done_time: Duration::ZERO,
            n_refused: 0,
            n_dropped: 0,
            n_failed: 0,
            bytes: 0,
            time: Duration::ZERO,
            first_bytes: Histogram::new_with_bounds(1, hour_ns, 3).expect("the bounds are in order"),
            fault: None,
        }
    }

    pub(super) fn first_byte(&mut self, time: Duration) {
        self.first_bytes.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn done(&mut self, bytes: u64, time: Duration) {
        self.n_done += 1;
        self.done_bytes += bytes;
        self.done_time += time;
    }

    pub(super) fn fail(&mut self, fault: impl FnOnce() -> String) {
        self.n_failed += 1;
        self.fault.get_or_insert_with(fault);
    }
}
