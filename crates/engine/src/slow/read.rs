//! Requests that only read.

use std::time::{Duration, Instant};

use ferretcd_api_proto::Loggable as _;
use ferretcd_api_proto::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse, response_op};
use prost::Message as _;

use super::stages::Stages;
use super::trace::{THRESHOLD, Trace};
use super::{TookTooLong, text_of};
use crate::RequestError;
use crate::long_response::KvResponse;

/// A read that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlowRead {
    /// When the request came in.
    pub(crate) since: Instant,
    /// When it went on to read.
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
    /// Above it the request is logged.
    pub(crate) expected: Duration,
}

/// A response to a read, for its line.
pub(crate) trait ReadResponse {
    /// As etcd shows it.
    fn text(&self) -> String;

    /// When its rows were known, if they are read after that.
    fn opened(&self) -> Option<Instant> {
        None
    }

    /// Rows and revision, where they are known.
    fn found(&self) -> Option<(u64, i64)> {
        None
    }
}

impl ReadResponse for RangeResponse {
    fn text(&self) -> String {
        format!("range_response_count:{} size:{}", self.kvs.len(), self.encoded_len())
    }

    fn found(&self) -> Option<(u64, i64)> {
        Some((self.kvs.len() as u64, self.header.as_ref()?.revision))
    }
}

impl ReadResponse for TxnResponse {
    fn text(&self) -> String {
        let counts = self.responses.iter().filter_map(|op| match &op.response {
            Some(response_op::Response::ResponseRange(range)) => {
                Some(format!("range_response_count:{}", range.kvs.len()))
            }
            _ => None,
        });
        let counts = counts.collect::<Vec<_>>().join(" ");
        format!("responses:<{counts}> size:{}", self.encoded_len())
    }
}

impl<M: ReadResponse> ReadResponse for KvResponse<M> {
    fn text(&self) -> String {
        match self {
            Self::Message(message) => message.text(),
            Self::Long(long) => match long.n_rows() {
                Some(rows) => format!("range_response_count:{rows} size:{}", long.bytes()),
                None => format!("size:{}", long.bytes()),
            },
        }
    }

    fn opened(&self) -> Option<Instant> {
        match self {
            Self::Message(_) => None,
            Self::Long(long) => Some(long.opened()),
        }
    }

    fn found(&self) -> Option<(u64, i64)> {
        match self {
            Self::Message(message) => message.found(),
            Self::Long(_) => None,
        }
    }
}

impl SlowRead {
    /// Whether there is something to log.
    pub(crate) fn is_slow(&self) -> bool {
        let took = self.ended.saturating_duration_since(self.since);
        took > self.expected || took > THRESHOLD
    }

    /// Logs a range. Returns whether it took longer than it should.
    pub(crate) fn log_range<R: ReadResponse>(
        &self,
        request: &RangeRequest,
        response: &Result<R, RequestError>,
    ) -> bool {
        let stages = self.stages(response);
        let is_late = self.warn("read-only range ", self.since, || request.loggable(), response, &stages);
        if let Some(mut trace) = self.trace("range") {
            trace.detail("range_begin", String::from_utf8_lossy(&request.key));
            trace.detail("range_end", String::from_utf8_lossy(&request.range_end));
            if let Some((rows, revision)) = response.as_ref().ok().and_then(ReadResponse::found) {
                trace.detail("response_count", rows);
                trace.detail("response_revision", revision);
            }
            self.steps(trace, request.serializable).log(&stages);
        }
        is_late
    }

    /// Logs a transaction, as [`Self::log_range`] does.
    pub(crate) fn log_txn<R: ReadResponse>(
        &self,
        request: &TxnRequest,
        response: &Result<R, RequestError>,
    ) -> bool {
        let stages = self.stages(response);
        // The wait before does not count, as in etcd.
        let is_late = self.warn("read-only txn ", self.started, || request.loggable(), response, &stages);
        if let Some(mut trace) = self.trace("transaction") {
            trace.detail("read_only", true);
            self.steps(trace, false).log(&stages);
        }
        is_late
    }

    fn warn<R: ReadResponse>(
        &self,
        prefix: &'static str,
        begin: Instant,
        request: impl FnOnce() -> String,
        response: &Result<R, RequestError>,
        stages: &str,
    ) -> bool {
        let took = self.ended.saturating_duration_since(begin);
        if took <= self.expected {
            return false;
        }
        let line = TookTooLong {
            took,
            expected: self.expected,
            prefix,
            request: request(),
            response: response.as_ref().map(ReadResponse::text).unwrap_or_default(),
            error: text_of(response),
            stages: stages.to_owned(),
        };
        line.log();
        true
    }

    fn trace(&self, operation: &'static str) -> Option<Trace> {
        let took = self.ended.saturating_duration_since(self.since);
        // No request id: nothing of a read is in the log. The time makes a number as well.
        let id = took.as_nanos() as u64;
        (took > THRESHOLD).then(|| Trace::new(operation, id, self.since, self.ended))
    }

    fn steps(&self, mut trace: Trace, is_serializable: bool) -> Trace {
        if !is_serializable {
            trace.step("agreement among raft nodes before linearized reading", self.started);
        }
        trace.step("assemble the response", self.ended);
        trace
    }

    fn stages<R: ReadResponse>(&self, response: &Result<R, RequestError>) -> String {
        let mut stages = Stages::begin(self.since);
        stages.add("read-index", self.started);
        match response.as_ref().ok().and_then(ReadResponse::opened) {
            Some(opened) => {
                stages.add("range", opened);
                stages.add("encode", self.ended);
            }
            None => stages.add("range", self.ended),
        }
        stages.into_json()
    }
}
