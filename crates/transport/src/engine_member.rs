//! The member that the engine is.

use std::io;

use ferretcd_api_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use ferretcd_apply::ApplyError;
use ferretcd_base::{ClusterId, LeaseId, MemberId};
use ferretcd_engine::{Answer, Engine, PeerError, PeerHash, ReconfigureError, RequestError};
use ferretcd_membership::ChangeError;
use ferretcd_raft_node::Message;
use ferretcd_wal::SnapshotMark;

use crate::{Member, OutgoingSnapshot};

impl Member for Engine {
    fn id(&self) -> MemberId {
        self.member_id()
    }

    fn cluster_id(&self) -> ClusterId {
        Engine::cluster_id(self)
    }

    fn members(&self) -> Vec<ferretcd_membership::Member> {
        self.membership().members().cloned().collect()
    }

    fn receive(&self, message: Message) {
        Engine::receive(self, message);
    }

    fn report_unreachable(&self, id: MemberId) {
        Engine::report_unreachable(self, id);
    }

    fn report_snapshot(&self, id: MemberId, is_sent: bool) {
        Engine::report_snapshot(self, id, is_sent);
    }

    fn removed(&self) {
        Engine::removed(self);
    }

    fn open_snapshot(&self, at_least: u64) -> io::Result<OutgoingSnapshot> {
        let snapshot = Engine::open_snapshot(self, at_least).map_err(io::Error::other)?;
        let (mark, len) = (snapshot.mark().clone(), snapshot.size());
        Ok(OutgoingSnapshot { mark, len, body: Box::new(snapshot) })
    }

    fn accept_snapshot(
        &self,
        mark: SnapshotMark,
        _: MemberId,
        len: Option<u64>,
        body: &mut dyn io::Read,
    ) -> io::Result<()> {
        Engine::accept_snapshot(self, mark.index, len, body).map(drop).map_err(io::Error::other)
    }

    fn renew_lease(&self, lease: LeaseId) -> Answer<i64> {
        let engine = self.clone();
        Box::pin(async move {
            match engine.renew_lease_here(lease).await {
                Ok(ttl) if ttl > 0 => Ok(ttl),
                Ok(_) => Err(PeerError::NotFound),
                Err(error) => Err(refusal(&error)),
            }
        })
    }

    fn lease_info(&self, request: LeaseTimeToLiveRequest) -> Answer<LeaseTimeToLiveResponse> {
        let engine = self.clone();
        Box::pin(async move {
            match engine.lease_info_here(request).await {
                // What is left of one that waits for its revoke may be negative.
                Ok(answer) if answer.granted_ttl > 0 => Ok(answer),
                Ok(_) => Err(PeerError::NotFound),
                Err(error) => Err(refusal(&error)),
            }
        })
    }

    fn promote(&self, id: MemberId) -> Answer<Vec<ferretcd_membership::Member>> {
        let engine = self.clone();
        Box::pin(async move {
            let promoted = engine.promote_here(id).await;
            promoted.map(|members| members.members().cloned().collect()).map_err(|error| match error {
                ReconfigureError::Request(error) => refusal(&error),
                ReconfigureError::NotReady(_) => PeerError::LearnerNotReady,
                ReconfigureError::TimeoutWaitApplied => PeerError::TimeoutWaitApplied,
                ReconfigureError::Risky(error) => PeerError::Refused(error.to_string()),
            })
        })
    }

    fn hash_kv(&self, revision: i64) -> Answer<PeerHash> {
        let engine = self.clone();
        Box::pin(async move {
            let hash = engine.hash_kv_here(revision).await.map_err(|error| refusal(&error))?;
            let (compact_revision, revision) = (hash.compact_revision, hash.hash_revision);
            Ok(PeerHash { hash: hash.hash, revision, compact_revision })
        })
    }
}

fn refusal(error: &RequestError) -> PeerError {
    match error {
        RequestError::Apply(ApplyError::Compacted { .. }) => PeerError::Compacted,
        RequestError::Apply(ApplyError::Future { .. }) => PeerError::FutureRevision,
        RequestError::Apply(ApplyError::LeaseNotFound) => PeerError::NotFound,
        RequestError::Apply(ApplyError::Membership(ChangeError::NotFound(_) | ChangeError::IdRemoved(_))) => {
            PeerError::NotFound
        }
        RequestError::Apply(ApplyError::Membership(ChangeError::NotLearner(_))) => PeerError::NotLearner,
        RequestError::Timeout | RequestError::TimeoutLeaderLost => PeerError::Timeout,
        other => PeerError::Refused(other.to_string()),
    }
}
