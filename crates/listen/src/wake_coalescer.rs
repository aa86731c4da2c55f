//! Polling a future once for everything that is ready, instead of once for each thing.
//!
//! When a hundred calls on one connection complete together, each response wakes the connection, and the
//! runtime prefers to run the task that was woken last: a hundred polls with one frame each. Here a wake-up only
//! leaves a note, and the next poll comes when the runtime has run every other task that was ready.

use std::sync::Arc;
use std::task::{Wake, Waker};

use tokio::sync::Notify;

/// The wake-ups of one future, gathered.
#[derive(Debug)]
pub(crate) struct WakeCoalescer {
    note: Arc<Note>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Note(Notify);

impl Wake for Note {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

impl WakeCoalescer {
    pub(crate) fn new() -> Self {
        let note = Arc::new(Note::default());
        Self { waker: Waker::from(Arc::clone(&note)), note }
    }

    /// The waker to poll the future with.
    pub(crate) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Waits until the future was woken and, if it `gathers`, until all other tasks have had their turn.
    pub(crate) async fn next(&self, gathers: bool) {
        self.note.0.notified().await;
        if gathers {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Context;

    use super::*;

    #[tokio::test]
    async fn wake_ups_of_one_turn_are_coalesced() {
        let wakes = WakeCoalescer::new();
        wakes.waker().wake_by_ref();
        let waker = wakes.waker().clone();
        let other = tokio::spawn(async move { waker.wake() });
        wakes.next(true).await;
        assert!(other.is_finished(), "the other tasks run first");
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(wakes.next(true)).poll(&mut cx).is_pending(), "two wake-ups, one turn");
    }
}
