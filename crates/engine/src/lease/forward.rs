//! What the leader alone can tell about leases, on every member.
//!
//! Renewals are not logged, so raft does not carry them: a member that does not lead asks the leader over the
//! network between members, and asks again as long as the request may take.

use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use ferretcd_base::LeaseId;
use tokio::time::{Instant, sleep, timeout_at};

use crate::peers::{LeaseInfo, RenewLease};
use crate::{Engine, PeerCall, PeerError, RequestError};

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

impl Engine {
    /// Renews a lease wherever the leader is. Returns the time to live in seconds, 0 if there is no such lease.
    pub(super) async fn renew_at_leader(&self, id: LeaseId) -> Result<Told<i64>, RequestError> {
        let told =
            self.ask_leader(move |engine: Engine| async move { engine.renew(id).await }, RenewLease(id));
        let Told { answer, here } = told.await?;
        Ok(Told { answer: answer.unwrap_or(0), here })
    }

    /// What is left of a lease wherever the leader is; `None` if there is no such lease.
    pub(super) async fn info_at_leader(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<Option<LeaseTimeToLiveResponse>, RequestError> {
        let told = self
            .ask_leader(move |engine: Engine| async move { engine.info(request).await }, LeaseInfo(request));
        Ok(told.await?.answer)
    }

    /// Asks this member while it leads, and else the one that does, until there is an answer; `None` if another
    /// member says that there is no such lease.
    async fn ask_leader<C, H>(
        &self,
        here: impl Fn(Engine) -> H,
        away: C,
    ) -> Result<Told<Option<C::Response>>, RequestError>
    where
        C: PeerCall + Copy,
        H: Future<Output = Result<C::Response, RequestError>>,
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
                        match self.peers().call(leader, away).await {
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
