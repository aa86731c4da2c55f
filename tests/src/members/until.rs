//! Waiting by polling.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, timeout_at};

/// Enough for all that tests wait for, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Polls until `ask` succeeds.
///
/// # Panics
///
/// When it does not succeed within `within`, with its last error.
pub async fn until<T>(what: &str, within: Duration, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut attempts = Attempts::begin(what, within);
    loop {
        if let Some(response) = attempts.next(ask()).await {
            return response;
        }
    }
}

/// [`until`] step by step, for futures that have to be `Send`: those of a closure can't be shown to be.
pub(crate) struct Attempts<'a> {
    what: &'a str,
    within: Duration,
    deadline: Instant,
    again: Interval,
    /// The last error.
    last: String,
}

impl<'a> Attempts<'a> {
    pub(crate) fn begin(what: &'a str, within: Duration) -> Self {
        let mut again = interval(ASK_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let last = "there was no response".to_owned();
        Self { what, within, deadline: Instant::now() + within, again, last }
    }

    /// One more attempt, a while after the one before. None if it fails.
    pub(crate) async fn next<T>(&mut self, attempt: impl Future<Output = Result<T, String>>) -> Option<T> {
        self.again.tick().await;
        let Self { what, within, .. } = self;
        match timeout_at(self.deadline, attempt).await {
            Ok(Ok(response)) => return Some(response),
            Ok(Err(reason)) if Instant::now() < self.deadline => self.last = reason,
            Ok(Err(reason)) => panic!("{what}: not within {within:?}: {reason}"),
            Err(_) => panic!("{what}: not within {within:?}: {}", self.last),
        }
        None
    }
}
