//! A time that can be set while the member runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Threshold {
    ns: Arc<AtomicU64>,
}

impl Threshold {
    pub(crate) fn new(time: Duration) -> Self {
        Self { ns: Arc::new(AtomicU64::new(ns(time))) }
    }

    pub(crate) fn get(&self) -> Duration {
        Duration::from_nanos(self.ns.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, time: Duration) {
        self.ns.store(ns(time), Ordering::Relaxed);
    }
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
