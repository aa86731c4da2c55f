//! Keeps a message that is logged in a loop from filling the disk.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Severity;

/// Counters; messages whose hashes meet share one.
const N_COUNTERS: usize = 4096;
/// Equal messages that pass in each second.
const FIRST: u64 = 100;
/// Of the following ones, each so-many-th passes.
const THEREAFTER: u64 = 100;

/// Lets the first hundred equal messages of each second pass, then each hundredth. Messages are equal if level and
/// text are; fields do not count.
pub(super) struct Sampler {
    start: Instant,
    counters: Box<[Counter]>,
}

/// How often a message came in a second. Two threads may race for the turn of a second; a few lines more or less
/// are no harm.
#[derive(Default)]
struct Counter {
    second: AtomicU64,
    count: AtomicU64,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), counters: (0..N_COUNTERS).map(|_| Counter::default()).collect() }
    }

    /// Counts a message and says whether to write it.
    pub(super) fn admit(&self, severity: Severity, message: &str) -> bool {
        self.admit_at(self.start.elapsed(), severity, message)
    }

    fn admit_at(&self, since_start: Duration, severity: Severity, message: &str) -> bool {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((severity as u8, message));
        let counter = &self.counters[hash as usize % N_COUNTERS];
        // A new counter has seen no second, not even the first.
        let second = since_start.as_secs() + 1;
        if counter.second.swap(second, Ordering::Relaxed) != second {
            counter.count.store(0, Ordering::Relaxed);
        }
        let n = counter.count.fetch_add(1, Ordering::Relaxed) + 1;
        n <= FIRST || (n - FIRST).is_multiple_of(THEREAFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_of_a_second_then_each_hundredth() {
        let sampler = Sampler::new();
        let admitted = |millis, message, n: usize| {
            let now = Duration::from_millis(millis);
            (0..n).filter(|_| sampler.admit_at(now, Severity::Info, message)).count()
        };
        assert_eq!(admitted(10, "a", 100), 100);
        assert_eq!(admitted(500, "a", 99), 0);
        assert_eq!(admitted(999, "a", 1), 1);
        assert_eq!(admitted(999, "b", 3), 3);
        assert_eq!(admitted(1000, "a", 1000), 109);
        assert!(sampler.admit_at(Duration::from_secs(1), Severity::Warn, "a"));
    }
}
