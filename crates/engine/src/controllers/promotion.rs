//! Promotions of members that are joining.
//!
//! The leader lets them vote as soon as they have caught up. Until then they are in no quorum, so that a cluster can go
//! on deciding while a member is added that is slow, or never starts.

use std::time::Duration;

use ferretcd_base::MemberId;
use ferretcd_membership::Change;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::peers::Promote;
use crate::{Cluster, MemberInfo, PeerError, RequestError};

/// Entries that a member that is joining may lack when it begins to vote.
const JOINED_LAG_MAX: u64 = 1000;
/// How often the leader looks whether a member has caught up.
const JOIN_INTERVAL: Duration = Duration::from_millis(100);
/// For how long a member may be joining before the leader gets a request to promote it, and between two requests.
const REMIND_AFTER: Duration = Duration::from_secs(2);

/// Requests of a member that does not lead for the one that is joining.
#[derive(Default)]
struct Reminder {
    /// The joining member, and when the next request for it is due.
    next: Option<(MemberId, Instant)>,
    /// The leader that promotes the joining member without a request.
    promotes_by_itself: Option<(MemberId, MemberId)>,
}

/// The controller.
pub(super) struct Promotion {
    pub(super) cluster: Cluster,
    pub(super) member: MemberInfo,
}

impl Promotion {
    pub(super) async fn run(self) {
        let mut ticks = interval(JOIN_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reminder = Reminder::default();
        loop {
            ticks.tick().await;
            self.remind_leader(&mut reminder).await;
            let Some(id) = self.caught_up().await else { continue };
            tracing::info!("joining-member-id" = %id, "the member has caught up and begins to vote");
            // Bounded, because the member may be removed or the leadership lost meanwhile.
            match timeout(
                self.member.config().request_timeout(),
                self.cluster.configure(&Change::Promote(id)),
            )
            .await
            {
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

    /// A leader that runs etcd takes a joining member for a learner, which it promotes on request when it is ready. A
    /// leader that runs ferretcd responds that it is no learner, and gets no further request.
    async fn remind_leader(&self, reminder: &mut Reminder) {
        let (own, members) = (self.member.id(), self.member.membership());
        let joining = || members.members().filter(|member| member.is_joining).map(|member| member.id);
        let Some(id) = joining().find(|id| *id == own).or_else(|| joining().next()) else {
            return *reminder = Reminder::default();
        };
        let at = reminder.next.filter(|(of, _)| *of == id).map(|(_, at)| at);
        if at.is_some_and(|at| Instant::now() < at) {
            return;
        }
        reminder.next = Some((id, Instant::now() + REMIND_AFTER));
        let leader = self.member.status().leader.filter(|leader| *leader != own);
        let (Some(_), Some(leader)) = (at, leader) else { return };
        if reminder.promotes_by_itself != Some((leader, id))
            && let Err(PeerError::NotLearner) = self.cluster.peers().call(leader, Promote(id)).await
        {
            reminder.promotes_by_itself = Some((leader, id));
        }
    }

    /// One of the members that are joining and have nearly all of the log.
    async fn caught_up(&self) -> Option<MemberId> {
        let members = self.member.membership();
        let joining: Vec<MemberId> =
            members.members().filter(|member| member.is_joining).map(|member| member.id).collect();
        if joining.is_empty() || !self.member.is_leader() {
            return None;
        }
        let standings = self.cluster.standings().await.ok()?;
        let own = standings.of(self.member.id())?;
        joining.into_iter().find(|id| {
            // A member that has acknowledged nothing yet has not even started.
            self.cluster.hears(*id, &standings)
                && standings.of(*id).is_some_and(|it| {
                    it.matched > 0 && own.matched.saturating_sub(it.matched) <= JOINED_LAG_MAX
                })
        })
    }
}
