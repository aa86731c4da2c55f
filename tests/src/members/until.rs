//! Waiting by polling.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

/// Enough for all that tests wait for, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Polls until `ask` succeeds.
///
/// # Panics
///
/// When it does not succeed within `within`, with its last error.
pub async fn until<T>(what: &str, within: Duration, mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + within;
    let mut again = interval(ASK_AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = "there was no response".to_owned();
    loop {
        again.tick().await;
        match timeout_at(deadline, ask()).await {
            Ok(Ok(response)) => return response,
            Ok(Err(reason)) if Instant::now() < deadline => last = reason,
            Ok(Err(reason)) => panic!("{what}: not within {within:?}: {reason}"),
            Err(_) => panic!("{what}: not within {within:?}: {last}"),
        }
    }
}
