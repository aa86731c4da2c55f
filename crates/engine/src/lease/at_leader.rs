//! Requests that only the leader can serve, on every member.
//!
//! A member that does not lead sends them to the leader over the network between members, and retries as long as the
//! request may take.

use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use ferretcd_base::LeaseId;
use tokio::time::{Instant, sleep, timeout_at};

use super::Leases;
use crate::peers::{LeaseInfo, RenewLease};
use crate::{Caller, PeerCall, PeerError, RequestError};

/// Before a retry at the leader, which may be another member by then.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A response of the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FromLeader<T> {
    pub(super) response: T,
    /// Whether this member was the leader.
    pub(super) is_own: bool,
}

impl Leases {
    /// Renews a lease at the leader. Returns the time to live in seconds, 0 if there is no such lease.
    pub(super) async fn renew_at_leader(
        &self,
        caller: &Caller,
        id: LeaseId,
    ) -> Result<FromLeader<i64>, RequestError> {
        let renewed = self.at_leader(|| self.renew_as_leader(caller, id), RenewLease(id));
        let FromLeader { response, is_own } = renewed.await?;
        Ok(FromLeader { response: response.unwrap_or(0), is_own })
    }

    /// The remaining time of a lease, from the leader; `None` if there is no such lease.
    pub(super) async fn time_to_live_at_leader(
        &self,
        caller: &Caller,
        request: LeaseTimeToLiveRequest,
    ) -> Result<Option<LeaseTimeToLiveResponse>, RequestError> {
        let found = self.at_leader(|| self.time_to_live_as_leader(caller, request), LeaseInfo(request));
        Ok(found.await?.response)
    }

    /// Serves a request here while this member leads, and else sends it to the leader, until there is a response;
    /// `None` if a peer knows no such lease.
    async fn at_leader<C, F>(
        &self,
        here: impl Fn() -> F,
        away: C,
    ) -> Result<FromLeader<Option<C::Response>>, RequestError>
    where
        C: PeerCall + Copy,
        F: Future<Output = Result<C::Response, RequestError>>,
    {
        let deadline = Instant::now() + self.member.config().request_timeout();
        let served = async {
            loop {
                if self.member.is_stopping() {
                    return Err(RequestError::Stopped);
                }
                match self.member.status().leader {
                    Some(leader) if leader == self.member.id() => match here().await {
                        Err(RequestError::NotLeader(_)) => {}
                        response => return Ok(FromLeader { response: Some(response?), is_own: true }),
                    },
                    Some(leader) => {
                        let _turn = self.forwarded.acquire().await;
                        match self.peers.call(leader, away).await {
                            Ok(response) => {
                                return Ok(FromLeader { response: Some(response), is_own: false });
                            }
                            Err(PeerError::NotFound) => {
                                return Ok(FromLeader { response: None, is_own: false });
                            }
                            // Another member may lead by now.
                            Err(_) => {}
                        }
                    }
                    None => {}
                }
                sleep(RETRY_PAUSE).await;
            }
        };
        timeout_at(deadline, served).await.unwrap_or_else(|_| match self.member.status().leader {
            Some(_) => Err(RequestError::Timeout),
            None => Err(RequestError::NoLeader),
        })
    }
}
