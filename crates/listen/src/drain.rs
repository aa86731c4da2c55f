//! Whether a port drains.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;

/// Begins once, and is then seen by ports and by calls that would go on for ever. Clones share it.
#[derive(Clone, Debug)]
pub struct Drain(Arc<Stages>);

#[derive(Debug)]
struct Stages {
    has_begun: watch::Sender<bool>,
    is_closed: watch::Sender<bool>,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// One that has not begun.
    pub fn new() -> Self {
        let (has_begun, is_closed) = (watch::Sender::new(false), watch::Sender::new(false));
        Self(Arc::new(Stages { has_begun, is_closed }))
    }

    /// Begins to drain.
    pub fn begin(&self) {
        self.0.has_begun.send_replace(true);
    }

    /// Ends the drain: ports close the connections that are left without waiting for their calls.
    pub fn close(&self) {
        self.begin();
        self.0.is_closed.send_replace(true);
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        *self.0.has_begun.borrow()
    }

    /// Waits until it begins.
    pub async fn begun(&self) {
        // The sender is alive, so there is no error.
        let _ = self.0.has_begun.subscribe().wait_for(|has_begun| *has_begun).await;
    }

    /// Waits for [`Self::close`].
    pub(crate) async fn closed(&self) {
        let _ = self.0.is_closed.subscribe().wait_for(|is_closed| *is_closed).await;
    }

    /// Whether it has begun, now and after each change.
    pub fn changes(&self) -> impl Stream<Item = bool> + Send + Unpin + use<> {
        WatchStream::new(self.0.has_begun.subscribe())
    }

    /// For a future that polls by itself.
    pub fn watcher(&self) -> DrainWatcher {
        DrainWatcher {
            changes: WatchStream::new(self.0.has_begun.subscribe()),
            drain: self.clone(),
            registered: None,
        }
    }
}

/// See [`Drain::watcher`].
#[derive(Debug)]
pub struct DrainWatcher {
    drain: Drain,
    changes: WatchStream<bool>,
    /// The task that is woken at the beginning.
    registered: Option<Waker>,
}

impl DrainWatcher {
    /// Whether it has begun; the task is woken when it begins. Costs a look if the same task polls again.
    pub fn has_begun(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            while let Poll::Ready(Some(_)) = Pin::new(&mut self.changes).poll_next(cx) {}
            self.registered = Some(cx.waker().clone());
        }
        self.drain.has_begun()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_beginning() {
        let drain = Drain::new();
        let (waiting, mut watcher) = (drain.clone(), drain.watcher());
        let waits = tokio::spawn(async move { waiting.begun().await });
        let watches = tokio::spawn(poll_fn(move |cx| match watcher.has_begun(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }));
        tokio::task::yield_now().await;
        assert!(!drain.has_begun() && !waits.is_finished() && !watches.is_finished());
        drain.begin();
        waits.await.expect("no panic");
        watches.await.expect("no panic");
        drain.begun().await;
        assert!(drain.has_begun());
    }
}
