//! Which pings are too many.

use std::time::{Duration, Instant};

/// Strikes that a client may have.
const STRIKES_MAX: u8 = 2;
/// The shortest time between two pings of a client without a call.
const IDLE_INTERVAL_MIN: Duration = Duration::from_secs(2 * 60 * 60);

/// The pings of one client.
#[derive(Debug)]
pub(super) struct Strikes {
    interval_min: Duration,
    strikes: u8,
    last: Option<Instant>,
    /// Whether the next ping is allowed in any case.
    is_forgiven: bool,
}

impl Strikes {
    /// `interval_min` holds for clients that have a call.
    pub(super) fn new(interval_min: Duration) -> Self {
        Self { interval_min, strikes: 0, last: None, is_forgiven: false }
    }

    /// Takes a ping. False if it is one too many.
    pub(super) fn allow(&mut self, now: Instant, has_call: bool) -> bool {
        let last = self.last.replace(now);
        if std::mem::take(&mut self.is_forgiven) {
            self.strikes = 0;
            return true;
        }
        let interval_min = if has_call { self.interval_min } else { IDLE_INTERVAL_MIN };
        if last.is_some_and(|last| now.saturating_duration_since(last) < interval_min) {
            self.strikes += 1;
        }
        self.strikes <= STRIKES_MAX
    }

    /// Forgets the strikes so far, and lets the next ping come at any time.
    pub(super) fn forgive(&mut self) {
        self.is_forgiven = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays pings at these seconds, with a call open or not; an `F` before one stands for a frame of a call from the
    /// server. Returns which ping was the first that was one too many.
    fn check(pings: &[(&str, u64, bool)], expected: Option<usize>) {
        let (mut strikes, start) = (Strikes::new(Duration::from_secs(5)), Instant::now());
        let first = pings.iter().position(|(before, at, has_call)| {
            if *before == "F" {
                strikes.forgive();
            }
            !strikes.allow(start + Duration::from_secs(*at), *has_call)
        });
        assert_eq!(first, expected, "{pings:?}");
    }

    #[test]
    fn a_third_strike_is_one_too_many() {
        check(&[("", 0, true), ("", 0, true), ("", 4, true), ("", 8, true)], Some(3));
        // At the interval exactly there is none.
        check(&[("", 0, true), ("", 5, true), ("", 10, true), ("", 15, true), ("", 20, true)], None);
        // Good pings in between take no strike away.
        check(&[("", 0, true), ("", 1, true), ("", 9, true), ("", 10, true), ("", 11, true)], Some(4));
    }

    #[test]
    fn a_client_without_a_call_is_to_be_silent() {
        check(&[("", 0, false), ("", 3600, false), ("", 7200, false), ("", 10_000, false)], Some(3));
        check(&[("", 0, false), ("", 7200, false), ("", 14_400, false), ("", 21_600, false)], None);
    }

    #[test]
    fn frames_of_calls_forgive() {
        let forgiven = [("", 0, true), ("", 0, true), ("", 0, true), ("F", 0, true)];
        check(&[&forgiven[..], &[("", 0, true), ("", 0, true)]].concat(), None);
        check(&[&forgiven[..], &[("", 0, true), ("", 0, true), ("", 0, true)]].concat(), Some(6));
    }
}
