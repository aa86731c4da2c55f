//! What follows when a connection can't be accepted: a pause, and now and then a log line.

use std::time::{Duration, Instant};

/// Pauses double from the first to the second as long as errors follow each other; those of Go's HTTP server.
const PAUSES: [Duration; 2] = [Duration::from_millis(5), Duration::from_secs(1)];
/// Time between two warnings of a port. Descriptors may be missing for hours.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// The errors of one port.
#[derive(Debug)]
pub(crate) struct AcceptErrors {
    pause: Duration,
    /// When there was a warning.
    warned: Option<Instant>,
    /// Errors since then.
    n_unreported: u64,
}

impl Default for AcceptErrors {
    fn default() -> Self {
        Self { pause: PAUSES[0], warned: None, n_unreported: 0 }
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
        let is_due = self.warned.is_none_or(|warned| now.duration_since(warned) >= WARNING_INTERVAL);
        let warning = is_due.then(|| {
            self.warned = Some(now);
            std::mem::take(&mut self.n_unreported)
        });
        Response { pause, warning }
    }

    /// A connection was accepted.
    pub(crate) fn succeeded(&mut self) {
        self.pause = PAUSES[0];
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
        errors.succeeded();
        assert_eq!(errors.failed(Instant::now()).pause, PAUSES[0]);
    }

    #[test]
    fn warnings_are_sampled() {
        let mut errors = AcceptErrors::default();
        let start = Instant::now();
        let mut at = |ms| errors.failed(start + Duration::from_millis(ms)).warning;
        assert_eq!(at(0), Some(1), "the first at once");
        for ms in 1..=99 {
            assert_eq!(at(ms * 100), None, "{ms}");
        }
        assert_eq!(at(10_000), Some(100), "and then what came in between");
        assert_eq!(at(10_001), None);
        // Connections that are accepted in between do not make errors new.
        errors.succeeded();
        assert_eq!(errors.failed(start + Duration::from_millis(10_002)).warning, None);
        assert_eq!(errors.failed(start + Duration::from_millis(60_000)).warning, Some(3));
    }
}
