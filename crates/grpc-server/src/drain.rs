//! Ending calls that would go on for ever when the server drains.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use ferretcd_api_proto::errors::Error;
use tokio::sync::watch;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tonic::Status;

use crate::status::status;

/// Whether the server drains. Clones tell the same.
#[derive(Clone, Debug)]
pub(crate) struct Drain(Arc<watch::Sender<bool>>);

impl Drain {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Whether it drains, now and after each change.
    pub(crate) fn changes(&self) -> WatchStream<bool> {
        WatchStream::new(self.0.subscribe())
    }

    /// For a stream that asks by itself.
    pub(crate) fn ending(&self) -> Ends {
        Ends { changes: self.changes(), drain: self.clone(), told: None }
    }

    /// The same stream, but after the server has begun to drain it has one item more at most and then ends
    /// with the word that the server stops.
    pub(crate) fn end<S>(&self, stream: S) -> Ending<S> {
        Ending { stream, changes: self.changes(), stage: Stage::Running }
    }
}

/// See [`Drain::end`].
#[derive(Debug)]
pub(crate) struct Ending<S> {
    stream: S,
    changes: WatchStream<bool>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Draining,
    /// The one item was given.
    Ending,
    Over,
}

impl<S, T> Stream for Ending<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.get_mut();
        while this.stage == Stage::Running
            && let Poll::Ready(Some(drains)) = Pin::new(&mut this.changes).poll_next(cx)
        {
            this.stage = if drains { Stage::Draining } else { Stage::Running };
        }
        if this.stage == Stage::Over {
            return Poll::Ready(None);
        }
        if this.stage != Stage::Ending
            && let Poll::Ready(item) = Pin::new(&mut this.stream).poll_next(cx)
        {
            this.stage = if this.stage == Stage::Draining { Stage::Ending } else { this.stage };
            return Poll::Ready(item);
        }
        if this.stage == Stage::Running {
            return Poll::Pending;
        }
        this.stage = Stage::Over;
        Poll::Ready(Some(Err(status(Error::Stopped))))
    }
}

/// See [`Drain::ending`].
#[derive(Debug)]
pub(crate) struct Ends {
    drain: Drain,
    changes: WatchStream<bool>,
    /// Who is told when it begins.
    told: Option<Waker>,
}

impl Ends {
    /// Whether the server drains; the task is woken when it begins to. Costs a look when the same task asks again.
    pub(crate) fn has_begun(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.told.as_ref().is_some_and(|told| told.will_wake(cx.waker())) {
            while let Poll::Ready(Some(_)) = Pin::new(&mut self.changes).poll_next(cx) {}
            self.told = Some(cx.waker().clone());
        }
        self.drain.has_begun()
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;
    use tokio_stream::pending;

    use super::*;

    type Item = Result<u8, Status>;

    async fn rest(stream: impl Stream<Item = Item> + Unpin) -> Vec<Result<u8, String>> {
        let items: Vec<Item> = stream.collect().await;
        items.into_iter().map(|item| item.map_err(|status| status.message().to_owned())).collect()
    }

    #[tokio::test]
    async fn a_stream_ends_by_itself_or_when_the_server_drains() {
        let drain = Drain::new();
        let numbers = || tokio_stream::iter([1, 2, 3]).map(Ok);
        assert_eq!(rest(drain.end(numbers())).await, [Ok(1), Ok(2), Ok(3)]);

        let silent = tokio::spawn(rest(drain.end(pending::<Item>())));
        drain.begin();
        let stopped = || Err(Error::Stopped.message().to_owned());
        assert_eq!(silent.await.expect("no panic"), [stopped()]);
        assert_eq!(rest(drain.end(numbers())).await, [Ok(1), stopped()]);
        assert!(drain.has_begun());
    }
}
