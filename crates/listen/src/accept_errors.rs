//! What follows when a connection can't be accepted: a pause, and now and then a log line.

use std::time::{Duration, Instant};

/// Pauses double from the first to the second as long as errors follow each other; those of Go's HTTP server.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];
/// Time between two log lines of a port. Descriptors may be missing for hours.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The errors of one port.
#[derive(Debug)]
pub(crate) struct AcceptErrors {
    pause: Duration,
    /// When they were last reported.
    reported: Option<Instant>,
    /// Errors since then.
    n_unreported: u64,
}

impl Default for AcceptErrors {
    fn default() -> Self {
        Self { pause: PAUSES[0], reported: None, n_unreported: 0 }
    }
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// How long to wait before the next attempt.
    pub(crate) pause: Duration,
    /// The number of errors that a warning stands for, if there is to be one.
    pub(crate) warning: Option<u64>,
}

impl AcceptErrors {
    /// An error at the time `now`.
    pub(crate) fn failed(&mut self, now: Instant) -> Response {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSES[1]);
        self.n_unreported += 1;
        Response { pause, warning: self.report(now) }
    }

    /// A connection was accepted at the time `now`. Returns the number of errors before it, if they are to be reported.
    pub(crate) fn succeeded(&mut self, now: Instant) -> Option<u64> {
        self.pause = PAUSES[0];
        self.report(now)
    }

    /// The errors that are to be reported. Those too soon after a report are left to the first error or accepted
    /// connection after the interval.
    fn report(&mut self, now: Instant) -> Option<u64> {
        let is_due = self.reported.is_none_or(|reported| now.duration_since(reported) >= REPORT_INTERVAL);
        if self.n_unreported == 0 || !is_due {
            return None;
        }
        self.reported = Some(now);
        Some(std::mem::take(&mut self.n_unreported))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_until_a_connection_is_accepted() {
        let mut errors = AcceptErrors::default();
        let mut pauses =
            || (0..10).map(|_| errors.failed(Instant::now()).pause.as_millis()).collect::<Vec<_>>();
        assert_eq!(pauses(), [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        errors.succeeded(Instant::now());
        assert_eq!(errors.failed(Instant::now()).pause, PAUSES[0]);
    }

    #[test]
    fn reports_are_sampled() {
        let mut errors = AcceptErrors::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(errors.succeeded(at(0)), None);
        assert_eq!(errors.failed(at(0)).warning, Some(1), "the first at once");
        for ms in 1..=99 {
            assert_eq!(errors.failed(at(ms * 100)).warning, None, "{ms}");
        }
        assert_eq!(errors.failed(at(10_000)).warning, Some(100), "and then what came in between");
        assert_eq!(errors.failed(at(10_001)).warning, None);
        // Connections that are accepted in between do not make errors new.
        assert_eq!(errors.succeeded(at(10_001)), None);
        assert_eq!(errors.failed(at(10_002)).warning, None);
        assert_eq!(errors.failed(at(60_000)).warning, Some(3));
    }

    #[test]
    fn no_error_of_a_short_burst_is_left_out() {
        let mut errors = AcceptErrors::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(errors.failed(at(0)).warning, Some(1));
        assert_eq!(errors.failed(at(5)).warning, None);
        assert_eq!(errors.failed(at(15)).warning, None);
        assert_eq!(errors.succeeded(at(20)), None, "too soon");
        assert_eq!(errors.succeeded(at(10_000)), Some(2));
        assert_eq!(errors.succeeded(at(30_000)), None, "each is reported once");
    }
}
