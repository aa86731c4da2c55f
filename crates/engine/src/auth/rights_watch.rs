//! Waiting for changes of users, roles and rights.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::watch;
use tokio::task::unconstrained;

type Changed = Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send + Sync>>;

/// Tells one task of changes.
pub(crate) struct RightsWatch(Changed);

impl fmt::Debug for RightsWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RightsWatch").finish_non_exhaustive()
    }
}

impl RightsWatch {
    /// Tells of changes from now on.
    pub(crate) fn new(sender: &watch::Sender<u64>) -> Self {
        Self(next(sender.subscribe()))
    }

    /// Ready once after one change or several; the task is woken for that.
    pub(crate) fn poll_changed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let receiver = ready!(self.0.as_mut().poll(cx));
        self.0 = next(receiver);
        Poll::Ready(())
    }
}

fn next(mut receiver: watch::Receiver<u64>) -> Changed {
    Box::pin(async move {
        // Its turn is the stream's. The sender lives as long as its other ends.
        let _ = unconstrained(receiver.changed()).await;
        receiver
    })
}
