//! Responses whose rows are still to be read.
//!
//! A response with long lists is not built as a whole: it is the message without those lists, and for each of them the
//! range that it shows. Opened, the ranges say how long they are, so that the message can be encoded around rows that are
//! read while it is sent.

use std::collections::VecDeque;

use ferretcd_api_proto::etcdserverpb::{
    DeleteRangeResponse, RangeRequest, RangeResponse, ResponseOp, TxnResponse, response_op::Response,
};
use ferretcd_base::KeyRange;
use ferretcd_mvcc::{ReadError, ReadView, Snapshot};
use prost::Message;

use crate::encoded::Encoded;
use crate::range::OpenRange;
use crate::range_plan::RangePlan;

/// Keys of a range that is read at once, at most.
const WHOLE_KEYS_MAX: usize = 512;
/// Bytes of rows of a response that is read at once, at most, but for the last row.
pub const WHOLE_BYTES_MAX: u64 = 64 << 10;

/// A response, some of whose lists of rows may be still to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct PartialResponse<M> {
    /// The response. Lists that are still to be read are empty in it, and so are `more` and `count` beside them.
    pub message: M,
    /// The lists that are still to be read, by their place.
    pub deferred: Vec<DeferredList>,
}

/// A list of rows that is still to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct DeferredList {
    /// Its place among the ranges and deletions of the response, in their order.
    pub place: usize,
    /// What it shows.
    pub view: ReadView,
    /// Which rows.
    pub plan: RangePlan,
}

impl DeferredList {
    /// Finds its rows; see [`RangePlan::open`].
    pub fn open(&self) -> Result<OpenRange, ReadError> {
        self.plan.open(&self.view.snapshot())
    }
}

impl<M> From<M> for PartialResponse<M> {
    fn from(message: M) -> Self {
        Self { message, deferred: Vec::new() }
    }
}

impl<M> PartialResponse<M> {
    /// The same with another message.
    pub fn map<N>(self, map: impl FnOnce(M) -> N) -> PartialResponse<N> {
        PartialResponse { message: map(self.message), deferred: self.deferred }
    }
}

/// Reads the short ranges of a response at once, and defers the others.
#[derive(Debug)]
pub(crate) struct ListReader {
    pub(crate) deferred: Vec<DeferredList>,
    next_place: usize,
    /// Bytes that may still be read at once.
    bytes_left: u64,
}

impl ListReader {
    pub(crate) fn new() -> Self {
        Self { deferred: Vec::new(), next_place: 0, bytes_left: WHOLE_BYTES_MAX }
    }

    /// The response of the next place; without rows if they are deferred.
    pub(crate) fn read(
        &mut self,
        snapshot: &Snapshot<'_>,
        request: &RangeRequest,
    ) -> Result<RangeResponse, ReadError> {
        let place = self.next_place;
        self.next_place += 1;
        let plan = RangePlan::new(request);
        if !self.is_short(snapshot, &plan)? {
            self.deferred.push(DeferredList { place, view: snapshot.to_view(), plan });
            return Ok(RangeResponse::default());
        }
        let response = plan.open(snapshot)?.read_all(snapshot)?;
        let bytes: usize = response.kvs.iter().map(|row| row.as_bytes().len()).sum();
        self.bytes_left = self.bytes_left.saturating_sub(bytes as u64);
        Ok(response)
    }

    /// A place without rows.
    pub(crate) fn skip(&mut self) {
        self.next_place += 1;
    }

    /// Costs what [`Snapshot::extent`] does, and next to nothing for a single key.
    fn is_short(&self, snapshot: &Snapshot<'_>, plan: &RangePlan) -> Result<bool, ReadError> {
        if let KeyRange::Key(_) = plan.keys {
            return Ok(self.bytes_left > 0);
        }
        // Much may have changed since an older revision.
        if plan.selection.at.is_some_and(|at| at < snapshot.revision()) {
            return Ok(false);
        }
        let extent = snapshot.extent(&plan.keys, None, 0)?;
        Ok(extent.count <= WHOLE_KEYS_MAX && extent.bytes <= self.bytes_left)
    }
}

/// A response with lists of rows.
pub trait Lists: Message {
    /// Encodes the response around lists that are still to be read, of which those of its own places are taken.
    fn encode_around(&self, lists: &mut OpenLists) -> Encoded;
}

/// Opened lists, ascending by their place.
#[derive(Debug, Default)]
pub struct OpenLists {
    lists: VecDeque<(usize, OpenRange)>,
    next_place: usize,
}

impl OpenLists {
    /// Adds one behind those that are there.
    pub fn push(&mut self, place: usize, range: OpenRange) {
        debug_assert!(self.lists.back().is_none_or(|(last, _)| *last < place));
        self.lists.push_back((place, range));
    }

    /// The list of the next place, if it is one of these.
    fn next(&mut self) -> Option<OpenRange> {
        let place = self.next_place;
        self.next_place += 1;
        self.lists.pop_front_if(|(next, _)| *next == place).map(|(_, range)| range)
    }
}

impl Lists for RangeResponse {
    fn encode_around(&self, lists: &mut OpenLists) -> Encoded {
        let Some(OpenRange { response, rows }) = lists.next() else { return Encoded::of(self) };
        let mut encoded = Encoded::of(&RangeResponse { header: self.header, ..RangeResponse::default() });
        encoded.push_rows(field::KVS, rows);
        // The fields behind the rows, which have none of their own.
        encoded.push_message(&response);
        encoded
    }
}

impl Lists for DeleteRangeResponse {
    fn encode_around(&self, lists: &mut OpenLists) -> Encoded {
        let mut encoded = Encoded::of(self);
        if let Some(OpenRange { rows, .. }) = lists.next() {
            encoded.push_rows(field::PREV_KVS, rows);
        }
        encoded
    }
}

impl Lists for TxnResponse {
    /// Calls itself for each level of nested transactions, which are few.
    fn encode_around(&self, lists: &mut OpenLists) -> Encoded {
        let head = Self { header: self.header, succeeded: self.succeeded, responses: Vec::new() };
        let mut encoded = Encoded::of(&head);
        for op in &self.responses {
            encoded.push_field(field::RESPONSES, encode_operation(op, lists));
        }
        encoded
    }
}

fn encode_operation(op: &ResponseOp, lists: &mut OpenLists) -> Encoded {
    let (tag, inner) = match &op.response {
        Some(Response::ResponseRange(range)) => (field::RESPONSE_RANGE, range.encode_around(lists)),
        Some(Response::ResponseDeleteRange(delete)) => {
            (field::RESPONSE_DELETE_RANGE, delete.encode_around(lists))
        }
        Some(Response::ResponseTxn(txn)) => (field::RESPONSE_TXN, txn.encode_around(lists)),
        Some(Response::ResponsePut(_)) | None => return Encoded::of(op),
    };
    let mut encoded = Encoded::default();
    encoded.push_field(tag, inner);
    encoded
}

/// Numbers of fields; see `proto/etcdserverpb/rpc.proto`.
pub(crate) mod field {
    /// Of `RangeResponse`.
    pub(crate) const KVS: u32 = 2;
    /// Of `DeleteRangeResponse`.
    pub(super) const PREV_KVS: u32 = 3;
    /// Of `RangeStreamResponse`.
    pub(crate) const RANGE_RESPONSE: u32 = 1;
    /// Of `TxnResponse`.
    pub(super) const RESPONSES: u32 = 3;
    /// Of `ResponseOp`.
    pub(super) const RESPONSE_RANGE: u32 = 1;
    pub(super) const RESPONSE_DELETE_RANGE: u32 = 3;
    pub(super) const RESPONSE_TXN: u32 = 4;
}
