//! Reads: one key, ranges, transactions that only read, and the barrier before linearizable ones.

use std::time::Instant;

use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse, request_op};
use ferretcd_apply::ApplyError;
use ferretcd_mvcc::ReadView;
use tokio::sync::oneshot;

use crate::handle::answer;
use crate::{Engine, RequestError};

/// Ranges of a store of at most so many keys are read on the caller's thread, as are single keys; others go to
/// a thread that may block. A limit does not help: sorting and counting look at everything.
const INLINE_KEYS_MAX: usize = 512;
/// How often a read at the newest revision starts over because a compaction overtook it.
const OVERTAKEN_MAX: usize = 16;

impl Engine {
    /// Reads a range: unless the request says serializable, everything that was answered anywhere before
    /// this call is seen.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, RequestError> {
        if !request.serializable {
            self.read_barrier().await?;
        }
        self.metrics().ranges.inc();
        if request.range_end.is_empty() || self.0.reader.key_count() <= INLINE_KEYS_MAX {
            return self.range_now(&request);
        }
        let engine = self.clone();
        blocking(move || engine.range_now(&request)).await
    }

    /// Reads a range from the state as it is on this member now.
    fn range_now(&self, request: &RangeRequest) -> Result<RangeResponse, RequestError> {
        let mut overtaken = 0;
        loop {
            let view = self.0.reader.view();
            match ferretcd_apply::range(&view, request) {
                Ok(mut response) => {
                    response.header = Some(self.header(view.revision()));
                    return Ok(response);
                }
                Err(ferretcd_mvcc::ReadError::Compacted { .. })
                    if request.revision <= 0 && overtaken < OVERTAKEN_MAX =>
                {
                    overtaken += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub(crate) async fn read_txn(&self, request: TxnRequest) -> Result<TxnResponse, RequestError> {
        if !is_serializable(&request) {
            self.read_barrier().await?;
        }
        self.metrics().ranges.inc();
        let engine = self.clone();
        blocking(move || engine.read_txn_now(&request)).await
    }

    fn read_txn_now(&self, request: &TxnRequest) -> Result<TxnResponse, RequestError> {
        let reader = &self.0.reader;
        let mut overtaken = 0;
        loop {
            let view = reader.view();
            match ferretcd_apply::read_txn(&view, reader.compacted(), request) {
                Ok(mut response) => {
                    response.header = Some(self.header(view.revision()));
                    return Ok(response);
                }
                // Of the view's own revision nobody has asked.
                Err(ApplyError::Compacted { requested, .. })
                    if requested == view.revision() && overtaken < OVERTAKEN_MAX =>
                {
                    overtaken += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A view for several reads at one revision, after a read index if it is to be linearizable.
    pub async fn read_view(&self, linearizable: bool) -> Result<ReadView, RequestError> {
        if linearizable {
            self.read_barrier().await?;
        }
        Ok(self.0.reader.view())
    }

    /// Whether this member knows without asking anybody that it leads and has applied everything that is committed.
    pub(crate) fn is_up_to_date_alone(&self) -> bool {
        let applied = || self.0.read_rounds.applied_index();
        self.0.node.read_index_as_sole_voter().is_some_and(|index| applied() >= index)
    }

    /// Waits until this member has applied everything that was committed when it was called.
    pub(crate) async fn read_barrier(&self) -> Result<(), RequestError> {
        let inner = &*self.0;
        if inner.shared.is_stopping() {
            return Err(RequestError::Stopped);
        }
        if self.is_up_to_date_alone() {
            return Ok(());
        }
        let (sender, receiver) = oneshot::channel();
        if inner.read_rounds.add(Instant::now(), sender) {
            inner.submissions.wake();
        }
        if inner.shared.is_stopping() {
            return Err(RequestError::Stopped);
        }
        answer(receiver).await
    }
}

/// Is the transaction content with what this member has? One without operations is.
fn is_serializable(txn: &TxnRequest) -> bool {
    txn.success
        .iter()
        .chain(&txn.failure)
        .all(|op| matches!(&op.request, Some(request_op::Request::RequestRange(range)) if range.serializable))
}

/// Runs work that may wait for a disk where it blocks nobody.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RequestError> + Send + 'static,
) -> Result<T, RequestError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(RequestError::Stopped))
}
