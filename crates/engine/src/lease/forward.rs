//! What the leader alone can tell about leases, on every member.
//!
//! Renewals are not logged, so raft does not carry them: a member that does not lead asks the leader over the
//! network between members, and asks again as long as the request may take.

use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use ferretcd_base::{LeaseId, MemberId};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{Answer, Engine, PeerError, Peers, RequestError};

/// Before the leader, perhaps another one by then, is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Questions to the leader that are on their way at once; others wait for their turn.
pub(super) const QUESTIONS_MAX: usize = 256;

/// What the leader has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told<T> {
    pub(super) answer: T,
    /// Whether this member was the leader.
    pub(super) here: bool,
}

/// For other members. Each is an error on a member that does not lead.
impl Engine {
    /// Renews a lease as the leader. Returns the time to live in seconds, 0 if there is no such lease.
    pub async fn renew_lease_here(&self, id: LeaseId) -> Result<i64, RequestError> {
        self.renew(id).await
    }

    /// Tells as the leader what is left of a lease; a granted time of 0 if there is no such lease.
    pub async fn lease_info_here(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, RequestError> {
        self.info(request).await
    }
}

impl Engine {
    /// Renews a lease wherever the leader is. Returns the time to live in seconds, 0 if there is no such lease.
    pub(super) async fn renew_at_leader(&self, id: LeaseId) -> Result<Told<i64>, RequestError> {
        let told = self.ask_leader(
            move |engine: Engine| async move { engine.renew(id).await },
            |peers, leader| peers.renew_lease(leader, id),
        );
        let Told { answer, here } = told.await?;
        Ok(Told { answer: answer.unwrap_or(0), here })
    }

    /// What is left of a lease wherever the leader is; `None` if there is no such lease.
    pub(super) async fn info_at_leader(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<Option<LeaseTimeToLiveResponse>, RequestError> {
        let told = self.ask_leader(
            move |engine: Engine| async move { engine.info(request).await },
            |peers, leader| peers.lease_info(leader, request),
        );
        Ok(told.await?.answer)
    }

    /// Asks this member while it leads, and else the one that does, until there is an answer; `None` if another
    /// member says that there is no such lease.
    async fn ask_leader<T, H>(
        &self,
        here: impl Fn(Engine) -> H,
        away: impl Fn(&dyn Peers, MemberId) -> Answer<T>,
    ) -> Result<Told<Option<T>>, RequestError>
    where
        H: Future<Output = Result<T, RequestError>>,
    {
        let deadline = Instant::now() + self.request_timeout();
        let asking = async {
            loop {
                if self.0.shared.is_stopping() {
                    return Err(RequestError::Stopped);
                }
                match self.status().leader {
                    Some(leader) if leader == self.member_id() => match here(self.clone()).await {
                        Err(RequestError::NotLeader(_)) => {}
                        answer => return Ok(Told { answer: Some(answer?), here: true }),
                    },
                    Some(leader) => {
                        let _turn = self.0.lessor.questions.acquire().await;
                        match away(self.peers(), leader).await {
                            Ok(answer) => return Ok(Told { answer: Some(answer), here: false }),
                            Err(PeerError::NotFound) => return Ok(Told { answer: None, here: false }),
                            // Perhaps another one leads by now.
                            Err(_) => {}
                        }
                    }
                    None => {}
                }
                sleep(RETRY_PAUSE).await;
            }
        };
        let in_vain = || match self.status().leader {
            Some(_) => RequestError::Timeout,
            None => RequestError::NoLeader,
        };
        timeout_at(deadline, asking).await.unwrap_or_else(|_| Err(in_vain()))
    }
}
