//! Promotions of learners, on request.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::errors::Error;
use ferretcd_apply::ApplyError;
use ferretcd_base::MemberId;
use ferretcd_membership::{Change, ChangeError, Member, Membership, TooRisky};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Cluster, RETRY_PAUSE, ReconfigureError};
use crate::peers::Promote;
use crate::{Caller, PeerError, RequestError};

/// How long a promotion waits for what is committed to be applied.
const WAIT_APPLIED: Duration = Duration::from_secs(1);
/// A learner is ready with this share of the leader's log, in percent.
const READY_PERCENT: u64 = 90;

impl Cluster {
    /// Makes a voter of a learner. Only the leader knows whether it is ready; other members forward the request to it.
    /// Returns all members.
    pub async fn member_promote(
        &self,
        caller: &Caller,
        id: MemberId,
    ) -> Result<Vec<Member>, ReconfigureError> {
        self.gate.check_root(caller).await?;
        match self.promote_as_leader(caller, id).await {
            Err(ReconfigureError::Request(RequestError::NotLeader(_))) => {
                self.promote_at_leader(caller, id).await
            }
            promoted => Ok(promoted?.members().cloned().collect()),
        }
    }

    /// The same for peers; an error on a member that does not lead.
    pub(crate) async fn promote_as_leader(
        &self,
        _caller: &Caller,
        id: MemberId,
    ) -> Result<Arc<Membership>, ReconfigureError> {
        // A member that is joining is no learner to clients, and begins to vote by itself. Peers send such requests too,
        // so nothing is counted.
        if self.member.is_leader()
            && self.member.membership().member(id).is_some_and(|member| member.is_joining)
        {
            return Err(ChangeError::NotLearner(id).into());
        }
        let promoted = self.promote(id).await;
        let metrics = &self.metrics;
        match &promoted {
            Ok(_) => metrics.learners_promoted.inc(),
            Err(ReconfigureError::Request(RequestError::NotLeader(_))) => {}
            Err(error) => metrics.promotions_refused.with_label_values(&[&reason(error)]).inc(),
        }
        promoted
    }

    async fn promote(&self, id: MemberId) -> Result<Arc<Membership>, ReconfigureError> {
        self.wait_applied().await?;
        let standings = self.standings().await?;
        let own = standings.of(self.member.id()).ok_or(RequestError::NotLeader(self.member.id()))?;
        let members = self.member.membership();
        members.member(id).ok_or(ChangeError::NotFound(id))?;
        let matched = standings.of(id).map_or(0, |progress| progress.matched);
        if matched * 100 < own.matched * READY_PERCENT {
            return Err(ReconfigureError::NotReady(id));
        }
        if self.member.config().strict_reconfig {
            members.check_promote().inspect_err(|error| {
                tracing::warn!(
                    "local-member-id" = %self.member.id(),
                    "requested-member-promote-id" = %id,
                    %error,
                    "rejecting member promote request"
                );
            })?;
        }
        Ok(self.configure(&Change::Promote(id)).await?)
    }

    async fn promote_at_leader(
        &self,
        caller: &Caller,
        id: MemberId,
    ) -> Result<Vec<Member>, ReconfigureError> {
        let deadline = Instant::now() + self.member.config().request_timeout();
        let promoted = async {
            loop {
                match self.member.status().leader {
                    Some(leader) if leader != self.member.id() => {
                        match self.peers.call(leader, Promote(id)).await {
                            Ok(members) => return Ok(members),
                            Err(PeerError::NotFound) => return Err(ChangeError::NotFound(id).into()),
                            Err(PeerError::NotLearner) => return Err(ChangeError::NotLearner(id).into()),
                            Err(PeerError::LearnerNotReady) => return Err(ReconfigureError::NotReady(id)),
                            // Another member may lead by now.
                            Err(_) => {}
                        }
                    }
                    Some(_) => match self.promote_as_leader(caller, id).await {
                        Err(ReconfigureError::Request(RequestError::NotLeader(_))) => {}
                        promoted => return Ok(promoted?.members().cloned().collect()),
                    },
                    None => {}
                }
                sleep(RETRY_PAUSE).await;
            }
        };
        timeout_at(deadline, promoted).await.unwrap_or(Err(RequestError::Timeout.into()))
    }

    /// Waits until this member has applied what it knows to be committed.
    async fn wait_applied(&self) -> Result<(), ReconfigureError> {
        let committed = self.member.status().committed;
        let applied = async {
            while self.member.applied_index() < committed {
                sleep(WAIT_APPLIED / 100).await;
            }
        };
        timeout(WAIT_APPLIED, applied).await.map_err(|_| ReconfigureError::TimeoutWaitApplied)
    }
}

/// The label of a metric, in etcd's words where it has any. None of them names the member.
fn reason(error: &ReconfigureError) -> Cow<'static, str> {
    let known = match error {
        ReconfigureError::NotReady(_) => Error::LearnerNotReady.message(),
        ReconfigureError::Risky(TooRisky::NotEnoughStarted { .. }) => Error::MemberNotEnoughStarted.message(),
        ReconfigureError::Risky(TooRisky::Unhealthy { .. }) => Error::Unhealthy.message(),
        ReconfigureError::TimeoutWaitApplied => Error::TimeoutWaitAppliedIndex.message(),
        ReconfigureError::Request(RequestError::Apply(ApplyError::Membership(error))) => match error {
            ChangeError::NotLearner(_) => "membership: can only promote a learner member",
            ChangeError::NotFound(_) => "membership: ID not found",
            ChangeError::IdRemoved(_) => "membership: ID removed",
            _ => "membership: change refused",
        },
        ReconfigureError::Request(error) => return error.to_string().into(),
    };
    known.into()
}
