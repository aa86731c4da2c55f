//! Transactions: conditions on the state before, then one of two lists of operations, all at one revision.
//!
//! Done in three passes so that nothing has to be undone. First the conditions, also those of nested
//! transactions, choose the *path*. Then every operation on the path is checked. Only then they are
//! executed, each seeing what those before it wrote.

use std::cmp::Ordering;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::{
    Compare, RangeRequest, RequestOp, ResponseHeader, ResponseOp, TxnRequest, TxnResponse,
    request_op::Request, response_op::Response,
};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_base::KeyRange;
use ferretcd_lease::Leases;
use ferretcd_mvcc::{RangeOptions, ReadView, WriteTxn};

use crate::ApplyError;
use crate::range::{self, Source};
use crate::{kv, range::execute};

/// Whether a transaction can be executed without the log: each operation of both branches is a range. A
/// nested transaction makes it a writing one, whatever it holds.
pub fn is_read_only(txn: &TxnRequest) -> bool {
    let is_range = |op: &RequestOp| matches!(op.request, Some(Request::RequestRange(_)));
    txn.success.iter().all(is_range) && txn.failure.iter().all(is_range)
}

/// Executes a transaction that [is read-only](is_read_only) on one view. The caller fills the header.
pub fn read_txn(view: &ReadView, compacted: i64, txn: &TxnRequest) -> Result<TxnResponse, ApplyError> {
    let succeeded = holds(view, &txn.compare)?;
    let branch = if succeeded { &txn.success } else { &txn.failure };
    let ranges = || branch.iter().filter_map(as_range);
    for range in ranges() {
        check_range(range, view.revision(), compacted)?;
    }
    let responses = ranges()
        .map(|range| {
            let mut response = range::range(view, range)?;
            response.header = Some(header(view.revision()));
            Ok(ResponseOp { response: Some(Response::ResponseRange(response)) })
        })
        .collect::<Result<_, ApplyError>>()?;
    Ok(TxnResponse { header: None, succeeded, responses })
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
) -> Result<TxnResponse, ApplyError> {
    let mut path = Vec::new();
    choose(txn, request, &mut path)?;
    check(txn, request, leases, compacted, &mut path.iter().copied())?;
    run(txn, request, &mut path.iter().copied())
}

/// Decides the outcome of the conditions on the way, outer ones first, in the order of the operations.
fn choose(source: &impl Source, txn: &TxnRequest, path: &mut Vec<bool>) -> Result<(), ApplyError> {
    let succeeded = holds(source, &txn.compare)?;
    path.push(succeeded);
    for op in branch(txn, succeeded) {
        if let Some(Request::RequestTxn(nested)) = &op.request {
            choose(source, nested, path)?;
        }
    }
    Ok(())
}

fn check(
    source: &impl Source,
    txn: &TxnRequest,
    leases: &Leases,
    compacted: i64,
    path: &mut impl Iterator<Item = bool>,
) -> Result<(), ApplyError> {
    for op in branch(txn, next(path)) {
        match &op.request {
            Some(Request::RequestRange(range)) => check_range(range, source.revision(), compacted)?,
            Some(Request::RequestPut(put)) => kv::check_put(source, leases, put)?,
            Some(Request::RequestTxn(nested)) => check(source, nested, leases, compacted, path)?,
            Some(Request::RequestDeleteRange(_)) | None => {}
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

fn run(
    txn: &mut WriteTxn<'_>,
    request: &TxnRequest,
    path: &mut impl Iterator<Item = bool>,
) -> Result<TxnResponse, ApplyError> {
    let succeeded = next(path);
    let mut responses = Vec::new();
    for op in branch(request, succeeded) {
        let response = match &op.request {
            Some(Request::RequestRange(range)) => {
                let mut response = execute(txn, range)?;
                response.header = Some(header(txn.revision()));
                Response::ResponseRange(response)
            }
            Some(Request::RequestPut(put)) => {
                let mut response = kv::put(txn, put)?;
                response.header = Some(header(txn.revision()));
                Response::ResponsePut(response)
            }
            Some(Request::RequestDeleteRange(delete)) => {
                let mut response = kv::delete_range(txn, delete)?;
                response.header = Some(header(txn.revision()));
                Response::ResponseDeleteRange(response)
            }
            Some(Request::RequestTxn(nested)) => {
                let mut response = run(txn, nested, path)?;
                response.header = Some(ResponseHeader::default());
                Response::ResponseTxn(response)
            }
            // Rejected before it is proposed; an old log may still hold one.
            None => continue,
        };
        responses.push(ResponseOp { response: Some(response) });
    }
    Ok(TxnResponse { header: None, succeeded, responses })
}

fn branch(txn: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded { &txn.success } else { &txn.failure }
}

fn next(path: &mut impl Iterator<Item = bool>) -> bool {
    path.next().expect("every transaction on the path was decided in this order")
}

/// Headers inside a transaction carry only the revision.
fn header(revision: i64) -> ResponseHeader {
    ResponseHeader { revision, ..ResponseHeader::default() }
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
    let needs_row = matches!(target, Some(CompareTarget::Value | CompareTarget::Lease));
    let options = RangeOptions { keys_only: !needs_row, skip_count: true, ..RangeOptions::default() };
    let rows = source.range(&keys, &options)?.rows;
    if rows.is_empty() {
        // A missing key has zeros, but no value: not even an unequal one.
        let is_value = target == Some(CompareTarget::Value);
        return Ok(!is_value && relation_holds(compare, order(compare, target, &KeyValue::default())));
    }
    for row in &rows {
        if !relation_holds(compare, order(compare, target, &row.key_value()?)) {
            return Ok(false);
        }
    }
    Ok(true)
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
