//! The key space: writes through the log, reads from this member's state.

use std::sync::Arc;
use std::time::Instant;

use ferretcd_api_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse, request_op,
};
use ferretcd_apply::ApplyError;
use ferretcd_mvcc::{Counts, ReadError, Reader};

use crate::metrics::Metrics;
use crate::metrics::durations::{RequestKind, RequestTimer};
use crate::parts::Parts;
use crate::proposer::Proposer;
use crate::range_stream::{RangeStream, Source};
use crate::read_index::ReadIndex;
use crate::replies::blocking;
use crate::{Caller, MemberInfo, RequestError};

/// Ranges of a store of at most so many keys are read on the caller's thread, as are single keys; others go to
/// a thread that may block. A limit does not help: sorting and counting look at everything.
const INLINE_KEYS_MAX: usize = 512;
/// How often a read at the newest revision starts over because a compaction overtook it.
const OVERTAKEN_MAX: usize = 16;

/// The key space. Responses come with their header.
#[derive(Clone, Debug)]
pub struct Kv {
    proposer: Proposer,
    read_index: ReadIndex,
    reader: Reader,
    metrics: Arc<Metrics>,
    member: MemberInfo,
}

impl Kv {
    pub(crate) fn new(parts: &Parts, reader: Reader) -> Self {
        Self {
            proposer: parts.proposer.clone(),
            read_index: parts.read_index.clone(),
            reader,
            metrics: Arc::clone(&parts.channels.metrics),
            member: parts.member.clone(),
        }
    }

    /// Writes one key. Durable on return.
    pub async fn put(&self, caller: &Caller, request: PutRequest) -> Result<PutResponse, RequestError> {
        self.proposer.propose(caller, request).await
    }

    /// Deletes the keys of a range. Durable on return.
    pub async fn delete_range(
        &self,
        caller: &Caller,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, RequestError> {
        self.proposer.propose(caller, request).await
    }

    /// Executes a transaction. One that only reads never enters the log; others are durable on return.
    pub async fn txn(&self, caller: &Caller, request: TxnRequest) -> Result<TxnResponse, RequestError> {
        if ferretcd_apply::is_read_only(&request) {
            return self.read_txn(request).await;
        }
        self.proposer.propose(caller, request).await
    }

    /// Drops history up to a revision. Returns when that is decided, or, for a physical compaction, when the
    /// rows are gone from the state file.
    pub async fn compact(
        &self,
        caller: &Caller,
        request: CompactionRequest,
    ) -> Result<CompactionResponse, RequestError> {
        self.proposer.propose(caller, request).await
    }

    /// Reads a range. Unless the request says serializable, the response shows every write that was acknowledged
    /// anywhere before this call.
    pub async fn range(
        &self,
        _caller: &Caller,
        request: RangeRequest,
    ) -> Result<RangeResponse, RequestError> {
        let timer = RequestTimer::start(&self.metrics.requests, RequestKind::Range);
        let response = self.timed_range(request).await;
        timer.end(response.is_ok());
        response
    }

    async fn timed_range(&self, request: RangeRequest) -> Result<RangeResponse, RequestError> {
        if !request.serializable {
            self.read_index.wait().await?;
        }
        if request.range_end.is_empty() || self.reader.key_count() <= INLINE_KEYS_MAX {
            return range(self, &request);
        }
        let kv = self.clone();
        blocking(move || range(&kv, &request)).await
    }

    /// Reads a range piece by piece, after a read index unless the request says serializable. A piece has about
    /// `piece_bytes`. The request has neither filters nor a descending order.
    pub async fn range_stream(
        &self,
        _caller: &Caller,
        request: RangeRequest,
        piece_bytes: usize,
    ) -> Result<RangeStream, RequestError> {
        if !request.serializable {
            self.read_index.wait().await?;
        }
        let source = Some(Source::New { view: self.reader.view(), request, piece_bytes });
        Ok(RangeStream { source, metrics: Arc::clone(&self.metrics), member: self.member.clone() })
    }

    async fn read_txn(&self, request: TxnRequest) -> Result<TxnResponse, RequestError> {
        if !is_serializable(&request) {
            self.read_index.wait().await?;
        }
        // The wait does not count, as in etcd.
        let timer = RequestTimer::start(&self.metrics.requests, RequestKind::ReadonlyTxn);
        let (reader, member) = (self.reader.clone(), self.member.clone());
        let result = blocking(move || read_txn(&reader, &member, &request)).await;
        timer.end(result.is_ok());
        let (response, ranges) = result?;
        self.metrics.count_operations(Counts { ranges, txns: u64::from(ranges > 1), ..Counts::default() });
        Ok(response)
    }

    /// Reads of the key space as it is on this member.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// Reads a range from the state as it is on this member now.
fn range(kv: &Kv, request: &RangeRequest) -> Result<RangeResponse, RequestError> {
    let started = Instant::now();
    let mut n_overtaken = 0;
    let response = loop {
        let view = kv.reader.view();
        match ferretcd_apply::range(&view, request) {
            Ok(mut response) => {
                response.header = Some(kv.member.header(view.revision()));
                break Ok(response);
            }
            Err(ReadError::Compacted { .. }) if request.revision <= 0 && n_overtaken < OVERTAKEN_MAX => {
                n_overtaken += 1;
            }
            Err(error) => break Err(error.into()),
        }
    };
    kv.metrics.range_read(response.is_ok(), started.elapsed());
    response
}

/// As [`range`], for a transaction that only reads. Returns the number of ranges as well.
fn read_txn(
    reader: &Reader,
    member: &MemberInfo,
    request: &TxnRequest,
) -> Result<(TxnResponse, u64), RequestError> {
    let mut n_overtaken = 0;
    loop {
        let view = reader.view();
        match ferretcd_apply::read_txn(&view, reader.compacted(), request) {
            Ok((mut response, ranges)) => {
                response.header = Some(member.header(view.revision()));
                return Ok((response, ranges));
            }
            // The client did not name the view's own revision.
            Err(ApplyError::Compacted { requested, .. })
                if requested == view.revision() && n_overtaken < OVERTAKEN_MAX =>
            {
                n_overtaken += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether every operation of the transaction is a serializable range. So it is without operations.
fn is_serializable(txn: &TxnRequest) -> bool {
    txn.success
        .iter()
        .chain(&txn.failure)
        .all(|op| matches!(&op.request, Some(request_op::Request::RequestRange(range)) if range.serializable))
}
