//! Transactions: conditions on the state before, then one of two lists of operations, all at one revision.
//!
//! Done in three passes so that nothing has to be undone. First the conditions, also those of nested
//! transactions, choose the *path*. Then every operation on the path is checked. Only then they are
//! executed, each seeing what those before it wrote.

use std::cell::Cell;
use std::cmp::Ordering;
use std::ops::ControlFlow;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, RangeResponse,
    RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse, request_op::Request,
    response_op::Response,
};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_base::KeyRange;
use ferretcd_lease::Leases;
use ferretcd_mvcc::{Access, KeyState, ReadError, ReadView, Selection, Snapshot, WriteTxn};

use crate::partial::{ListReader, PartialResponse};
use crate::range::{READ_BYTES, decode};
use crate::source::Source;
use crate::{ApplyError, kv};

/// Whether a transaction can be executed without the log: each operation of both branches is a range. A
/// nested transaction makes it a writing one, whatever it holds.
pub fn is_read_only(txn: &TxnRequest) -> bool {
    let is_range = |op: &RequestOp| matches!(op.request, Some(Request::RequestRange(_)));
    txn.success.iter().all(is_range) && txn.failure.iter().all(is_range)
}

/// Executes a transaction that [is read-only](is_read_only) on one view, and returns the number of ranges that it read.
/// The caller fills the header.
pub fn read_txn(
    view: &ReadView,
    compacted: i64,
    txn: &TxnRequest,
) -> Result<(PartialResponse<TxnResponse>, u64), ApplyError> {
    let source = Counting { view, n_ranges: Cell::default() };
    let succeeded = holds(&source, &txn.compare)?;
    let ranges = || branch(txn, succeeded).iter().filter_map(as_range);
    for range in ranges() {
        check_range(range, view.revision(), compacted)?;
    }
    let mut lists = ListReader::new();
    let responses = ranges()
        .map(|range| {
            let response = lists.read(&source.snapshot(), range)?;
            let response = RangeResponse { header: header(view.revision()), ..response };
            Ok(ResponseOp { response: Some(Response::ResponseRange(response)) })
        })
        .collect::<Result<_, ApplyError>>()?;
    let message = TxnResponse { header: None, succeeded, responses };
    Ok((PartialResponse { message, deferred: lists.deferred }, source.n_ranges.get()))
}

/// A view that counts the ranges read.
struct Counting<'a> {
    view: &'a ReadView,
    n_ranges: Cell<u64>,
}

impl Source for Counting<'_> {
    fn snapshot(&self) -> Snapshot<'_> {
        self.n_ranges.set(self.n_ranges.get() + 1);
        self.view.snapshot()
    }
}

fn as_range(op: &RequestOp) -> Option<&RangeRequest> {
    match &op.request {
        Some(Request::RequestRange(range)) => Some(range),
        _ => None,
    }
}

/// Executes a transaction. On an error nothing has been changed. The caller fills the header.
pub(crate) fn execute_txn(
    txn: &mut WriteTxn<'_>,
    request: &TxnRequest,
    leases: &Leases,
    compacted: i64,
) -> Result<PartialResponse<TxnResponse>, ApplyError> {
    let path = choose(txn, request)?;
    check(txn, txn.revision(), &path, leases, compacted)?;
    txn.reads_first();
    run(txn, &path)
}

/// What the conditions choose of a transaction. A list, so that no depth of nesting needs more stack.
struct Path<'a> {
    succeeded: bool,
    steps: Vec<Step<'a>>,
}

enum Step<'a> {
    Range(&'a RangeRequest),
    Put(&'a PutRequest),
    Delete(&'a DeleteRangeRequest),
    /// A nested transaction begins, whose conditions held or did not.
    Begin {
        succeeded: bool,
    },
    /// The nested transaction that began last ends.
    End,
}

/// Decides the outcome of the conditions on the way, outer ones first, in the order of the operations.
fn choose<'a>(source: &impl Source, txn: &'a TxnRequest) -> Result<Path<'a>, ApplyError> {
    let succeeded = holds(source, &txn.compare)?;
    let mut steps = Vec::new();
    let mut around = Vec::new();
    let mut operations = branch(txn, succeeded).iter();
    loop {
        match operations.next().map(|op| &op.request) {
            Some(Some(Request::RequestRange(range))) => steps.push(Step::Range(range)),
            Some(Some(Request::RequestPut(put))) => steps.push(Step::Put(put)),
            Some(Some(Request::RequestDeleteRange(delete))) => steps.push(Step::Delete(delete)),
            Some(Some(Request::RequestTxn(nested))) => {
                let succeeded = holds(source, &nested.compare)?;
                steps.push(Step::Begin { succeeded });
                around.push(std::mem::replace(&mut operations, branch(nested, succeeded).iter()));
            }
            // Rejected before it is proposed; an old log may still hold one.
            Some(None) => {}
            None => match around.pop() {
                Some(outer) => {
                    steps.push(Step::End);
                    operations = outer;
                }
                None => return Ok(Path { succeeded, steps }),
            },
        }
    }
}

fn check(
    source: &impl Source,
    current: i64,
    path: &Path<'_>,
    leases: &Leases,
    compacted: i64,
) -> Result<(), ApplyError> {
    for step in &path.steps {
        match step {
            Step::Range(range) => check_range(range, current, compacted)?,
            Step::Put(put) => kv::check_put(source, leases, put)?,
            Step::Delete(_) | Step::Begin { .. } | Step::End => {}
        }
    }
    Ok(())
}

/// Inside a transaction a revision below zero is compared like any other, unlike in a Range of its own.
fn check_range(range: &RangeRequest, current: i64, compacted: i64) -> Result<(), ApplyError> {
    let requested = range.revision;
    if requested > current {
        return Err(ApplyError::Future { requested, current });
    }
    if requested != 0 && requested < compacted {
        return Err(ApplyError::Compacted { requested, compacted });
    }
    Ok(())
}

fn run(txn: &mut WriteTxn<'_>, path: &Path<'_>) -> Result<PartialResponse<TxnResponse>, ApplyError> {
    let mut lists = ListReader::new();
    let mut current = TxnResponse { succeeded: path.succeeded, ..TxnResponse::default() };
    let mut around = Vec::new();
    for step in &path.steps {
        let response = match step {
            Step::Range(range) => {
                let response = lists.read(&txn.snapshot(), range)?;
                Response::ResponseRange(RangeResponse { header: header(txn.revision()), ..response })
            }
            Step::Put(put) => {
                let response = kv::put(txn, put)?;
                Response::ResponsePut(PutResponse { header: header(txn.revision()), ..response })
            }
            Step::Delete(delete) => {
                let response = kv::delete_range(txn, delete, &mut lists)?;
                Response::ResponseDeleteRange(DeleteRangeResponse {
                    header: header(txn.revision()),
                    ..response
                })
            }
            Step::Begin { succeeded } => {
                let nested = TxnResponse { succeeded: *succeeded, ..TxnResponse::default() };
                around.push(std::mem::replace(&mut current, nested));
                continue;
            }
            Step::End => {
                let outer = around.pop().expect("every end belongs to a beginning");
                let nested = std::mem::replace(&mut current, outer);
                Response::ResponseTxn(TxnResponse { header: Some(ResponseHeader::default()), ..nested })
            }
        };
        current.responses.push(ResponseOp { response: Some(response) });
    }
    Ok(PartialResponse { message: current, deferred: lists.deferred })
}

fn branch(txn: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded { &txn.success } else { &txn.failure }
}

/// Headers inside a transaction carry only the revision.
fn header(revision: i64) -> Option<ResponseHeader> {
    Some(ResponseHeader { revision, ..ResponseHeader::default() })
}

fn holds(source: &impl Source, compares: &[Compare]) -> Result<bool, ApplyError> {
    for compare in compares {
        if !compare_holds(source, compare)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A condition must hold for every key of its range; a range without keys is one missing key.
fn compare_holds(source: &impl Source, compare: &Compare) -> Result<bool, ApplyError> {
    let keys = KeyRange::from_wire(compare.key.clone(), compare.range_end.clone());
    let target = CompareTarget::try_from(compare.target).ok();
    let snapshot = source.snapshot();
    let (mut is_empty, mut holds) = (true, true);
    let mut add = |stored: &KeyValue| {
        is_empty = false;
        holds &= relation_holds(compare, order(compare, target, stored));
        holds
    };
    if let Some(CompareTarget::Value | CompareTarget::Lease) = target {
        add_rows(&snapshot, &keys, add)?;
    } else {
        snapshot.walk(&keys, &Selection::default(), |key| {
            let &KeyState { create_revision, mod_revision, version, .. } = key;
            match add(&KeyValue { create_revision, mod_revision, version, ..KeyValue::default() }) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
    }
    if is_empty {
        // A missing key has zeros, but no value: not even an unequal one.
        let is_value = target == Some(CompareTarget::Value);
        return Ok(!is_value && relation_holds(compare, order(compare, target, &KeyValue::default())));
    }
    Ok(holds)
}

/// Shows the rows of a range, until it is enough.
fn add_rows(
    snapshot: &Snapshot<'_>,
    keys: &KeyRange,
    mut add: impl FnMut(&KeyValue) -> bool,
) -> Result<(), ReadError> {
    let mut cursor = snapshot.cursor(keys, &Selection::default(), true)?;
    let mut rows = Vec::new();
    loop {
        let step = snapshot.read(&mut cursor, READ_BYTES, usize::MAX, Access::Backend, &mut rows)?;
        for row in rows.drain(..) {
            if !add(&decode(&row, snapshot)?) {
                return Ok(());
            }
        }
        if step == ferretcd_mvcc::Step::End {
            return Ok(());
        }
    }
}

/// How the stored key relates to what the condition names. What it does not name counts as zero or empty,
/// and targets that no version knows are equal.
fn order(compare: &Compare, target: Option<CompareTarget>, stored: &KeyValue) -> Ordering {
    let union = compare.target_union.as_ref();
    let number = |value: Option<i64>| value.unwrap_or_default();
    match target {
        Some(CompareTarget::Version) => stored.version.cmp(&number(union.and_then(|union| match union {
            TargetUnion::Version(version) => Some(*version),
            _ => None,
        }))),
        Some(CompareTarget::Create) => {
            stored.create_revision.cmp(&number(union.and_then(|union| match union {
                TargetUnion::CreateRevision(revision) => Some(*revision),
                _ => None,
            })))
        }
        Some(CompareTarget::Mod) => stored.mod_revision.cmp(&number(union.and_then(|union| match union {
            TargetUnion::ModRevision(revision) => Some(*revision),
            _ => None,
        }))),
        Some(CompareTarget::Lease) => stored.lease.cmp(&number(union.and_then(|union| match union {
            TargetUnion::Lease(lease) => Some(*lease),
            _ => None,
        }))),
        Some(CompareTarget::Value) => match union {
            Some(TargetUnion::Value(value)) => stored.value.cmp(value),
            _ => stored.value.cmp(&Bytes::new()),
        },
        None => Ordering::Equal,
    }
}

/// Relations that no version knows hold.
fn relation_holds(compare: &Compare, order: Ordering) -> bool {
    match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => order.is_eq(),
        Ok(CompareResult::NotEqual) => order.is_ne(),
        Ok(CompareResult::Greater) => order.is_gt(),
        Ok(CompareResult::Less) => order.is_lt(),
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_api_proto::TXN_DEPTH_MAX;
    use ferretcd_api_proto::etcdserverpb::PutRequest;
    use ferretcd_backend::{Backend, Batch};
    use ferretcd_mvcc::Store;
    use prost::Message as _;

    use super::*;

    /// Half of what threads have by default.
    const STACK_BYTES: usize = 1 << 20;

    fn op(request: Request) -> RequestOp {
        RequestOp { request: Some(request) }
    }

    fn put(key: String) -> RequestOp {
        op(Request::RequestPut(PutRequest { key: key.into(), ..PutRequest::default() }))
    }

    /// Each transaction puts a key before and one behind the transaction in it.
    fn deepest() -> TxnRequest {
        (1..TXN_DEPTH_MAX).fold(
            TxnRequest { success: vec![put("k".into())], ..TxnRequest::default() },
            |inner, n| {
                let nested = op(Request::RequestTxn(inner));
                let success = vec![put(format!("k{n}a")), nested, put(format!("k{n}b"))];
                TxnRequest { success, ..TxnRequest::default() }
            },
        )
    }

    fn execute_deepest() {
        let backend = Backend::in_memory();
        let config = ferretcd_lease::Config { ttl_min: 1 };
        let leases = Leases::open(&backend, config).expect("an empty backend");
        let mut store =
            Store::open(backend, &ferretcd_mvcc::Config { cache_bytes: 1 << 20 }).expect("an empty backend");
        let request = TxnRequest::decode(&deepest().encode_to_vec()[..]).expect("it is not too deep");
        assert!(kv::txn_cost(&request) > 0);
        let mut batch = Batch::default();
        let mut txn = store.write(&mut batch);
        let response = execute_txn(&mut txn, &request, &leases, -1).expect("it writes");
        let changes = txn.commit().changes;
        let keys: Vec<_> = changes.iter().map(|change| change.key.clone()).collect();
        let before = (1..TXN_DEPTH_MAX).rev().map(|n| format!("k{n}a"));
        let behind = (1..TXN_DEPTH_MAX).map(|n| format!("k{n}b"));
        let expected: Vec<Bytes> = before.chain(["k".into()]).chain(behind).map(Bytes::from).collect();
        assert_eq!(keys, expected);
        assert!(response.message.encode_to_vec().len() > keys.len());
    }

    #[test]
    fn deepest_transaction_is_executed_in_order_with_little_stack() {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(execute_deepest);
        thread.expect("the system has threads").join().expect("nothing fails");
    }
}
