//! What clients ask about leases.

use std::collections::VecDeque;

use ferretcd_api_proto::etcdserverpb::{
    LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveResponse,
    LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus, LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
};
use ferretcd_apply::{Request, Response};
use ferretcd_base::LeaseId;
use ferretcd_lease::{Deadlines, Renewal};
use tokio::time::{Instant, timeout_at};

use crate::read::blocking;
use crate::{Engine, RequestError};

/// Leases. Answers come with their header.
impl Engine {
    /// Grants a lease; durable on return. Without an id the member chooses one.
    pub async fn lease_grant(
        &self,
        mut request: LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, RequestError> {
        while request.id == 0 {
            request.id = (self.0.ids.next() & i64::MAX.cast_unsigned()).cast_signed();
        }
        let reply = self.propose(Request::LeaseGrant(request)).await?;
        let Response::LeaseGrant { id, ttl } = reply.response else {
            unreachable!("grants are answered as grants")
        };
        let header = Some(self.header(reply.revision));
        Ok(LeaseGrantResponse { header, id: id.0, ttl, ..LeaseGrantResponse::default() })
    }

    /// Ends a lease and deletes its keys, all at one revision; durable on return.
    pub async fn lease_revoke(
        &self,
        request: LeaseRevokeRequest,
    ) -> Result<LeaseRevokeResponse, RequestError> {
        let reply = self.propose(Request::LeaseRevoke(request)).await?;
        Ok(LeaseRevokeResponse { header: Some(self.header(reply.revision)) })
    }

    /// Gives a lease its full time again. Nothing is written, unless the log holds that less time was left.
    /// A lease that is unknown or over is answered with a time to live of 0; by then its keys are gone.
    pub async fn lease_keep_alive(&self, id: LeaseId) -> Result<LeaseKeepAliveResponse, RequestError> {
        let told = self.renew_at_leader(id).await?;
        Ok(self.renewed(id, told.answer))
    }

    /// The same, but at once: `None` if that takes other members, the log or the end of a lease, and then nothing
    /// has been promised.
    pub fn lease_keep_alive_now(&self, id: LeaseId) -> Option<LeaseKeepAliveResponse> {
        if !self.is_up_to_date_alone() {
            return None;
        }
        self.renew_as_leader(id).map(|ttl| self.renewed(id, ttl))
    }

    /// Renews leases in their order: the first one, and those behind it that need not be waited for. They share
    /// what it costs to find out whether this member still leads. Returns their answers, and the ids that are left.
    pub async fn lease_keep_alive_all(
        &self,
        mut ids: VecDeque<LeaseId>,
    ) -> Result<(Vec<LeaseKeepAliveResponse>, VecDeque<LeaseId>), RequestError> {
        let Some(first) = ids.pop_front() else { return Ok(Default::default()) };
        let told = self.renew_at_leader(first).await?;
        let mut answers = vec![self.renewed(first, told.answer)];
        while told.here
            && let Some(&id) = ids.front()
            && let Some(ttl) = self.renew_as_leader(id)
        {
            ids.pop_front();
            answers.push(self.renewed(id, ttl));
        }
        Ok((answers, ids))
    }

    /// What is left of a lease, and on request its keys.
    pub async fn lease_time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, RequestError> {
        let id = request.id;
        let found = self.info_at_leader(request).await?;
        let unknown = || LeaseTimeToLiveResponse { id, ttl: -1, ..LeaseTimeToLiveResponse::default() };
        let header = Some(self.header(self.reader().revision()));
        Ok(LeaseTimeToLiveResponse { header, ..found.unwrap_or_else(unknown) })
    }

    /// The same on the leader, without a header.
    pub(crate) async fn info(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, RequestError> {
        let id = LeaseId(request.id);
        let lessor = &self.0.lessor;
        let look = |deadlines: &mut Deadlines| {
            deadlines.is_leading().then(|| deadlines.remaining(id, Instant::now().into_std()))
        };
        let remaining = self.look_at_countdown(look).await?;
        let found = remaining.zip(lessor.reader.get(id));
        let (ttl, granted_ttl) = found.map_or((-1, 0), |(remaining, lease)| (remaining, lease.ttl));
        let keys = if request.keys && found.is_some() {
            let reader = lessor.reader.clone();
            blocking(move || Ok(reader.keys(id))).await?
        } else {
            Vec::new()
        };
        Ok(LeaseTimeToLiveResponse { header: None, id: id.0, ttl, granted_ttl, keys })
    }

    /// All leases that this member knows of; on the leader those that end first come first.
    pub async fn lease_leases(&self) -> Result<LeaseLeasesResponse, RequestError> {
        let engine = self.clone();
        let ids = blocking(move || Ok(engine.0.lessor.ids())).await?;
        let leases = ids.into_iter().map(|id| LeaseStatus { id: id.0 }).collect();
        Ok(LeaseLeasesResponse { header: Some(self.header(self.reader().revision())), leases })
    }

    fn renewed(&self, id: LeaseId, ttl: i64) -> LeaseKeepAliveResponse {
        let header = Some(self.header(self.reader().revision()));
        LeaseKeepAliveResponse { header, id: id.0, ttl }
    }

    /// Renews a lease on a member that has just found that it leads. Returns the time to live in seconds, 0 if there
    /// is no such lease; `None` if more has to happen first.
    fn renew_as_leader(&self, id: LeaseId) -> Option<i64> {
        match self.0.lessor.deadlines.lock().renew(id, Instant::now().into_std()) {
            Renewal::Renewed { ttl, was_checkpointed: false } => {
                self.metrics().lease_renewed.inc();
                Some(ttl)
            }
            Renewal::Unknown => Some(0),
            _ => None,
        }
    }

    /// Returns the time to live in seconds; 0 if there is no such lease any more.
    pub(crate) async fn renew(&self, id: LeaseId) -> Result<i64, RequestError> {
        let renewal =
            self.look_at_countdown(|deadlines| match deadlines.renew(id, Instant::now().into_std()) {
                Renewal::Renewed { ttl, was_checkpointed } => Some((ttl, was_checkpointed)),
                Renewal::Unknown => Some((0, false)),
                // Its revoke is on the way: who hears that a lease is over may rely on its keys being gone.
                Renewal::Expired | Renewal::NotLeading => None,
            });
        let (ttl, was_checkpointed) = renewal.await?;
        if was_checkpointed {
            self.clear_checkpoint(id).await?;
        }
        if ttl > 0 {
            self.metrics().lease_renewed.inc();
        }
        Ok(ttl)
    }

    /// Before the answer: else another leader would count from what was left, which is less than promised.
    async fn clear_checkpoint(&self, id: LeaseId) -> Result<(), RequestError> {
        let checkpoints = vec![LeaseCheckpoint { id: id.0, remaining_ttl: 0 }];
        self.propose(Request::LeaseCheckpoint(LeaseCheckpointRequest { checkpoints })).await.map(drop)
    }

    /// Looks at the countdown while this member leads for sure; again after each change, until `look` finds something.
    /// An error if another one leads.
    async fn look_at_countdown<T>(
        &self,
        mut look: impl FnMut(&mut Deadlines) -> Option<T>,
    ) -> Result<T, RequestError> {
        let lessor = &self.0.lessor;
        let deadline = Instant::now() + self.request_timeout();
        loop {
            self.read_barrier().await?;
            if !self.is_leader() {
                return Err(RequestError::NotLeader(self.member_id()));
            }
            // Before the look: it hears of every change from here on.
            let changed = lessor.changed.notified();
            if self.0.shared.is_stopping() {
                return Err(RequestError::Stopped);
            }
            if let Some(found) = look(&mut lessor.deadlines.lock()) {
                return Ok(found);
            }
            timeout_at(deadline, changed).await.map_err(|_| RequestError::Timeout)?;
        }
    }
}

impl super::Lessor {
    /// The ids of all leases, in the order in which they end if that is known here.
    fn ids(&self) -> Vec<LeaseId> {
        let by_deadline = self.deadlines.lock().by_deadline();
        by_deadline.unwrap_or_else(|| self.reader.all().into_iter().map(|(id, _)| id).collect())
    }
}
