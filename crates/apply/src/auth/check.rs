//! Whether the user of a command may have it executed. Checked when it is applied, against the state there, by every member
//! alike.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, request_op,
};
use ferretcd_auth::{Access, AuthError, AuthInfo, AuthState};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_lease::LeaseReader;

use super::AuthRequest;
use crate::{Command, Request};

impl Command {
    /// The user that has sent it.
    pub(crate) fn auth_info(&self) -> AuthInfo<'_> {
        AuthInfo { username: &self.username, revision: self.auth_revision }
    }

    /// Whether its user may have it executed, while authentication is on.
    pub(crate) fn check(&self, state: &AuthState, leases: &LeaseReader) -> Result<(), AuthError> {
        let check = Check { state, info: self.auth_info(), leases };
        match &self.request {
            Request::Put(put) => check.put(put),
            Request::DeleteRange(delete) => {
                check.delete(delete)?;
                check.previous(delete)
            }
            Request::Txn(txn) => check.txn(txn),
            Request::LeaseRevoke(revoke) => check.lease(LeaseId(revoke.id)),
            Request::Auth(request) => check.auth(request),
            // What needs the role root is checked before the proposal, as in etcd, or comes from members alone.
            Request::Compaction(_)
            | Request::LeaseGrant(_)
            | Request::LeaseCheckpoint(_)
            | Request::Alarm(_)
            | Request::ClusterVersionSet(_)
            | Request::ClusterMemberAttrSet(_)
            | Request::DowngradeInfoSet(_) => Ok(()),
        }
    }
}

/// Whether a user may have a transaction executed: every operation of both branches, also nested, and every comparison.
///
/// # Errors
/// The first check that fails, in the order of the operations.
pub fn check_txn(
    state: &AuthState,
    info: AuthInfo<'_>,
    leases: &LeaseReader,
    txn: &TxnRequest,
) -> Result<(), AuthError> {
    if !state.is_enabled() {
        return Ok(());
    }
    Check { state, info, leases }.txn(txn)
}

/// Whether a user may have `access` to every key of a lease. There is no check for a lease that there isn't.
///
/// Looks at each key of the lease.
///
/// # Errors
/// The first check that fails, in the order of the keys.
pub fn check_lease(
    state: &AuthState,
    info: AuthInfo<'_>,
    leases: &LeaseReader,
    id: LeaseId,
    access: Access,
) -> Result<(), AuthError> {
    if state.check_root(info).is_ok() {
        return Ok(());
    }
    // Copied, because leases cannot change while they are looked at.
    leases.keys(id).into_iter().try_for_each(|key| state.check_access(info, access, &KeyRange::Key(key)))
}

/// The user of a request against the rights of the moment.
struct Check<'a> {
    state: &'a AuthState,
    info: AuthInfo<'a>,
    leases: &'a LeaseReader,
}

impl Check<'_> {
    fn access(&self, access: Access, key: &Bytes, range_end: &Bytes) -> Result<(), AuthError> {
        self.state.check_access(self.info, access, &KeyRange::from_wire(key.clone(), range_end.clone()))
    }

    /// The keys of a lease go together, so attaching one takes the right to write all.
    fn put(&self, put: &PutRequest) -> Result<(), AuthError> {
        self.access(Access::Write, &put.key, &Bytes::new())?;
        self.lease(LeaseId(put.lease))?;
        if put.prev_kv { self.access(Access::Read, &put.key, &Bytes::new()) } else { Ok(()) }
    }

    fn lease(&self, id: LeaseId) -> Result<(), AuthError> {
        check_lease(self.state, self.info, self.leases, id, Access::Write)
    }

    fn delete(&self, delete: &DeleteRangeRequest) -> Result<(), AuthError> {
        self.access(Access::Write, &delete.key, &delete.range_end)
    }

    /// The previous rows in the response to a deletion.
    fn previous(&self, delete: &DeleteRangeRequest) -> Result<(), AuthError> {
        if delete.prev_kv { self.access(Access::Read, &delete.key, &delete.range_end) } else { Ok(()) }
    }

    fn txn(&self, txn: &TxnRequest) -> Result<(), AuthError> {
        for Compare { key, range_end, .. } in &txn.compare {
            self.access(Access::Read, key, range_end)?;
        }
        txn.success.iter().chain(&txn.failure).try_for_each(|op| self.op(op))
    }

    fn op(&self, RequestOp { request }: &RequestOp) -> Result<(), AuthError> {
        match request {
            Some(request_op::Request::RequestRange(RangeRequest { key, range_end, .. })) => {
                self.access(Access::Read, key, range_end)
            }
            Some(request_op::Request::RequestPut(put)) => self.put(put),
            // In the other order than outside of a transaction, as etcd.
            Some(request_op::Request::RequestDeleteRange(delete)) => {
                self.previous(delete)?;
                self.delete(delete)
            }
            Some(request_op::Request::RequestTxn(txn)) => self.txn(txn),
            None => Ok(()),
        }
    }

    fn auth(&self, request: &AuthRequest) -> Result<(), AuthError> {
        let is_root = || self.state.check_root(self.info);
        match request {
            AuthRequest::Status(_) | AuthRequest::Authenticate(_) => Ok(()),
            AuthRequest::UserGet(get) if get.name == self.info.username => Ok(()),
            AuthRequest::RoleGet(get) => match self.state.user(self.info.username) {
                Some(user) if user.has_role(&get.role) => Ok(()),
                _ => is_root(),
            },
            _ => is_root(),
        }
    }
}

#[cfg(test)]
mod tests;
