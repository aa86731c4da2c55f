//! Requests that are rejected because the state file is full. They get their error when the alarm is in force, so that
//! a rejected client finds the reason.

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::RequestError;
use crate::replies::{Reply, ReplyTo};

/// The requests that wait for their error. Bounded by the requests that clients have under way.
#[derive(Debug, Default)]
pub(crate) struct QuotaExceeded {
    waiting: Mutex<Vec<ReplyTo<Reply>>>,
    /// Notified when something did not fit.
    notify: Notify,
}

impl QuotaExceeded {
    /// Something did not fit. Its proposer, if it is of this member, gets the error once the alarm is raised.
    pub(crate) fn add(&self, to: Option<ReplyTo<Reply>>) {
        self.waiting.lock().extend(to);
        self.notify.notify_one();
    }

    /// As [`Self::add`], for a request that has not been proposed. The receiver gets the error.
    pub(crate) fn register(&self) -> oneshot::Receiver<Result<Reply, RequestError>> {
        let (to, receiver) = oneshot::channel();
        self.add(Some(to));
        receiver
    }

    /// Returns when something did not fit since the last call.
    pub(crate) async fn next(&self) {
        self.notify.notified().await;
    }

    /// Rejects all requests that wait.
    pub(crate) fn reject_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for to in waiting {
            let _ = to.send(Err(RequestError::NoSpace));
        }
    }
}
