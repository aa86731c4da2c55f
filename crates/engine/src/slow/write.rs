//! Requests that go through the log.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_api_proto::Loggable as _;
use ferretcd_api_proto::etcdserverpb::InternalRaftRequest;
use ferretcd_apply::{ApplyError, Response};
use ferretcd_raft_node::{NodeHandle, Passage};
use prost::Message as _;

use super::stages::Stages;
use super::trace::{THRESHOLD, Trace};
use super::{TookTooLong, text_of};

/// An entry that the apply thread has executed.
pub(crate) struct AppliedEntry {
    /// The entry, which is that of a request.
    pub(crate) entry: Bytes,
    pub(crate) index: u64,
    pub(crate) started: Instant,
    pub(crate) ended: Instant,
}

/// A request that took long, with what its line needs.
#[derive(Debug)]
pub(crate) struct SlowWrite {
    entry: Bytes,
    passage: Passage,
    started: Instant,
    applied: Instant,
}

impl AppliedEntry {
    /// Logs the entry if its execution took longer than it should. Returns whether it did.
    pub(crate) fn warn_if_slow(&self, expected: Duration, result: &Result<Response, ApplyError>) -> bool {
        let took = self.ended.saturating_duration_since(self.started);
        if took <= expected {
            return false;
        }
        let mut stages = Stages::begin(self.started);
        stages.add("apply", self.ended);
        let line = TookTooLong {
            took,
            expected,
            prefix: "",
            request: decoded(&self.entry).loggable(),
            response: result
                .as_ref()
                .ok()
                .and_then(size)
                .map(|size| format!("size:{size}"))
                .unwrap_or_default(),
            error: text_of(result),
            stages: stages.into_json(),
        };
        line.log();
        true
    }

    /// What a request is to be traced with that has waited for this entry since `since`; `None` if it is fast. Costs a
    /// comparison then.
    pub(crate) fn if_slow(self, id: u64, since: Instant, node: &NodeHandle) -> Option<Box<SlowWrite>> {
        let Self { entry, index, ended, started } = self;
        (ended.saturating_duration_since(since) > THRESHOLD)
            .then(|| Box::new(SlowWrite { entry, passage: node.passage(id, index), started, applied: ended }))
    }
}

impl SlowWrite {
    /// Writes the line of a request that came in at `since` and has its response now.
    pub(crate) fn log(self, since: Instant, revision: i64, response: &Response) {
        let Self { entry, passage, started, applied } = self;
        let end = Instant::now();
        let request = decoded(&entry);
        let id = request.header.as_ref().map_or(0, |header| header.id);
        let Some(operation) = operation(&request) else { return };
        let mut trace = Trace::new(operation, id, since, end);
        describe(&request, response, &mut trace);
        trace.detail("response_revision", revision);
        trace.step("process raft request", started);
        let mut stages = Stages::begin(since);
        stages.add("queue", passage.taken);
        stages.add("propose", passage.appended);
        stages.add("sync", passage.synced);
        stages.add("replicate", passage.committed);
        stages.add("apply", applied);
        stages.add("encode", end);
        trace.log(&stages.into_json());
    }
}

/// What is applied was decoded before.
fn decoded(entry: &Bytes) -> InternalRaftRequest {
    InternalRaftRequest::decode(entry.clone()).unwrap_or_default()
}

/// The name of those requests that are traced.
fn operation(request: &InternalRaftRequest) -> Option<&'static str> {
    let named = [
        (request.put.is_some(), "put"),
        (request.delete_range.is_some(), "delete_range"),
        (request.txn.is_some(), "transaction"),
        (request.compaction.is_some(), "compact"),
        (request.lease_grant.is_some(), "lease_grant"),
        (request.lease_revoke.is_some(), "lease_revoke"),
    ];
    named.into_iter().find_map(|(is_this, name)| is_this.then_some(name))
}

fn describe(request: &InternalRaftRequest, response: &Response, trace: &mut Trace) {
    if let Some(put) = &request.put {
        trace.detail("key", String::from_utf8_lossy(&put.key));
        trace.detail("req_size", put.encoded_len());
    }
    if let Some(delete) = &request.delete_range {
        trace.detail("key", String::from_utf8_lossy(&delete.key));
        trace.detail("range_end", String::from_utf8_lossy(&delete.range_end));
    }
    if request.txn.is_some() {
        trace.detail("read_only", false);
        if let Response::Txn(partial) = response {
            trace.detail("number_of_response", partial.message.responses.len());
        }
    }
    if let Some(compaction) = &request.compaction {
        trace.detail("revision", compaction.revision);
    }
}

/// Bytes of the response as etcd counts them, where that is known.
fn size(response: &Response) -> Option<usize> {
    match response {
        Response::Put(response) => Some(response.encoded_len()),
        Response::DeleteRange(partial) if partial.deferred.is_empty() => Some(partial.message.encoded_len()),
        Response::Txn(partial) if partial.deferred.is_empty() => Some(partial.message.encoded_len()),
        _ => None,
    }
}
