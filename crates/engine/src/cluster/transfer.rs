//! Giving the leadership away.

use std::time::Duration;

use ferretcd_base::MemberId;
use tokio::time::{Instant, sleep, timeout};

use crate::{Engine, RequestError};

/// How often it is looked whether another one leads.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

impl Engine {
    /// Gives the leadership to another voter; returns when it leads. There is no time-out: a member that is not
    /// heard from is waited for, while this one goes on leading. Only the leader can do this.
    pub async fn move_leader(&self, to: MemberId) -> Result<(), RequestError> {
        let own = self.member_id();
        if !self.is_leader() {
            return Err(RequestError::NotLeader(own));
        }
        let started = Instant::now();
        // The core gives up after an election timeout, and says nothing.
        let patience = self.config().election;
        let mut asked_at: Option<Instant> = None;
        self.check_transferee(to)?;
        tracing::info!(
            "local-member-id" = %own,
            "current-leader-member-id" = %own,
            "transferee-member-id" = %to,
            "leadership transfer starting"
        );
        loop {
            match self.status().leader {
                Some(leader) if leader == to => break,
                Some(leader) if leader != own => return Err(RequestError::NotLeader(own)),
                Some(_) if asked_at.is_none_or(|at| at.elapsed() > patience) => {
                    self.check_transferee(to)?;
                    // While it is under way nothing can be written, so only to one that will answer.
                    if self.can_lead(to) {
                        self.0.node.transfer_leader(to)?;
                        asked_at = Some(Instant::now());
                    }
                }
                _ => {}
            }
            if self.0.shared.is_stopping() {
                return Err(RequestError::Stopped);
            }
            sleep(LOOK_INTERVAL).await;
        }
        tracing::info!(
            "local-member-id" = %own,
            "old-leader-member-id" = %own,
            "new-leader-member-id" = %to,
            took = format!("{:?}", started.elapsed()),
            "leadership transfer finished"
        );
        Ok(())
    }

    /// Gives the leadership to the voter that has been heard from for the longest time: a member that leads should
    /// do so before it goes, so that nobody waits for an election. Takes two election timeouts at most; in which
    /// another election would have been over as well.
    pub async fn transfer_leadership(&self) {
        let own = self.member_id();
        let membership = self.membership();
        if !self.is_leader() {
            let leader = self.status().leader.unwrap_or_default();
            tracing::info!(
                "local-member-id" = %own,
                "current-leader-member-id" = %leader,
                "skipped leadership transfer; local server is not leader"
            );
            return;
        }
        if membership.voters().nth(1).is_none() {
            tracing::info!(
                "local-member-id" = %own,
                "current-leader-member-id" = %own,
                "skipped leadership transfer for single voting member cluster"
            );
            return;
        }
        // Whether one has answered lately the core forgets with each election timeout, so that is waited for.
        let others = membership.voters().filter(|id| *id != own && !self.awaits_state(*id));
        let heard = others.filter_map(|id| Some((self.peers().active_since(id)?, id)));
        let Some((_, to)) = heard.min() else {
            tracing::warn!("local-member-id" = %own, error = "unhealthy cluster", "leadership transfer failed");
            return;
        };
        let moved = tokio::select! {
            moved = self.move_leader(to) => moved,
            () = sleep(2 * self.config().election) => Err(RequestError::Timeout),
            // It may be on its way out as well.
            () = self.silence(to) => Err(RequestError::Timeout),
        };
        if let Err(error) = moved {
            tracing::warn!("local-member-id" = %own, %error, "leadership transfer failed");
        }
    }

    /// Makes another member than the leader `id` lead, if that can be done within two election timeouts: this one, if
    /// it votes and is not that leader itself.
    pub(super) async fn take_leadership(&self, id: MemberId) {
        let own = self.member_id();
        if id == own {
            if self.membership().voters().nth(1).is_some() {
                self.transfer_leadership().await;
            }
            return;
        }
        if !self.membership().voters().any(|voter| voter == own) {
            return;
        }
        tracing::info!(
            "local-member-id" = %own,
            "current-leader-member-id" = %id,
            "transferee-member-id" = %own,
            "leadership transfer starting"
        );
        // The core passes it on to the leader; a refusal means that the change itself will be refused as well.
        let _ = self.0.node.transfer_leader(own);
        let deposed = async {
            while self.status().leader.is_none_or(|leader| leader == id) {
                sleep(LOOK_INTERVAL).await;
            }
        };
        if timeout(2 * self.config().election, deposed).await.is_err() {
            tracing::warn!("local-member-id" = %own, "current-leader-member-id" = %id, "leadership transfer failed");
        }
    }

    fn check_transferee(&self, to: MemberId) -> Result<(), RequestError> {
        match self.membership().member(to) {
            Some(member) if !member.is_learner => Ok(()),
            _ => Err(RequestError::BadTransferee(to)),
        }
    }

    /// Returns when another member is not heard from.
    async fn silence(&self, id: MemberId) {
        while self.peers().active_since(id).is_some() {
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Whether the member has a vote and answers.
    fn can_lead(&self, id: MemberId) -> bool {
        let is_voter = self.membership().member(id).is_some_and(|member| member.is_voter());
        is_voter && self.standing(id).is_some_and(|standing| standing.is_active)
    }
}
