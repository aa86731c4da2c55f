//! A time that can be set while others go by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A duration above which something is slow, and which can be set at any moment. Clones share it. It has nanoseconds, up to
/// some 584 years; longer ones are cut to that.
#[derive(Clone, Debug)]
pub struct Threshold {
    ns: Arc<AtomicU64>,
}

impl Threshold {
    /// One that is `time` until it is set.
    pub fn new(time: Duration) -> Self {
        Self { ns: Arc::new(AtomicU64::new(ns(time))) }
    }

    /// The time that was set last.
    pub fn get(&self) -> Duration {
        Duration::from_nanos(self.ns.load(Ordering::Relaxed))
    }

    /// Puts another time in force, for all clones.
    pub fn set(&self, time: Duration) {
        self.ns.store(ns(time), Ordering::Relaxed);
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
