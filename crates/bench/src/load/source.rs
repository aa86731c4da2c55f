//! When requests start: at once, or on a schedule.

use std::time::{Duration, Instant};

use super::tally::Tally;
use super::{Load, Pace, Span};
use crate::requests::Requests;

/// Says when requests start, and which.
pub(super) struct Source<'a> {
    pub(super) requests: &'a mut Requests,
    pace: Pace,
    begin: Instant,
    n_taken: u64,
    n_max: u64,
}

impl<'a> Source<'a> {
    pub(super) fn new(load: Load, requests: &'a mut Requests, begin: Instant) -> Self {
        let n_max = match load.span {
            Span::Requests(n) => n,
            Span::Time { .. } => u64::MAX,
        };
        Self { requests, pace: load.pace, begin, n_taken: 0, n_max }
    }

    pub(super) fn is_dry(&self) -> bool {
        self.n_taken >= self.n_max
    }

    /// When the schedule's next request is due; `None` without a schedule.
    pub(super) fn next_due(&self) -> Option<Instant> {
        match self.pace {
            _ if self.is_dry() => None,
            Pace::Closed => None,
            Pace::Open(rate) => Some(self.begin + Duration::from_secs_f64(self.n_taken as f64 / rate)),
        }
    }

    /// Takes the next request if it is due: the time from which its latency counts.
    pub(super) fn take(&mut self, now: Instant) -> Option<Instant> {
        if self.is_dry() {
            return None;
        }
        let start = match self.next_due() {
            None => now,
            Some(due) if due <= now => due,
            Some(_) => return None,
        };
        self.n_taken += 1;
        Some(start)
    }

    /// Ends the source with what is due before `end`.
    pub(super) fn stop(&mut self, end: Instant) {
        self.n_max = self.n_taken;
        if let Pace::Open(rate) = self.pace {
            let n_due = (end.saturating_duration_since(self.begin).as_secs_f64() * rate).ceil();
            self.n_max = self.n_max.max(n_due as u64);
        }
    }

    /// Takes what is left as if it had waited until `now`, so that a server that stalls cannot hide it; the
    /// number of these requests.
    pub(super) fn give_up(&mut self, now: Instant, tally: &mut Tally) -> u64 {
        let mut unsent = 0;
        while let Some(due) = self.next_due() {
            tally.record(due, now);
            self.n_taken += 1;
            unsent += 1;
        }
        unsent
    }
}
