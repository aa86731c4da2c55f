//! Requests that are refused because the state file is full. They are answered when the alarm that says so is in
//! force, so that whoever is refused finds the reason.

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::RequestError;
use crate::replies::{Reply, ReplyTo};

/// Who waits to be refused. Bounded by the requests that clients have under way.
#[derive(Debug, Default)]
pub(crate) struct QuotaExceeded {
    waiting: Mutex<Vec<ReplyTo<Reply>>>,
    /// Told when something did not fit.
    notify: Notify,
}

impl QuotaExceeded {
    /// Something did not fit. Its proposer, if it is of this member, is answered once the alarm is raised.
    pub(crate) fn add(&self, to: Option<ReplyTo<Reply>>) {
        self.waiting.lock().extend(to);
        self.notify.notify_one();
    }

    /// As [`Self::add`], for a request that has not been proposed. The receiver gets the error to answer with.
    pub(crate) fn register(&self) -> oneshot::Receiver<Result<Reply, RequestError>> {
        let (to, receiver) = oneshot::channel();
        self.add(Some(to));
        receiver
    }

    /// Returns when something did not fit since the last call.
    pub(crate) async fn next(&self) {
        self.notify.notified().await;
    }

    /// Answers everybody.
    pub(crate) fn answer_all(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for to in waiting {
            let _ = to.send(Err(RequestError::NoSpace));
        }
    }
}
