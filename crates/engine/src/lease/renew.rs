//! Renewals, which clients send as keep-alives.

use std::collections::VecDeque;

use ferretcd_api_proto::etcdserverpb::{LeaseCheckpoint, LeaseCheckpointRequest, LeaseKeepAliveResponse};
use ferretcd_apply::check_lease;
use ferretcd_auth::{Access, AuthError};
use ferretcd_base::LeaseId;
use ferretcd_lease::Renewal;
use tokio::time::Instant;

use super::at_leader::FromLeader;
use super::{Leases, RenewedLeases};
use crate::{Caller, RequestError};

/// A renewal gives a lease its full time again. Nothing is written, unless the log holds that less time was left. The
/// response for a lease that is unknown or over has a time to live of 0; by then its keys are gone.
impl Leases {
    /// Renews leases in their order: the first one, and those behind it that need not be waited for. They share
    /// the cost of making sure that this member still leads. Returns the responses, and the ids that are left.
    pub async fn renew(
        &self,
        caller: &Caller,
        mut ids: VecDeque<LeaseId>,
    ) -> Result<(Vec<LeaseKeepAliveResponse>, VecDeque<LeaseId>), RequestError> {
        let Some(first) = ids.pop_front() else { return Ok(Default::default()) };
        match self.may_renew(caller, first) {
            Some(may) => may?,
            None => {
                self.gate.admit(caller).await?;
                self.may_renew(caller, first).unwrap_or(Err(AuthError::InvalidToken.into()))?;
            }
        }
        let FromLeader { response: ttl, is_own } = self.renew_at_leader(caller, first).await?;
        let mut responses = vec![self.response(first, ttl)];
        while is_own
            && let Some(&id) = ids.front()
            && matches!(self.may_renew(caller, id), Some(Ok(())))
            && let Some(ttl) = self.renew_in_memory(id)
        {
            ids.pop_front();
            responses.push(self.response(id, ttl));
        }
        Ok((responses, ids))
    }

    /// Renews a lease at once: `None` if that takes other members, the log or the end of a lease, and then nothing
    /// has been promised.
    pub fn try_renew(&self, caller: &Caller, id: LeaseId) -> Option<LeaseKeepAliveResponse> {
        if !self.read_index.is_known_here() || !matches!(self.may_renew(caller, id), Some(Ok(()))) {
            return None;
        }
        self.renew_in_memory(id).map(|ttl| self.response(id, ttl))
    }

    /// The leases that a stream renews.
    pub fn renewed(&self) -> RenewedLeases {
        RenewedLeases::new(self)
    }

    /// Whether the caller may renew a lease: write each of its keys. `None` if the caller's token may not be known yet.
    pub(super) fn may_renew(&self, caller: &Caller, id: LeaseId) -> Option<Result<(), RequestError>> {
        let state = self.gate.state();
        if !state.is_enabled() {
            return Some(Ok(()));
        }
        Some(self.gate.try_admit(caller)?.and_then(|admitted| {
            if admitted.user().is_none() {
                return Err(AuthError::NoUser.into());
            }
            Ok(check_lease(&state, admitted.info(), self.lessor.reader(), id, Access::Write)?)
        }))
    }

    /// Renews a lease for a peer; an error on a member that does not lead. Returns the time to live in seconds, 0 if
    /// there is no such lease any more.
    pub(crate) async fn renew_as_leader(&self, caller: &Caller, id: LeaseId) -> Result<i64, RequestError> {
        let renewal = self.as_leader(|deadlines| match deadlines.renew(id, Instant::now().into_std()) {
            Renewal::Renewed { ttl, was_checkpointed } => Some((ttl, was_checkpointed)),
            Renewal::Unknown => Some((0, false)),
            // Its revoke is on the way: a client that learns that a lease is over may rely on its keys being gone.
            Renewal::Expired | Renewal::NotLeading => None,
        });
        let (ttl, was_checkpointed) = renewal.await?;
        if was_checkpointed {
            self.clear_checkpoint(caller, id).await?;
        }
        if ttl > 0 {
            self.metrics.lease_renewed.inc();
        }
        Ok(ttl)
    }

    /// Renews a lease on a member that has just found that it leads. `None` if more has to happen first.
    fn renew_in_memory(&self, id: LeaseId) -> Option<i64> {
        match self.lessor.deadlines().renew(id, Instant::now().into_std()) {
            Renewal::Renewed { ttl, was_checkpointed: false } => {
                self.metrics.lease_renewed.inc();
                Some(ttl)
            }
            Renewal::Unknown => Some(0),
            _ => None,
        }
    }

    /// Before the response: else another leader would count from what was left, which is less than promised.
    async fn clear_checkpoint(&self, caller: &Caller, id: LeaseId) -> Result<(), RequestError> {
        let checkpoints = vec![LeaseCheckpoint { id: id.0, remaining_ttl: 0 }];
        self.proposer.propose(caller, LeaseCheckpointRequest { checkpoints }).await
    }

    fn response(&self, id: LeaseId, ttl: i64) -> LeaseKeepAliveResponse {
        let header = Some(self.member.header(self.member.revision()));
        LeaseKeepAliveResponse { header, id: id.0, ttl }
    }
}
