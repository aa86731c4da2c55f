//! Ending streams that would go on for ever when the port drains.

use std::pin::Pin;
use std::task::{Context, Poll};

use ferretcd_api_proto::errors::Error;
use ferretcd_listen::{Drain, DrainWatcher};
use tokio_stream::Stream;
use tonic::Status;

use crate::status::status;

/// The same stream, but after the port has begun to drain it has one item more at most and then ends with the
/// error that the server stops.
#[derive(Debug)]
pub(crate) struct EndOnDrain<S> {
    stream: S,
    drain: DrainWatcher,
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

impl<S> EndOnDrain<S> {
    pub(crate) fn new(stream: S, drain: &Drain) -> Self {
        Self { stream, drain: drain.watcher(), stage: Stage::Running }
    }
}

impl<S, T> Stream for EndOnDrain<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.get_mut();
        if this.stage == Stage::Running && this.drain.has_begun(cx) {
            this.stage = Stage::Draining;
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
    async fn a_stream_ends_by_itself_or_when_the_port_drains() {
        let drain = Drain::new();
        let numbers = || tokio_stream::iter([1, 2, 3]).map(Ok);
        assert_eq!(rest(EndOnDrain::new(numbers(), &drain)).await, [Ok(1), Ok(2), Ok(3)]);

        let silent = tokio::spawn(rest(EndOnDrain::new(pending::<Item>(), &drain)));
        drain.begin();
        let stopped = || Err(Error::Stopped.message().to_owned());
        assert_eq!(silent.await.expect("no panic"), [stopped()]);
        assert_eq!(rest(EndOnDrain::new(numbers(), &drain)).await, [Ok(1), stopped()]);
    }
}
