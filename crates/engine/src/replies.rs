//! Outcomes on their way from the engine's threads to the futures that wait for them.
//!
//! Waking a task from another thread costs a few microseconds, waking it from a worker of the runtime next
//! to nothing. So the threads hand whole batches of outcomes to one task, which completes the futures.

use std::task::Waker;

use tokio::sync::{mpsc, oneshot};

use crate::RequestError;
use crate::slow::SlowWrite;

/// Batches that may wait for the dispatching task; with more of them the sending thread completes the futures.
const BATCHES_MAX: usize = 1024;

/// Where the outcome of one request goes.
pub(crate) type ReplyTo<T> = oneshot::Sender<Result<T, RequestError>>;

/// The linearizable reads that wait.
pub(crate) type ReadRounds = ferretcd_raft_node::ReadRounds<ReplyTo<()>>;

/// The response to a proposal, and the store's revision after it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) revision: i64,
    pub(crate) response: ferretcd_apply::Response,
    /// Present if it took long.
    pub(crate) slow: Option<Box<SlowWrite>>,
}

/// Outcomes that become known together.
#[derive(Debug)]
pub(crate) enum Replies {
    Proposals(Vec<(ReplyTo<Reply>, Result<Reply, RequestError>)>),
    /// Reads that may go ahead now.
    Reads(Vec<ReplyTo<()>>),
    /// Readers of watch streams whose queues have something for them.
    Wakers(Vec<Waker>),
}

impl Replies {
    fn complete(self) {
        // A receiver that is gone belongs to a client that went away.
        match self {
            Self::Proposals(replies) => {
                for (to, reply) in replies {
                    let _ = to.send(reply);
                }
            }
            Self::Reads(waiters) => {
                for to in waiters {
                    let _ = to.send(Ok(()));
                }
            }
            Self::Wakers(readers) => readers.into_iter().for_each(Waker::wake),
        }
    }
}

/// The threads' end of the queue of outcomes.
#[derive(Clone, Debug)]
pub(crate) struct Dispatcher(mpsc::Sender<Replies>);

impl Dispatcher {
    /// Starts the dispatching task on the runtime. It ends when every `Dispatcher` is gone.
    pub(crate) fn start(runtime: &tokio::runtime::Handle) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Replies>(BATCHES_MAX);
        runtime.spawn(async move {
            while let Some(replies) = receiver.recv().await {
                replies.complete();
            }
        });
        Self(sender)
    }

    /// Hands a batch over. Never waits: with a full queue, or without the task, the calling thread completes the
    /// futures itself.
    pub(crate) fn send(&self, replies: Replies) {
        if let Err(error) = self.0.try_send(replies) {
            error.into_inner().complete();
        }
    }
}

/// Waits for an outcome. The sender goes away without one only when the member stops.
pub(crate) async fn outcome<T>(
    receiver: oneshot::Receiver<Result<T, RequestError>>,
) -> Result<T, RequestError> {
    receiver.await.unwrap_or(Err(RequestError::Stopped))
}

/// Runs work that may wait for a disk on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RequestError> + Send + 'static,
) -> Result<T, RequestError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(RequestError::Stopped))
}
