//! Promotions: of learners, when somebody asks for it, and of members that are joining, without being asked.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::errors::Error;
use ferretcd_apply::ApplyError;
use ferretcd_base::MemberId;
use ferretcd_membership::{Change, ChangeError, Member, Membership, TooRisky};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};

use super::{RETRY_PAUSE, ReconfigureError};
use crate::peers::Promote;
use crate::{Engine, PeerError, RequestError};

/// How long a promotion waits for what is committed to be applied.
const WAIT_APPLIED: Duration = Duration::from_secs(1);
/// A learner is ready with this share of the leader's log, in percent.
const READY_PERCENT: u64 = 90;
/// Entries that a member that is joining may lack when it begins to vote.
const JOINED_LAG_MAX: u64 = 1000;
/// How often the leader looks whether a member has caught up.
const JOIN_INTERVAL: Duration = Duration::from_millis(100);
/// For how long the leader may let a member join before it is asked to let it vote, and each time again.
const REMIND_AFTER: Duration = Duration::from_secs(2);

/// What a member that does not lead knows of the one that is joining.
#[derive(Default)]
struct Reminder {
    /// Who is joining, and when the leader is asked about it.
    next: Option<(MemberId, Instant)>,
    /// The leader that needs not be asked about it.
    sees_to_it: Option<(MemberId, MemberId)>,
}

impl Engine {
    /// Makes a voter of a learner. Only the leader can tell whether it is ready; elsewhere the leader is asked.
    /// Returns everybody.
    pub async fn member_promote(&self, id: MemberId) -> Result<Vec<Member>, ReconfigureError> {
        match self.promote_here(id).await {
            Err(ReconfigureError::Request(RequestError::NotLeader(_))) => {
                self.ask_leader_to_promote(id).await
            }
            promoted => Ok(promoted?.members().cloned().collect()),
        }
    }

    /// The same on the leader; an error elsewhere.
    pub(crate) async fn promote_here(&self, id: MemberId) -> Result<Arc<Membership>, ReconfigureError> {
        // For whoever asks it is no learner; it begins to vote by itself. Members ask as well, so nothing is counted.
        if self.is_leader() && self.membership().member(id).is_some_and(|member| member.is_joining) {
            return Err(ChangeError::NotLearner(id).into());
        }
        let promoted = self.promote(id).await;
        let metrics = self.metrics();
        match &promoted {
            Ok(_) => metrics.learners_promoted.inc(),
            Err(ReconfigureError::Request(RequestError::NotLeader(_))) => {}
            Err(error) => metrics.promotions_refused.with_label_values(&[&reason(error)]).inc(),
        }
        promoted
    }

    async fn promote(&self, id: MemberId) -> Result<Arc<Membership>, ReconfigureError> {
        self.wait_applied().await?;
        if !self.is_leader() {
            return Err(RequestError::NotLeader(self.member_id()).into());
        }
        let not_found = || ChangeError::NotFound(id);
        let member = self.standing(id).ok_or_else(not_found)?;
        let own = self.standing(self.member_id()).ok_or_else(not_found)?;
        if member.matched * 100 < own.matched * READY_PERCENT {
            return Err(ReconfigureError::NotReady(id));
        }
        let members = self.membership();
        if self.config().strict_reconfig {
            members.check_promote().inspect_err(|error| {
                tracing::warn!(
                    "local-member-id" = %self.member_id(),
                    "requested-member-promote-id" = %id,
                    %error,
                    "rejecting member promote request"
                );
            })?;
        }
        Ok(self.configure(&Change::Promote(id)).await?)
    }

    async fn ask_leader_to_promote(&self, id: MemberId) -> Result<Vec<Member>, ReconfigureError> {
        let deadline = Instant::now() + self.request_timeout();
        let asking = async {
            loop {
                match self.status().leader {
                    Some(leader) if leader != self.member_id() => {
                        match self.peers().call(leader, Promote(id)).await {
                            Ok(members) => return Ok(members),
                            Err(PeerError::NotFound) => return Err(ChangeError::NotFound(id).into()),
                            Err(PeerError::NotLearner) => return Err(ChangeError::NotLearner(id).into()),
                            Err(PeerError::LearnerNotReady) => return Err(ReconfigureError::NotReady(id)),
                            // Perhaps another one leads by now.
                            Err(_) => {}
                        }
                    }
                    Some(_) => match self.promote_here(id).await {
                        Err(ReconfigureError::Request(RequestError::NotLeader(_))) => {}
                        promoted => return Ok(promoted?.members().cloned().collect()),
                    },
                    None => {}
                }
                sleep(RETRY_PAUSE).await;
            }
        };
        timeout_at(deadline, asking).await.unwrap_or(Err(RequestError::Timeout.into()))
    }

    /// Waits until this member has applied what it knows to be committed.
    async fn wait_applied(&self) -> Result<(), ReconfigureError> {
        let committed = self.status().committed;
        let applied = async {
            while self.status().applied < committed {
                sleep(WAIT_APPLIED / 100).await;
            }
        };
        timeout(WAIT_APPLIED, applied).await.map_err(|_| ReconfigureError::TimeoutWaitApplied)
    }

    /// The leader lets members that are joining vote as soon as they have caught up. Until then they are in no
    /// quorum, so that a cluster can go on deciding while a member is added that is slow, or never starts.
    pub(crate) async fn promote_joining(self) {
        let mut ticks = interval(JOIN_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reminder = Reminder::default();
        loop {
            ticks.tick().await;
            self.remind_leader(&mut reminder).await;
            let Some(id) = self.caught_up() else { continue };
            tracing::info!("joining-member-id" = %id, "the member has caught up and begins to vote");
            // Bounded, because the member may be removed or the leadership lost meanwhile.
            match timeout(self.request_timeout(), self.configure(&Change::Promote(id))).await {
                Ok(Ok(_)) => {}
                Ok(Err(RequestError::Stopped)) => return,
                Ok(Err(error)) => {
                    tracing::warn!("joining-member-id" = %id, %error, "failed to let the member vote; trying again");
                }
                Err(_) => {
                    tracing::warn!("joining-member-id" = %id, "the member does not vote yet; trying again");
                }
            }
        }
    }

    /// A leader that is a member of etcd takes one that is joining for a learner, which it promotes when it is asked
    /// to and finds it ready. One of ferretcd answers that it is no learner, and is not asked again.
    async fn remind_leader(&self, reminder: &mut Reminder) {
        let (own, members) = (self.member_id(), self.membership());
        let joining = || members.members().filter(|member| member.is_joining).map(|member| member.id);
        let Some(id) = joining().find(|id| *id == own).or_else(|| joining().next()) else {
            return *reminder = Reminder::default();
        };
        let at = reminder.next.filter(|(of, _)| *of == id).map(|(_, at)| at);
        if at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        reminder.next = Some((id, Instant::now() + REMIND_AFTER));
        let leader = self.status().leader.filter(|leader| *leader != own);
        let (Some(_), Some(leader)) = (at, leader) else { return };
        if reminder.sees_to_it != Some((leader, id))
            && let Err(PeerError::NotLearner) = self.peers().call(leader, Promote(id)).await
        {
            reminder.sees_to_it = Some((leader, id));
        }
    }

    /// One of the members that are joining and have nearly all of the log.
    fn caught_up(&self) -> Option<MemberId> {
        let members = self.membership();
        let mut joining = members.members().filter(|member| member.is_joining).peekable();
        joining.peek()?;
        if !self.is_leader() {
            return None;
        }
        let own = self.standing(self.member_id())?;
        let has_caught_up = |member: &&Member| {
            // Who has acknowledged nothing yet has not even started.
            self.standing(member.id).is_some_and(|it| {
                it.is_active && it.matched > 0 && own.matched.saturating_sub(it.matched) <= JOINED_LAG_MAX
            })
        };
        joining.find(has_caught_up).map(|member| member.id)
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
