//! Answers on their way from the engine's threads to the futures that wait for them.
//!
//! Waking a task from another thread costs a few microseconds, waking it from a worker of the runtime next
//! to nothing. So the threads hand whole batches of answers to one task, which hands them out.

use std::task::Waker;

use tokio::sync::{mpsc, oneshot};

use crate::RequestError;

/// Batches that may wait for the dispatching task; what comes on top is handed out by its sender.
const BATCHES_MAX: usize = 1024;

/// Where the answer to one request goes.
pub(crate) type ReplyTo<T> = oneshot::Sender<Result<T, RequestError>>;

/// The linearizable reads that wait.
pub(crate) type ReadRounds = ferretcd_raft_node::ReadRounds<ReplyTo<()>>;

/// A successful answer to a proposal, and the store's revision after it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) revision: i64,
    pub(crate) response: ferretcd_apply::Response,
}

/// Answers that become known together.
#[derive(Debug)]
pub(crate) enum Replies {
    Proposals(Vec<(ReplyTo<Reply>, Result<Reply, RequestError>)>),
    /// Reads that may go ahead now.
    Reads(Vec<ReplyTo<()>>),
    /// Readers of watch streams whose queues have something for them.
    Wakers(Vec<Waker>),
}

impl Replies {
    fn hand_out(self) {
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

/// The threads' end of the queue of answers.
#[derive(Clone, Debug)]
pub(crate) struct Dispatcher(mpsc::Sender<Replies>);

impl Dispatcher {
    /// Starts the dispatching task on the runtime. It ends when every `Dispatcher` is gone.
    pub(crate) fn start(runtime: &tokio::runtime::Handle) -> Self {
        let (sender, mut receiver) = mpsc::channel::<Replies>(BATCHES_MAX);
        runtime.spawn(async move {
            while let Some(replies) = receiver.recv().await {
                replies.hand_out();
            }
        });
        Self(sender)
    }

    /// Hands a batch over. Never waits: with a full queue, or without the task, the caller hands the answers
    /// out itself.
    pub(crate) fn send(&self, replies: Replies) {
        if let Err(error) = self.0.try_send(replies) {
            error.into_inner().hand_out();
        }
    }
}
