//! Requests of peers, served by the engine.

use ferretcd_api_proto::API_VERSION;
use ferretcd_api_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use ferretcd_apply::ApplyError;
use ferretcd_base::{LeaseId, MemberId};
use ferretcd_membership::{ChangeError, Member};

use super::{
    GetVersions, HashKv, IsDowngrading, LeaseInfo, PeerError, PeerHash, PeerRequest, PeerResponse,
    PeerVersions, Promote, RenewLease,
};
use crate::{Caller, Engine, ReconfigureError, RequestError};

impl Engine {
    /// Serves the request of a peer. What only the leader can serve is an error on other members.
    pub async fn serve_peer(&self, caller: &Caller, request: PeerRequest) -> Result<PeerResponse, PeerError> {
        Ok(match request {
            PeerRequest::RenewLease(RenewLease(lease)) => {
                PeerResponse::RenewLease(self.renew_for_peer(caller, lease).await?)
            }
            PeerRequest::LeaseInfo(LeaseInfo(request)) => {
                PeerResponse::LeaseInfo(self.lease_info_for_peer(caller, request).await?)
            }
            PeerRequest::Promote(Promote(id)) => {
                PeerResponse::Promote(self.promote_for_peer(caller, id).await?)
            }
            PeerRequest::HashKv(HashKv(revision)) => {
                PeerResponse::HashKv(self.hash_for_peer(caller, revision).await?)
            }
            PeerRequest::GetVersions(GetVersions) => PeerResponse::GetVersions(PeerVersions {
                server: API_VERSION.to_owned(),
                cluster: self.member().versions().cluster.unwrap_or_default(),
            }),
            PeerRequest::IsDowngrading(IsDowngrading) => {
                let target = self.maintenance().downgrade_target().await;
                PeerResponse::IsDowngrading(target.map_err(|error| peer_error(&error))?.is_some())
            }
        })
    }

    async fn renew_for_peer(&self, caller: &Caller, lease: LeaseId) -> Result<i64, PeerError> {
        match self.leases().renew_as_leader(caller, lease).await {
            Ok(ttl) if ttl > 0 => Ok(ttl),
            Ok(_) => Err(PeerError::NotFound),
            Err(error) => Err(peer_error(&error)),
        }
    }

    async fn lease_info_for_peer(
        &self,
        caller: &Caller,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, PeerError> {
        match self.leases().time_to_live_as_leader(caller, request).await {
            // The remaining time of an expired lease may be negative until its revoke is applied.
            Ok(info) if info.granted_ttl > 0 => Ok(info),
            Ok(_) => Err(PeerError::NotFound),
            Err(error) => Err(peer_error(&error)),
        }
    }

    async fn promote_for_peer(&self, caller: &Caller, id: MemberId) -> Result<Vec<Member>, PeerError> {
        let promoted = self.cluster().promote_as_leader(caller, id).await;
        promoted.map(|members| members.members().cloned().collect()).map_err(|error| match error {
            ReconfigureError::Request(error) => peer_error(&error),
            ReconfigureError::NotReady(_) => PeerError::LearnerNotReady,
            ReconfigureError::TimeoutWaitApplied => PeerError::TimeoutWaitApplied,
            ReconfigureError::Risky(error) => PeerError::Rejected(error.to_string()),
        })
    }

    async fn hash_for_peer(&self, caller: &Caller, revision: i64) -> Result<PeerHash, PeerError> {
        let hash = self.maintenance().hash_kv_for_peer(caller, revision).await;
        let hash = hash.map_err(|error| peer_error(&error))?;
        let (compact_revision, revision) = (hash.compact_revision, hash.hash_revision);
        Ok(PeerHash { hash: hash.hash, revision, compact_revision })
    }
}

fn peer_error(error: &RequestError) -> PeerError {
    match error {
        RequestError::Apply(ApplyError::Compacted { .. }) => PeerError::Compacted,
        RequestError::Apply(ApplyError::Future { .. }) => PeerError::FutureRevision,
        RequestError::Apply(ApplyError::LeaseNotFound) => PeerError::NotFound,
        RequestError::Apply(ApplyError::Membership(ChangeError::NotFound(_) | ChangeError::IdRemoved(_))) => {
            PeerError::NotFound
        }
        RequestError::Apply(ApplyError::Membership(ChangeError::NotLearner(_))) => PeerError::NotLearner,
        RequestError::Timeout | RequestError::TimeoutLeaderLost => PeerError::Timeout,
        other => PeerError::Rejected(other.to_string()),
    }
}
