//! The facet for leases.
//!
//! Grants and revokes go through the log. Renewals are not logged: the leader counts the leases down in memory, and
//! other members forward renewals to it.

mod at_leader;
pub(crate) mod lessor;
mod renew;
mod renewed;

use std::sync::Arc;

use ferretcd_api_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse,
    LeaseStatus, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse,
};
use ferretcd_apply::check_lease;
use ferretcd_auth::{Access, AuthError};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_lease::Deadlines;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use self::lessor::Lessor;
pub use self::renewed::RenewedLeases;
use crate::auth::gate::Gate;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::proposer::Proposer;
use crate::read_index::ReadIndex;
use crate::replies::blocking;
use crate::{Caller, MemberInfo, Peers, RequestError};

/// Requests to the leader that are on their way at once; others wait for their turn.
const FORWARDED_MAX: usize = 256;

/// Leases. Responses come with their header.
#[derive(Clone, Debug)]
pub struct Leases {
    proposer: Proposer,
    read_index: ReadIndex,
    lessor: Arc<Lessor>,
    peers: Arc<dyn Peers>,
    /// Bounds the requests to the leader.
    forwarded: Arc<Semaphore>,
    gate: Gate,
    rights_changed: Arc<watch::Sender<u64>>,
    metrics: Arc<Metrics>,
    member: MemberInfo,
}

impl Leases {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            proposer: parts.proposer.clone(),
            read_index: parts.read_index.clone(),
            lessor: Arc::clone(&parts.channels.lessor),
            peers: Arc::clone(&parts.peers),
            forwarded: Arc::new(Semaphore::new(FORWARDED_MAX)),
            gate: parts.gate.clone(),
            rights_changed: Arc::clone(&parts.channels.rights_changed),
            metrics: Arc::clone(&parts.channels.metrics),
            member: parts.member.clone(),
        }
    }

    /// Grants a lease; durable on return. Without an id the member chooses one.
    pub async fn grant(
        &self,
        caller: &Caller,
        mut request: LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, RequestError> {
        self.gate.check_user(caller).await?;
        while request.id == 0 {
            request.id = (self.proposer.next_id() & i64::MAX.cast_unsigned()).cast_signed();
        }
        self.proposer.propose(caller, request).await
    }

    /// Ends a lease and deletes its keys, all at one revision; durable on return.
    pub async fn revoke(
        &self,
        caller: &Caller,
        request: LeaseRevokeRequest,
    ) -> Result<LeaseRevokeResponse, RequestError> {
        self.gate.check_user(caller).await?;
        self.proposer.propose(caller, request).await
    }

    /// The remaining time of a lease, and on request its keys.
    pub async fn time_to_live(
        &self,
        caller: &Caller,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, RequestError> {
        let admitted = self.gate.check_user(caller).await?;
        let found = if request.keys {
            let state = Arc::clone(&self.gate.state());
            check_lease(&state, admitted.info(), self.lessor.reader(), LeaseId(request.id), Access::Read)?;
            let found = self.time_to_live_at_leader(caller, request).await?;
            // The leader may know keys that this member has not applied.
            if state.check_root(admitted.info()).is_err() {
                for key in found.iter().flat_map(|lease| &lease.keys) {
                    state.check_access(admitted.info(), Access::Read, &KeyRange::Key(key.clone()))?;
                }
            }
            // Of the check, not of the token, as in etcd.
            if state.is_enabled() && state.revision() != self.gate.state().revision() {
                return Err(AuthError::OldRevision.into());
            }
            found
        } else {
            self.time_to_live_at_leader(caller, request).await?
        };
        let unknown =
            || LeaseTimeToLiveResponse { id: request.id, ttl: -1, ..LeaseTimeToLiveResponse::default() };
        let header = Some(self.member.header(self.member.revision()));
        Ok(LeaseTimeToLiveResponse { header, ..found.unwrap_or_else(unknown) })
    }

    /// The same for peers, without a header; an error on a member that does not lead. The granted time of an unknown
    /// lease is 0.
    pub(crate) async fn time_to_live_as_leader(
        &self,
        _caller: &Caller,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, RequestError> {
        let id = LeaseId(request.id);
        let remaining = self.as_leader(|deadlines| {
            deadlines.is_leading().then(|| deadlines.remaining(id, Instant::now().into_std()))
        });
        let reader = self.lessor.reader();
        let found = remaining.await?.zip(reader.get(id));
        let (ttl, granted_ttl) = found.map_or((-1, 0), |(remaining, lease)| (remaining, lease.ttl));
        let keys = if request.keys && found.is_some() {
            let reader = reader.clone();
            blocking(move || Ok(reader.keys(id))).await?
        } else {
            Vec::new()
        };
        Ok(LeaseTimeToLiveResponse { header: None, id: id.0, ttl, granted_ttl, keys })
    }

    /// All leases that this member knows; on the leader those that end first come first.
    pub async fn list(&self, caller: &Caller) -> Result<LeaseLeasesResponse, RequestError> {
        let admitted = self.gate.check_user(caller).await?;
        let (lessor, gate) = (Arc::clone(&self.lessor), self.gate.clone());
        let ids = blocking(move || {
            let (ids, state) = (lessor.ids(), Arc::clone(&gate.state()));
            if state.is_enabled() && state.check_root(admitted.info()).is_err() {
                for id in &ids {
                    check_lease(&state, admitted.info(), lessor.reader(), *id, Access::Read)?;
                }
            }
            Ok(ids)
        })
        .await?;
        let leases = ids.into_iter().map(|id| LeaseStatus { id: id.0 }).collect();
        Ok(LeaseLeasesResponse { header: Some(self.member.header(self.member.revision())), leases })
    }

    /// Looks at the countdown while this member leads for certain; again after each change, until `look` finds
    /// something. An error if another member leads.
    async fn as_leader<T>(
        &self,
        mut look: impl FnMut(&mut Deadlines) -> Option<T>,
    ) -> Result<T, RequestError> {
        let deadline = Instant::now() + self.member.config().request_timeout();
        loop {
            self.read_index.wait().await?;
            if !self.member.is_leader() {
                return Err(RequestError::NotLeader(self.member.id()));
            }
            // Before the look: it completes with every change from here on.
            let changed = self.lessor.changed();
            if self.member.is_stopping() {
                return Err(RequestError::Stopped);
            }
            if let Some(found) = look(&mut self.lessor.deadlines()) {
                return Ok(found);
            }
            timeout_at(deadline, changed).await.map_err(|_| RequestError::Timeout)?;
        }
    }
}
