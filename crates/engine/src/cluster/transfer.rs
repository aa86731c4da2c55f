//! Transfers of the leadership.

use std::time::Duration;

use ferretcd_base::MemberId;
use tokio::time::{Instant, sleep, timeout};

use super::Cluster;
use crate::{Caller, RequestError};

/// Between two looks at which member leads.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

impl Cluster {
    /// Transfers the leadership to another voter; returns when that one leads. There is no time-out: this member goes on
    /// leading while it does not hear from the other one. Only the leader can do this.
    pub async fn move_leader(&self, caller: &Caller, to: MemberId) -> Result<(), RequestError> {
        self.gate.check_root(caller).await?;
        self.transfer_to(to).await
    }

    async fn transfer_to(&self, to: MemberId) -> Result<(), RequestError> {
        let own = self.member.id();
        if !self.member.is_leader() {
            return Err(RequestError::NotLeader(own));
        }
        let started = Instant::now();
        // The core gives up after an election timeout, without a word.
        let patience = self.member.config().election;
        let mut requested_at: Option<Instant> = None;
        self.check_transferee(to)?;
        tracing::info!(
            "local-member-id" = %own,
            "current-leader-member-id" = %own,
            "transferee-member-id" = %to,
            "leadership transfer starting"
        );
        loop {
            match self.member.status().leader {
                Some(leader) if leader == to => break,
                Some(leader) if leader != own => return Err(RequestError::NotLeader(own)),
                Some(_) if requested_at.is_none_or(|at| at.elapsed() > patience) => {
                    self.check_transferee(to)?;
                    // Nothing can be written during a transfer, so only to a member that is heard from.
                    if self.can_lead(to).await? {
                        self.node.transfer_leader(to)?;
                        requested_at = Some(Instant::now());
                    }
                }
                _ => {}
            }
            if self.member.is_stopping() {
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

    /// Transfers the leadership to the voter that has been heard from for the longest time. A leader should do so before
    /// it stops, so that no request waits for an election. Takes two election timeouts at most, in which an election
    /// would have been over as well.
    pub async fn transfer_leadership(&self) {
        let own = self.member.id();
        let membership = self.member.membership();
        if !self.member.is_leader() {
            let leader = self.member.status().leader.unwrap_or_default();
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
        // Which voters are active the core forgets with each election timeout; `transfer_to` waits for that.
        let Ok(standings) = self.standings().await else { return };
        let others = membership.voters().filter(|id| *id != own && !standings.needs_snapshot(*id));
        let heard = others.filter_map(|id| Some((self.peers.active_since(id)?, id)));
        let Some((_, to)) = heard.min() else {
            tracing::warn!("local-member-id" = %own, error = "unhealthy cluster", "leadership transfer failed");
            return;
        };
        let moved = tokio::select! {
            moved = self.transfer_to(to) => moved,
            () = sleep(2 * self.member.config().election) => Err(RequestError::Timeout),
            // It may be stopping as well.
            () = self.silence(to) => Err(RequestError::Timeout),
        };
        if let Err(error) = moved {
            tracing::warn!("local-member-id" = %own, %error, "leadership transfer failed");
        }
    }

    /// Takes the leadership from the leader `id`, if that can be done within two election timeouts. It goes to this
    /// member, if that has a vote and is not the leader itself, and else to another one.
    pub(super) async fn take_leadership(&self, id: MemberId) {
        let own = self.member.id();
        if id == own {
            if self.member.membership().voters().nth(1).is_some() {
                self.transfer_leadership().await;
            }
            return;
        }
        if !self.member.membership().voters().any(|voter| voter == own) {
            return;
        }
        tracing::info!(
            "local-member-id" = %own,
            "current-leader-member-id" = %id,
            "transferee-member-id" = %own,
            "leadership transfer starting"
        );
        // The core passes it on to the leader. An error means that the change itself will be rejected as well.
        let _ = self.node.transfer_leader(own);
        let taken = async {
            while self.member.status().leader.is_none_or(|leader| leader == id) {
                sleep(LOOK_INTERVAL).await;
            }
        };
        if timeout(2 * self.member.config().election, taken).await.is_err() {
            tracing::warn!("local-member-id" = %own, "current-leader-member-id" = %id, "leadership transfer failed");
        }
    }

    fn check_transferee(&self, to: MemberId) -> Result<(), RequestError> {
        match self.member.membership().member(to) {
            Some(member) if !member.is_learner => Ok(()),
            _ => Err(RequestError::BadTransferee(to)),
        }
    }

    /// Returns when this member does not hear from another one.
    async fn silence(&self, id: MemberId) {
        while self.peers.active_since(id).is_some() {
            sleep(LOOK_INTERVAL).await;
        }
    }

    /// Whether the member has a vote and is heard from.
    async fn can_lead(&self, id: MemberId) -> Result<bool, RequestError> {
        let is_voter = self.member.membership().member(id).is_some_and(|member| member.is_voter());
        Ok(is_voter && self.hears(id, &self.standings().await?))
    }
}
