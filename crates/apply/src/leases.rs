//! Requests about leases.

use ferretcd_api_proto::etcdserverpb::{LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest};
use ferretcd_backend::Batch;
use ferretcd_base::LeaseId;

use crate::{ApplyError, Response, StateMachine};

/// The estimated bytes that a lease adds to the state file.
pub const GRANT_COST: u64 = 64;

impl StateMachine {
    pub(crate) fn grant(
        &mut self,
        request: &LeaseGrantRequest,
        batch: &mut Batch,
    ) -> Result<Response, ApplyError> {
        let id = LeaseId(request.id);
        let ttl = self.leases.grant(id, request.ttl, batch)?;
        Ok(Response::LeaseGrant { id, ttl })
    }

    pub(crate) fn revoke(
        &mut self,
        request: &LeaseRevokeRequest,
        batch: &mut Batch,
    ) -> Result<Response, ApplyError> {
        let id = LeaseId(request.id);
        if !self.leases.contains(id) {
            return Err(ApplyError::LeaseNotFound);
        }
        self.end(id, batch);
        Ok(Response::LeaseRevoked(id))
    }

    pub(crate) fn checkpoint(&mut self, request: &LeaseCheckpointRequest, batch: &mut Batch) -> Response {
        let checkpoints = request.checkpoints.iter().map(|row| (LeaseId(row.id), row.remaining_ttl));
        Response::LeasesCheckpointed(
            checkpoints.filter(|(id, left)| self.leases.checkpoint(*id, *left, batch)).collect(),
        )
    }

    /// Deletes the keys of a lease at one revision, if it has any, and the lease.
    fn end(&mut self, id: LeaseId, batch: &mut Batch) {
        let mut txn = self.store.write(batch);
        self.leases.with_keys(id, |keys| txn.delete_keys(keys));
        self.counts += txn.commit().counts;
        // Revoking also forgets the keys of the lease, so the changes need not be reported.
        self.leases.revoke(id, batch);
    }
}
