//! How fast watches that are far behind are served while others write.
//!
//! Reading old history for a thousand clients can take all of the processor, and writers would feel it. So
//! while there are writers such watches get a share of the processor; when there are none, all of it.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// One part of so many, of all processors together.
const SHARE: u32 = 25;
/// So long after a write there are still writers.
const WRITERS_STAY: Duration = Duration::from_millis(500);
/// What a delivery costs until it is on the wire, beside its bytes.
const DELIVERY_COST: Duration = Duration::from_micros(2);
/// What a KiB costs. Both were measured on one core of the machine that the bench runs on; what they are for
/// does not ask for more.
const KIB_COST: Duration = Duration::from_nanos(2500);

/// What one stretch of history took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Served {
    /// Reading it.
    pub(super) read: Duration,
    /// What was delivered.
    pub(super) deliveries: u64,
    pub(super) bytes: u64,
}

impl Served {
    fn cost(self) -> Duration {
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let sent = DELIVERY_COST.saturating_mul(count(self.deliveries))
            + KIB_COST.saturating_mul(count(self.bytes >> 10));
        // Sending goes on beside reading.
        self.read.max(sent)
    }
}

/// When the next stretch may be read.
#[derive(Debug)]
pub(super) struct Pace {
    processors: u32,
    last_write: Option<Instant>,
    /// While there are writers.
    resume_at: Option<Instant>,
}

impl Pace {
    /// For the processors that this process may use.
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZeroUsize::get);
        Self { processors: u32::try_from(processors).unwrap_or(u32::MAX), last_write: None, resume_at: None }
    }

    pub(super) fn wrote(&mut self, now: Instant) {
        self.last_write = Some(now);
    }

    pub(super) fn served(&mut self, now: Instant, served: Served) {
        self.resume_at = Some(now + served.cost().saturating_mul(SHARE - 1) / self.processors);
    }

    /// Until when to wait; `None` if the next stretch may be read now.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        let writers_gone = self.last_write? + WRITERS_STAY;
        let until = self.resume_at?.min(writers_gone);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(processors: u32) -> Pace {
        Pace { processors, last_write: None, resume_at: None }
    }

    const MIB_SERVED: Served = Served { read: Duration::ZERO, deliveries: 0, bytes: 1 << 20 };

    #[test]
    fn without_writers_nothing_waits() {
        let now = Instant::now();
        let mut pace = pace(1);
        pace.served(now, MIB_SERVED);
        assert_eq!(pace.wait_until(now), None);
    }

    #[test]
    fn beside_writers_it_is_a_share_of_all_processors() {
        let now = Instant::now();
        let check = |processors, served: Served, expected| {
            let mut pace = pace(processors);
            pace.served(now, served);
            pace.wrote(now);
            assert_eq!(pace.wait_until(now), Some(now + expected));
            assert_eq!(pace.wait_until(now + expected), None);
        };
        let cost = KIB_COST * 512;
        check(1, Served { bytes: 512 << 10, ..Served::default() }, cost * 24);
        check(4, Served { bytes: 512 << 10, ..Served::default() }, cost * 6);
        check(1, Served { deliveries: 500, ..Served::default() }, Duration::from_millis(24));
        check(
            1,
            Served { read: Duration::from_millis(2), deliveries: 9, bytes: 9 },
            Duration::from_millis(48),
        );
    }

    #[test]
    fn when_the_writers_are_gone_it_goes_on() {
        let now = Instant::now();
        let mut pace = pace(1);
        pace.wrote(now);
        pace.served(now, Served { read: Duration::from_secs(1), ..Served::default() });
        assert_eq!(pace.wait_until(now), Some(now + WRITERS_STAY));
        assert_eq!(pace.wait_until(now + WRITERS_STAY), None);
    }
}
