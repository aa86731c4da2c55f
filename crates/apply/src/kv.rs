//! Puts and deletes inside a write transaction.

use bytes::Bytes;
use ferretcd_api_proto::EncodedKeyValue;
use ferretcd_api_proto::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, RangeRequest, TxnRequest,
};
use ferretcd_api_proto::etcdserverpb::{RequestOp, request_op};
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_lease::Leases;
use ferretcd_mvcc::{RangeOptions, ReadError, Row, WriteTxn};

use crate::ApplyError;
use crate::partial::ListReader;
use crate::source::Source;

/// The estimated bytes that a put adds to the state file beside its key and value.
const PUT_OVERHEAD: u64 = 256;

/// The estimated bytes that a put adds to the state file.
pub fn put_cost(put: &PutRequest) -> u64 {
    PUT_OVERHEAD + put.key.len() as u64 + put.value.len() as u64
}

/// The estimated bytes that a transaction adds at most: those of its larger branch. Only puts count.
pub fn txn_cost(txn: &TxnRequest) -> u64 {
    let branch = |ops: &[RequestOp]| -> u64 { ops.iter().map(op_cost).sum() };
    branch(&txn.success).max(branch(&txn.failure))
}

fn op_cost(op: &RequestOp) -> u64 {
    match &op.request {
        Some(request_op::Request::RequestPut(put)) => put_cost(put),
        Some(request_op::Request::RequestTxn(txn)) => txn_cost(txn),
        _ => 0,
    }
}

/// Rejects a put that cannot be done on the state of `source`.
pub(crate) fn check_put(source: &impl Source, leases: &Leases, put: &PutRequest) -> Result<(), ApplyError> {
    let lease = LeaseId(put.lease);
    if !lease.is_none() && !leases.contains(lease) {
        return Err(ApplyError::LeaseNotFound);
    }
    if (put.ignore_value || put.ignore_lease) && current(source, &put.key, true)?.is_none() {
        return Err(ApplyError::KeyNotFound);
    }
    Ok(())
}

/// Does a put that [`check_put`] has accepted. The caller fills the header of the response.
pub(crate) fn put(txn: &mut WriteTxn<'_>, put: &PutRequest) -> Result<PutResponse, ApplyError> {
    let needs_old = put.prev_kv || put.ignore_value || put.ignore_lease;
    let old = if needs_old { current(txn, &put.key, false)? } else { None };
    let (value, lease) = match &old {
        Some(row) if put.ignore_value || put.ignore_lease => {
            let KeyValue { value, lease, .. } = row.key_value()?;
            (
                if put.ignore_value { value } else { put.value.clone() },
                if put.ignore_lease { lease } else { put.lease },
            )
        }
        _ => (put.value.clone(), put.lease),
    };
    txn.put(put.key.clone(), value, LeaseId(lease));
    let prev_kv = old.filter(|_| put.prev_kv).map(|row| EncodedKeyValue::from_encoded(row.encoded));
    Ok(PutResponse { header: None, prev_kv })
}

/// Deletes a range. The caller fills the header of the response.
pub(crate) fn delete_range(
    txn: &mut WriteTxn<'_>,
    request: &DeleteRangeRequest,
    lists: &mut ListReader,
) -> Result<DeleteRangeResponse, ApplyError> {
    let prev_kvs = if request.prev_kv {
        let (key, range_end) = (request.key.clone(), request.range_end.clone());
        let before = RangeRequest { key, range_end, ..RangeRequest::default() };
        lists.read(&txn.snapshot(), &before)?.kvs
    } else {
        lists.skip();
        Vec::new()
    };
    let keys = KeyRange::from_wire(request.key.clone(), request.range_end.clone());
    let deleted = txn.delete_range(&keys) as i64;
    Ok(DeleteRangeResponse { header: None, deleted, prev_kvs })
}

/// The key's state now, if it exists.
fn current(source: &impl Source, key: &Bytes, keys_only: bool) -> Result<Option<Row>, ReadError> {
    let options = RangeOptions { keys_only, skip_count: true, ..RangeOptions::default() };
    Ok(source.snapshot().range(&KeyRange::Key(key.clone()), &options)?.rows.pop())
}
