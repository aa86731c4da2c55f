//! What came of the requests: numbers and latencies.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// How one request ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Response {
    /// As given when it was sent.
    pub(super) start: Instant,
    /// When the bytes that completed it had been read.
    pub(super) end: Instant,
    pub(super) ok: bool,
}

/// Counts responses.
pub(super) struct Tally {
    pub(super) latencies: Histogram<u64>,
    window_begin: Option<Instant>,
    window_end: Option<Instant>,
    pub(super) responses: u64,
    pub(super) before_window: u64,
    pub(super) in_window: u64,
    pub(super) failed: u64,
    pub(super) failed_after: Option<(Duration, Duration)>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let hour_ns = 3_600_000_000_000;
        let latencies = Histogram::new_with_bounds(1, hour_ns, 3).expect("the bounds are in order");
        Self {
            latencies,
            window_begin: None,
            window_end: None,
            responses: 0,
            before_window: 0,
            in_window: 0,
            failed: 0,
            failed_after: None,
        }
    }

    pub(super) fn open_window(&mut self, now: Instant) {
        self.window_begin = Some(now);
        self.before_window = self.responses;
    }

    pub(super) fn close_window(&mut self, now: Instant) {
        self.window_end = Some(now);
        self.in_window = self.responses - self.before_window;
    }

    pub(super) fn count(&mut self, response: Response) {
        if response.ok {
            self.responses += 1;
            self.record(response.start, response.end);
        } else {
            self.failed += 1;
            let time = response.end.saturating_duration_since(response.start);
            let (shortest, longest) = self.failed_after.unwrap_or((time, time));
            self.failed_after = Some((shortest.min(time), longest.max(time)));
        }
    }

    pub(super) fn record(&mut self, start: Instant, end: Instant) {
        let began = self.window_begin.is_some_and(|begin| start >= begin);
        let ended = self.window_end.is_some_and(|end| start >= end);
        if began && !ended {
            let latency = end.saturating_duration_since(start).as_nanos();
            self.latencies.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
        }
    }
}
