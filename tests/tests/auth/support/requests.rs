//! Requests in few words.

use bytes::Bytes;
use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_api_proto::authpb::{Permission, UserAddOptions};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::compare;
use ferretcd_api_proto::etcdserverpb::request_op::Request;

/// The range end of everything from a key on.
pub(crate) const OPEN: &str = "\0";

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// Reads a key, or an interval if there is an end.
pub(crate) fn range(key: &str, end: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: bytes(key), range_end: bytes(end), ..Default::default() }
}

pub(crate) fn put(key: &str) -> pb::PutRequest {
    pb::PutRequest { key: bytes(key), value: "v".into(), ..Default::default() }
}

pub(crate) fn put_prev(key: &str) -> pb::PutRequest {
    pb::PutRequest { prev_kv: true, ..put(key) }
}

pub(crate) fn put_lease(key: &str, lease: i64) -> pb::PutRequest {
    pb::PutRequest { lease, ..put(key) }
}

pub(crate) fn delete(key: &str, end: &str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { key: bytes(key), range_end: bytes(end), prev_kv: false }
}

pub(crate) fn delete_prev(key: &str, end: &str) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest { prev_kv: true, ..delete(key, end) }
}

/// Something that can be an operation of a txn.
pub(crate) trait Operation {
    fn op(self) -> pb::RequestOp;
}

macro_rules! operations {
    ($($message:ident $variant:ident,)*) => {
        $(impl Operation for pb::$message {
            fn op(self) -> pb::RequestOp {
                pb::RequestOp { request: Some(Request::$variant(self)) }
            }
        })*
    };
}

operations! {
    RangeRequest RequestRange,
    PutRequest RequestPut,
    DeleteRangeRequest RequestDeleteRange,
    TxnRequest RequestTxn,
}

/// A txn of one operation.
pub(crate) fn txn(operation: impl Operation) -> pb::TxnRequest {
    pb::TxnRequest { success: vec![operation.op()], ..Default::default() }
}

/// A txn whose other branch, which is not taken, has this operation.
pub(crate) fn txn_else(operation: impl Operation) -> pb::TxnRequest {
    pb::TxnRequest { failure: vec![operation.op()], ..Default::default() }
}

/// A txn that only compares: the version of the key, or of all keys of an interval, with 0.
pub(crate) fn txn_if(key: &str, end: &str) -> pb::TxnRequest {
    let compare = pb::Compare {
        target: compare::CompareTarget::Version.into(),
        key: bytes(key),
        range_end: bytes(end),
        target_union: Some(compare::TargetUnion::Version(0)),
        ..Default::default()
    };
    pb::TxnRequest { compare: vec![compare], ..Default::default() }
}

pub(crate) fn watch(key: &str, end: &str) -> pb::WatchCreateRequest {
    pb::WatchCreateRequest { key: bytes(key), range_end: bytes(end), ..Default::default() }
}

pub(crate) fn lease(id: i64) -> pb::LeaseGrantRequest {
    pb::LeaseGrantRequest { id, ttl: 600 }
}

pub(crate) fn revoke(id: i64) -> pb::LeaseRevokeRequest {
    pb::LeaseRevokeRequest { id }
}

pub(crate) fn time_to_live(id: i64, keys: bool) -> pb::LeaseTimeToLiveRequest {
    pb::LeaseTimeToLiveRequest { id, keys }
}

pub(crate) fn authenticate(name: &str, password: &str) -> pb::AuthenticateRequest {
    pb::AuthenticateRequest { name: name.into(), password: password.into() }
}

pub(crate) fn user_add(name: &str, password: &str) -> pb::AuthUserAddRequest {
    pb::AuthUserAddRequest { name: name.into(), password: password.into(), ..Default::default() }
}

pub(crate) fn user_add_without_password(name: &str) -> pb::AuthUserAddRequest {
    let options = Some(UserAddOptions { no_password: true });
    pb::AuthUserAddRequest { options, ..user_add(name, "") }
}

pub(crate) fn user_get(name: &str) -> pb::AuthUserGetRequest {
    pb::AuthUserGetRequest { name: name.into() }
}

pub(crate) fn user_delete(name: &str) -> pb::AuthUserDeleteRequest {
    pb::AuthUserDeleteRequest { name: name.into() }
}

pub(crate) fn user_password(name: &str, password: &str) -> pb::AuthUserChangePasswordRequest {
    pb::AuthUserChangePasswordRequest { name: name.into(), password: password.into(), ..Default::default() }
}

pub(crate) fn user_grant(user: &str, role: &str) -> pb::AuthUserGrantRoleRequest {
    pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() }
}

pub(crate) fn user_revoke(name: &str, role: &str) -> pb::AuthUserRevokeRoleRequest {
    pb::AuthUserRevokeRoleRequest { name: name.into(), role: role.into() }
}

pub(crate) fn role_add(name: &str) -> pb::AuthRoleAddRequest {
    pb::AuthRoleAddRequest { name: name.into() }
}

pub(crate) fn role_get(role: &str) -> pb::AuthRoleGetRequest {
    pb::AuthRoleGetRequest { role: role.into() }
}

pub(crate) fn role_delete(role: &str) -> pb::AuthRoleDeleteRequest {
    pb::AuthRoleDeleteRequest { role: role.into() }
}

pub(crate) fn permission(perm_type: Type, key: &str, end: &str) -> Permission {
    Permission { perm_type: perm_type.into(), key: bytes(key), range_end: bytes(end) }
}

pub(crate) fn role_grant(
    name: &str,
    perm_type: Type,
    key: &str,
    end: &str,
) -> pb::AuthRoleGrantPermissionRequest {
    let perm = Some(permission(perm_type, key, end));
    pb::AuthRoleGrantPermissionRequest { name: name.into(), perm }
}

pub(crate) fn role_revoke(role: &str, key: &str, end: &str) -> pb::AuthRoleRevokePermissionRequest {
    pb::AuthRoleRevokePermissionRequest { role: role.into(), key: bytes(key), range_end: bytes(end) }
}
