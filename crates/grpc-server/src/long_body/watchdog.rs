//! Clients that do not read.

use std::sync::Arc;
use std::time::Duration;

use ferretcd_listen::Closer;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

/// Closes the connection of a client that takes nothing.
pub(super) struct Watchdog {
    /// Since when the client has had something to take.
    given_at: Arc<Mutex<Option<Instant>>>,
    task: AbortHandle,
}

impl Watchdog {
    pub(super) fn start(closer: Closer, stall_max: Duration) -> Self {
        let given_at = Arc::new(Mutex::new(Some(Instant::now())));
        let watched = Arc::clone(&given_at);
        let task = tokio::spawn(async move {
            loop {
                let given_at = *watched.lock();
                let end = given_at.unwrap_or_else(Instant::now) + stall_max;
                if end <= Instant::now() {
                    return closer.close("the client does not read a response");
                }
                sleep_until(end).await;
            }
        });
        Self { given_at, task: task.abort_handle() }
    }

    /// The response is not ready: that is not the client's fault.
    pub(super) fn busy(&self) {
        *self.given_at.lock() = None;
    }

    pub(super) fn given(&self) {
        *self.given_at.lock() = Some(Instant::now());
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.task.abort();
    }
}
