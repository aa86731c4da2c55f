//! The key space: writes through the log, reads from this member's state.

use std::future::ready;
use std::sync::Arc;
use std::time::Instant;

use ferretcd_api_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, TxnRequest, TxnResponse, request_op,
};
use ferretcd_apply::{ApplyError, check_txn};
use ferretcd_auth::{Access, AuthError, AuthInfo, AuthState};
use ferretcd_base::{KeyRange, Threshold};
use ferretcd_lease::LeaseReader;
use ferretcd_mvcc::{Counts, ReadView, Reader};

use crate::auth::gate::Gate;
use crate::long_response::{KvResponse, RangeStream, Repeatable};
use crate::metrics::Metrics;
use crate::metrics::durations::{RequestKind, RequestTimer};
use crate::parts::Parts;
use crate::proposer::Proposer;
use crate::ranges::Ranges;
use crate::read_index::ReadIndex;
use crate::replies::blocking;
use crate::slow::{ReadResponse, SlowRead};
use crate::{Caller, MemberInfo, RequestError};

/// How often a read at the newest revision starts over because a compaction overtook it.
const OVERTAKEN_MAX: usize = 16;

/// The key space. Responses come with their header.
#[derive(Clone, Debug)]
pub struct Kv {
    proposer: Proposer,
    read_index: ReadIndex,
    reader: Reader,
    ranges: Ranges,
    gate: Gate,
    /// Which keys a lease has.
    leases: LeaseReader,
    metrics: Arc<Metrics>,
    /// Reads that take longer are logged.
    slow_apply: Threshold,
    member: MemberInfo,
}

impl Kv {
    pub(crate) fn new(parts: &Parts, reader: Reader) -> Self {
        Self {
            proposer: parts.proposer.clone(),
            read_index: parts.read_index.clone(),
            ranges: Ranges::new(parts),
            gate: parts.gate.clone(),
            leases: parts.channels.lessor.reader().clone(),
            reader,
            metrics: Arc::clone(&parts.channels.metrics),
            slow_apply: parts.channels.slow_apply.clone(),
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
        self.delete_range_long(caller, request).await?.into_message().await
    }

    /// As [`Self::delete_range`]; many previous rows are read while they are sent.
    pub async fn delete_range_long(
        &self,
        caller: &Caller,
        request: DeleteRangeRequest,
    ) -> Result<KvResponse<DeleteRangeResponse>, RequestError> {
        let partial = self.proposer.propose(caller, request).await?;
        self.ranges.complete(partial, Repeatable::No).await
    }

    /// Executes a transaction. One that only reads never enters the log; others are durable on return.
    pub async fn txn(&self, caller: &Caller, request: TxnRequest) -> Result<TxnResponse, RequestError> {
        self.txn_long(caller, request).await?.into_message().await
    }

    /// As [`Self::txn`]; long ranges are read while they are sent.
    pub async fn txn_long(
        &self,
        caller: &Caller,
        request: TxnRequest,
    ) -> Result<KvResponse<TxnResponse>, RequestError> {
        if ferretcd_apply::is_read_only(&request) {
            return self.read_txn(caller, request).await;
        }
        let partial = self.proposer.propose(caller, request).await?;
        self.ranges.complete(partial, Repeatable::No).await
    }

    /// Drops history up to a revision. Returns when that is decided, or, for a physical compaction, when the
    /// rows are gone from the state file.
    pub async fn compact(
        &self,
        caller: &Caller,
        request: CompactionRequest,
    ) -> Result<CompactionResponse, RequestError> {
        self.gate.check_root(caller).await?;
        self.proposer.propose(caller, request).await
    }

    /// Reads a range. Unless the request says serializable, the response shows every write that was acknowledged
    /// anywhere before this call.
    pub async fn range(&self, caller: &Caller, request: RangeRequest) -> Result<RangeResponse, RequestError> {
        self.timed_range(caller, request, KvResponse::into_message).await
    }

    /// As [`Self::range`]; rows are read while they are sent.
    pub async fn range_long(
        &self,
        caller: &Caller,
        request: RangeRequest,
    ) -> Result<KvResponse<RangeResponse>, RequestError> {
        self.timed_range(caller, request, |response| ready(Ok(response))).await
    }

    /// Reads a range, and does with the response what belongs to the same read: it starts over with it.
    async fn timed_range<T, F>(
        &self,
        caller: &Caller,
        request: RangeRequest,
        finish: impl Fn(KvResponse<RangeResponse>) -> F,
    ) -> Result<T, RequestError>
    where
        T: ReadResponse,
        F: Future<Output = Result<T, RequestError>>,
    {
        let timer = RequestTimer::start(&self.metrics.requests, RequestKind::Range);
        let since = timer.started();
        let confirmed = if request.serializable { Ok(()) } else { self.read_index.wait().await };
        let started = Instant::now();
        let response = match confirmed {
            Ok(()) => {
                let read = async |view| finish(self.read_range(view, &request).await?).await;
                let read = self.read_newest(request.revision <= 0, read);
                let response = self.gate.guard(caller, may_read(&request), read).await;
                self.metrics.range_read(response.is_ok(), started.elapsed());
                response
            }
            Err(error) => Err(error),
        };
        let ended = Instant::now();
        let read = SlowRead { since, started, ended, expected: self.slow_apply.get() };
        if read.is_slow() && read.log_range(&request, &response) {
            self.metrics.slow_applies.inc();
        }
        timer.end_at(ended, response.is_ok());
        response
    }

    async fn read_range(
        &self,
        view: ReadView,
        request: &RangeRequest,
    ) -> Result<KvResponse<RangeResponse>, RequestError> {
        let header = self.member.header(view.revision());
        if !request.range_end.is_empty() {
            return self.ranges.range(view, request, header).await;
        }
        let response = ferretcd_apply::range(&view, request)?;
        Ok(KvResponse::Message(RangeResponse { header: Some(header), ..response }))
    }

    /// Reads a range in several messages, after a read index unless the request says serializable. The request has neither
    /// filters nor a descending order.
    pub async fn range_stream(
        &self,
        caller: &Caller,
        request: RangeRequest,
    ) -> Result<RangeStream, RequestError> {
        if !request.serializable {
            self.read_index.wait().await?;
        }
        let started = Instant::now();
        let open = |view: ReadView| {
            let header = self.member.header(view.revision());
            self.ranges.stream(view, &request, header)
        };
        let open = self.read_newest(request.revision <= 0, open);
        let stream = self.gate.guard(caller, may_read(&request), open).await;
        self.metrics.range_read(stream.is_ok(), started.elapsed());
        stream
    }

    async fn read_txn(
        &self,
        caller: &Caller,
        request: TxnRequest,
    ) -> Result<KvResponse<TxnResponse>, RequestError> {
        let mut since = None;
        if !is_serializable(&request) {
            since = Some(Instant::now());
            self.read_index.wait().await?;
        }
        // The wait does not count, as in etcd.
        let timer = RequestTimer::start(&self.metrics.requests, RequestKind::ReadonlyTxn);
        let request = Arc::new(request);
        let read = self.read_newest(true, |view| self.read_txn_at(view, Arc::clone(&request)));
        let check = |state: &AuthState, info: AuthInfo<'_>| check_txn(state, info, &self.leases, &request);
        let result = self.gate.guard(caller, check, read).await;
        let (started, ended) = (timer.started(), Instant::now());
        timer.end_at(ended, result.is_ok());
        let (result, ranges) = match result {
            Ok((response, ranges)) => (Ok(response), ranges),
            Err(error) => (Err(error), 0),
        };
        let since = since.unwrap_or(started);
        let read = SlowRead { since, started, ended, expected: self.slow_apply.get() };
        if read.is_slow() && read.log_txn(&request, &result) {
            self.metrics.slow_applies.inc();
        }
        let response = result?;
        self.metrics.count_operations(Counts { ranges, txns: u64::from(ranges > 1), ..Counts::default() });
        Ok(response)
    }

    /// Returns the number of ranges as well.
    async fn read_txn_at(
        &self,
        view: ReadView,
        request: Arc<TxnRequest>,
    ) -> Result<(KvResponse<TxnResponse>, u64), RequestError> {
        let header = self.member.header(view.revision());
        let compacted = self.reader.compacted();
        let (partial, ranges) =
            blocking(move || Ok(ferretcd_apply::read_txn(&view, compacted, &request)?)).await?;
        let partial = partial.map(|txn| TxnResponse { header: Some(header), ..txn });
        Ok((self.ranges.complete(partial, Repeatable::Yes).await?, ranges))
    }

    /// Reads from the state as it is on this member now; once more if a compaction has overtaken a read of the newest
    /// revision, which the client did not name.
    async fn read_newest<T, F>(
        &self,
        is_newest: bool,
        read: impl Fn(ReadView) -> F,
    ) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, RequestError>>,
    {
        let mut n_overtaken = 0;
        loop {
            let view = self.reader.view();
            let revision = view.revision();
            match read(view).await {
                Err(RequestError::Apply(ApplyError::Compacted { requested, .. }))
                    if is_newest && requested == revision && n_overtaken < OVERTAKEN_MAX =>
                {
                    n_overtaken += 1;
                }
                result => return result,
            }
        }
    }

    /// Reads of the key space as it is on this member.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

/// The check of a range.
fn may_read(request: &RangeRequest) -> impl Fn(&AuthState, AuthInfo<'_>) -> Result<(), AuthError> + use<> {
    let range = KeyRange::from_wire(request.key.clone(), request.range_end.clone());
    move |state, info| state.check_access(info, Access::Read, &range)
}

/// Whether every operation of the transaction is a serializable range. So it is without operations.
fn is_serializable(txn: &TxnRequest) -> bool {
    txn.success
        .iter()
        .chain(&txn.failure)
        .all(|op| matches!(&op.request, Some(request_op::Request::RequestRange(range)) if range.serializable))
}
