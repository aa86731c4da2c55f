//! How fast watches that are far behind are served while others write.
//!
//! Reading old history for a thousand clients can take all of the processor and slow writers down. So while there are
//! writers, such watches get the processor time that the writers leave, and a small share of it when the writers leave
//! none.

use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// The share when the processors are busy: one part of so many, of all of them together.
const SHARE: u32 = 32;
/// The processors are busy when this process has used this part of them.
const BUSY: f64 = 0.5;
/// The processor time is measured over this time.
const SAMPLE: Duration = Duration::from_millis(50);
/// Writers count as present for this long after a write.
const WRITERS_STAY: Duration = Duration::from_millis(500);
/// What a delivery costs until it is on the wire, beside its bytes.
const DELIVERY_COST: Duration = Duration::from_micros(2);
/// What a KiB costs. Both were measured on one core of the machine that the bench runs on, which is exact enough.
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
    /// While there are writers and the processors are busy.
    resume_at: Option<Instant>,
    /// When the last sample was taken, and the processor time of the process then.
    sampled: Option<(Instant, Duration)>,
    is_busy: bool,
}

impl Pace {
    /// For the processors that this process may use.
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, NonZeroUsize::get);
        Self::of(u32::try_from(processors).unwrap_or(u32::MAX))
    }

    fn of(processors: u32) -> Self {
        Self { processors, last_write: None, resume_at: None, sampled: None, is_busy: true }
    }

    pub(super) fn wrote(&mut self, now: Instant) {
        self.last_write = Some(now);
    }

    /// A stretch was served; `used` is the processor time of the process so far.
    pub(super) fn served(&mut self, now: Instant, used: Duration, served: Served) {
        self.resume_at = Some(now + served.cost().saturating_mul(SHARE - 1) / self.processors);
        let (sampled_at, used_then) = *self.sampled.get_or_insert((now, used));
        let passed = now.saturating_duration_since(sampled_at);
        if passed >= SAMPLE {
            let of_all = passed.as_secs_f64() * f64::from(self.processors);
            self.is_busy = used.saturating_sub(used_then).as_secs_f64() >= BUSY * of_all;
            self.sampled = Some((now, used));
        }
    }

    /// Until when to wait; `None` if the next stretch may be read now.
    pub(super) fn wait_until(&self, now: Instant) -> Option<Instant> {
        if !self.is_busy {
            return None;
        }
        let writers_gone = self.last_write? + WRITERS_STAY;
        let until = self.resume_at?.min(writers_gone);
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB_SERVED: Served = Served { read: Duration::ZERO, deliveries: 0, bytes: 1 << 20 };

    #[test]
    fn without_writers_catching_up_does_not_wait() {
        let now = Instant::now();
        let mut pace = Pace::of(1);
        pace.served(now, Duration::ZERO, MIB_SERVED);
        assert_eq!(pace.wait_until(now), None);
    }

    #[test]
    fn beside_busy_writers_catching_up_gets_a_share_of_all_processors() {
        let now = Instant::now();
        let check = |processors, served: Served, expected| {
            let mut pace = Pace::of(processors);
            pace.served(now, Duration::ZERO, served);
            pace.wrote(now);
            assert_eq!(pace.wait_until(now), Some(now + expected));
            assert_eq!(pace.wait_until(now + expected), None);
        };
        let cost = KIB_COST * 512;
        check(1, Served { bytes: 512 << 10, ..Served::default() }, cost * 31);
        check(4, Served { bytes: 512 << 10, ..Served::default() }, cost * 31 / 4);
        check(1, Served { deliveries: 500, ..Served::default() }, Duration::from_millis(31));
        let slow = Served { read: Duration::from_millis(2), deliveries: 9, bytes: 9 };
        check(1, slow, Duration::from_millis(62));
    }

    #[test]
    fn idle_processor_time_is_used() {
        let (begin, used) = (Instant::now(), Duration::from_secs(7));
        let check = |processors, used_part: f64, waits| {
            let mut pace = Pace::of(processors);
            pace.served(begin, used, MIB_SERVED);
            let now = begin + SAMPLE;
            pace.wrote(now);
            pace.served(now, used + SAMPLE.mul_f64(used_part), MIB_SERVED);
            assert_eq!(pace.wait_until(now).is_some(), waits, "{used_part} of {processors}");
        };
        check(1, 0.95, true);
        check(1, 0.4, false);
        check(4, 3.8, true);
        check(4, 1.0, false);
    }

    #[test]
    fn catching_up_goes_on_when_writes_have_ceased() {
        let now = Instant::now();
        let mut pace = Pace::of(1);
        pace.wrote(now);
        pace.served(now, Duration::ZERO, Served { read: Duration::from_secs(1), ..Served::default() });
        assert_eq!(pace.wait_until(now), Some(now + WRITERS_STAY));
        assert_eq!(pace.wait_until(now + WRITERS_STAY), None);
    }
}
