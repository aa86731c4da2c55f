//! When a stream sends progress notices.

use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Ticks for ever.
#[derive(Debug)]
pub(super) struct Ticker {
    period: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Ticker {
    /// Ticks each `interval` and up to a tenth of it more: streams that were opened together, as after a
    /// restart, are not to tick together for ever.
    pub(super) fn new(interval: Duration) -> Self {
        let random = RandomState::new().hash_one(());
        let period = interval + interval.mul_f64(0.1 * (random as f64 / u64::MAX as f64));
        Self { period, sleep: Box::pin(sleep(period)) }
    }

    /// Ready at each tick; the next period begins when it is seen.
    pub(super) fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().poll(cx).map(|()| self.sleep.as_mut().reset(Instant::now() + self.period))
    }
}
