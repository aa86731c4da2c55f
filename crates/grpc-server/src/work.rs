//! What handlers do, as etcd's spans name it.

use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_api_proto::etcdserverpb::{
    CompactionRequest, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
    TxnRequest,
};
use ferretcd_interceptors::{Attribute, Work};

pub(crate) fn range(range: &RangeRequest) -> Work {
    let attributes = vec![
        ("range_begin", text(&range.key)),
        ("range_end", text(&range.range_end)),
        ("rev", Attribute::Number(range.revision)),
        ("limit", Attribute::Number(range.limit)),
        ("count_only", Attribute::Flag(range.count_only)),
        ("keys_only", Attribute::Flag(range.keys_only)),
    ];
    Work { name: "range", attributes }
}

pub(crate) fn put(put: &PutRequest) -> Work {
    Work { name: "put", attributes: vec![("key", text(&put.key))] }
}

pub(crate) fn delete_range(delete: &DeleteRangeRequest) -> Work {
    let attributes = vec![("range_begin", text(&delete.key)), ("range_end", text(&delete.range_end))];
    Work { name: "delete_range", attributes }
}

pub(crate) fn txn(txn: &TxnRequest) -> Work {
    let compared = txn.compare.iter().map(|compare| &*compare.key).find(|key| !key.is_empty());
    let of_success = || txn.success.iter().filter_map(|op| op.request.as_ref());
    let lease = of_success().find_map(|request| match request {
        Request::RequestPut(put) => Some(put.lease),
        _ => None,
    });
    let attributes = vec![
        ("compare_first_key", text(compared.unwrap_or_default())),
        ("success_first_key", text(of_success().map(key).find(|key| !key.is_empty()).unwrap_or_default())),
        ("success_first_type", Attribute::Text(of_success().next().map_or("", kind).to_owned())),
        ("success_first_lease", Attribute::Number(lease.unwrap_or(-1))),
        ("compare_len", length(txn.compare.len())),
        ("success_len", length(txn.success.len())),
        ("failure_len", length(txn.failure.len())),
        ("read_only", Attribute::Flag(ferretcd_apply::is_read_only(txn))),
    ];
    Work { name: "txn", attributes }
}

pub(crate) fn compact(compaction: &CompactionRequest) -> Work {
    let attributes = vec![
        ("is_physical", Attribute::Flag(compaction.physical)),
        ("rev", Attribute::Number(compaction.revision)),
    ];
    Work { name: "compact", attributes }
}

pub(crate) fn lease_grant(grant: &LeaseGrantRequest) -> Work {
    let attributes = vec![("id", Attribute::Number(grant.id)), ("ttl", Attribute::Number(grant.ttl))];
    Work { name: "lease_grant", attributes }
}

pub(crate) fn lease_revoke(revoke: &LeaseRevokeRequest) -> Work {
    Work { name: "lease_revoke", attributes: vec![("id", Attribute::Number(revoke.id))] }
}

fn key(request: &Request) -> &[u8] {
    match request {
        Request::RequestRange(range) => &range.key,
        Request::RequestPut(put) => &put.key,
        Request::RequestDeleteRange(delete) => &delete.key,
        Request::RequestTxn(_) => &[],
    }
}

fn kind(request: &Request) -> &'static str {
    match request {
        Request::RequestRange(_) => "range",
        Request::RequestPut(_) => "put",
        Request::RequestDeleteRange(_) => "delete_range",
        Request::RequestTxn(_) => "txn",
    }
}

fn length(n: usize) -> Attribute {
    Attribute::Number(i64::try_from(n).unwrap_or(i64::MAX))
}

fn text(key: &[u8]) -> Attribute {
    Attribute::Text(String::from_utf8_lossy(key).into_owned())
}
