//! Additions, removals and updates: from a request to a decision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferretcd_base::MemberId;
use ferretcd_membership::{Change, Contact, Member, Membership, Url, added_member_id};
use ferretcd_raft_node::{ConfChange, ConfChangeKind, Rejected};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::{RETRY_PAUSE, ReconfigureError};
use crate::replies::Reply;
use crate::waiters::Waiters;
use crate::{Engine, RequestError};

/// A member that has been heard from for so long counts as reachable.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// No waiter for a change is ever overdue: longer than any process lives, and still to be added to a point in time.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Changes of the members. They have no time-out: each returns when the change is decided, and dropping the future
/// gives up waiting for that, while the change itself may still come. Everything is durable on return.
impl Engine {
    /// The members, as everybody sees them who asks later if `linearizable`, else as this member knows them.
    pub async fn member_list(&self, linearizable: bool) -> Result<Arc<Membership>, RequestError> {
        if linearizable {
            self.read_barrier().await?;
        }
        Ok(self.membership())
    }

    /// Adds a member that will be reached at `peer_urls`; the time goes into its id. Returns the new member, and
    /// everybody. A voter counts in quorums as soon as it has caught up with the log, not before.
    pub async fn member_add(
        &self,
        peer_urls: &[Url],
        is_learner: bool,
        unix_seconds: u64,
    ) -> Result<(Member, Arc<Membership>), ReconfigureError> {
        let mut peer_urls: Vec<String> = peer_urls.iter().map(ToString::to_string).collect();
        peer_urls.sort_unstable();
        let id = added_member_id(&peer_urls, unix_seconds);
        let member = Member { id, peer_urls, is_learner, is_joining: !is_learner, ..Member::default() };
        if self.config().strict_reconfig {
            self.membership().check_add(is_learner, self.contact()).inspect_err(|error| {
                tracing::warn!(
                    "local-member-id" = %self.member_id(),
                    "requested-member-add" = %id,
                    %error,
                    "rejecting member add request"
                );
            })?;
        }
        let learners_max = self.config().learners_max;
        let members = self.configure(&Change::Add { member: member.clone(), learners_max }).await?;
        Ok((member, members))
    }

    /// Removes a member for ever. Returns those who stay. If it leads, another one is made to lead first, as far as
    /// that is possible: nothing is decided between the end of a leader and the next election.
    pub async fn member_remove(&self, id: MemberId) -> Result<Arc<Membership>, ReconfigureError> {
        if self.config().strict_reconfig {
            self.membership().check_remove(id, self.contact()).inspect_err(|error| {
                tracing::warn!(
                    "local-member-id" = %self.member_id(),
                    "requested-member-remove-id" = %id,
                    %error,
                    "rejecting member remove request"
                );
            })?;
        }
        if self.status().leader == Some(id) {
            self.take_leadership(id).await;
        }
        Ok(self.configure(&Change::Remove(id)).await?)
    }

    /// Changes where a member is reached; the texts are taken as they are. Returns everybody.
    pub async fn member_update(
        &self,
        id: MemberId,
        peer_urls: Vec<String>,
    ) -> Result<Arc<Membership>, ReconfigureError> {
        Ok(self.configure(&Change::UpdatePeerUrls(id, peer_urls)).await?)
    }

    /// How well this member hears the others. One that awaits a state is not to be counted on, however well it is heard.
    fn contact(&self) -> impl Fn(MemberId) -> Contact {
        let now = Instant::now();
        move |id| match self.peers().active_since(id) {
            _ if id == self.member_id() => Contact::Stable,
            Some(since) if now.saturating_duration_since(since) > STABLE_AFTER && !self.awaits_state(id) => {
                Contact::Stable
            }
            Some(_) => Contact::Recent,
            None => Contact::None,
        }
    }

    /// Has a change decided by the cluster. What is certainly not logged is proposed again, as well as what may be
    /// lost: a leader drops a change that is forwarded to it while another one is under way, and tells nobody. So what
    /// was only slow may be logged twice; [`after_failure`] knows what that means.
    pub(super) async fn configure(&self, change: &Change) -> Result<Arc<Membership>, RequestError> {
        let id = self.0.ids.next();
        let proposal = conf_change(id, change);
        let mut waiter = DecisionWaiter::new(&self.0.waiters, id);
        let before = self.membership();
        let patience = 2 * self.config().election;
        let mut is_repeated = false;
        loop {
            let decision = waiter.register()?;
            if self.0.shared.is_stopping() {
                return Err(RequestError::Stopped);
            }
            let decided = match self.0.node.propose_conf_change(id, proposal.clone()) {
                Ok(()) => timeout(patience, decision).await.map(Result::ok),
                Err(Rejected::Full) => Ok(Some(Err(RequestError::Dropped))),
                Err(Rejected::Stopped) => return Err(RequestError::Stopped),
            };
            let error = match decided {
                Ok(Some(Ok(_))) => break,
                Ok(Some(Err(error @ RequestError::Dropped))) => {
                    sleep(RETRY_PAUSE).await;
                    error
                }
                // A state that came as a whole from another member tells nothing of single changes.
                Err(_) => RequestError::Timeout,
                Ok(Some(Err(
                    error @ (RequestError::Timeout
                    | RequestError::TimeoutLeaderLost
                    | RequestError::TimeoutNoLeader),
                ))) => error,
                // What an earlier try has done need not be done again.
                Ok(Some(Err(_))) if is_repeated && is_done(change, &self.membership()) => break,
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) => return Err(RequestError::Stopped),
            };
            match after_failure(change, &before, &self.membership()) {
                Next::Propose => {}
                Next::Done => break,
                Next::GiveUp => return Err(error),
            }
            is_repeated = true;
        }
        tracing::info!(
            "local-member-id" = %self.member_id(),
            "raft-conf-change" = name(proposal.kind),
            "raft-conf-change-node-id" = %proposal.node,
            "applied a configuration change through raft"
        );
        Ok(self.membership())
    }
}

fn conf_change(id: u64, change: &Change) -> ConfChange {
    let kind = match change {
        Change::Add { member, .. } if member.is_voter() => ConfChangeKind::AddNode,
        Change::Add { .. } => ConfChangeKind::AddLearnerNode,
        Change::Promote(_) => ConfChangeKind::AddNode,
        Change::UpdatePeerUrls(..) => ConfChangeKind::UpdateNode,
        Change::Remove(_) => ConfChangeKind::RemoveNode,
    };
    ConfChange { id, kind, node: change.member(), context: change.to_context().into() }
}

/// etcd's name, for logs.
fn name(kind: ConfChangeKind) -> &'static str {
    match kind {
        ConfChangeKind::AddNode => "ConfChangeAddNode",
        ConfChangeKind::AddLearnerNode => "ConfChangeAddLearnerNode",
        ConfChangeKind::UpdateNode => "ConfChangeUpdateNode",
        ConfChangeKind::RemoveNode => "ConfChangeRemoveNode",
    }
}

/// Whether the members are as the change would have them.
fn is_done(change: &Change, membership: &Membership) -> bool {
    let member = membership.member(change.member());
    match change {
        Change::Add { .. } => member.is_some(),
        Change::Promote(_) => member.is_some_and(Member::is_voter),
        Change::UpdatePeerUrls(_, peer_urls) => member.is_some_and(|member| member.peer_urls == *peer_urls),
        Change::Remove(id) => membership.is_removed(*id),
    }
}

/// What is to be done about a change that was proposed, and is not known to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Propose it once more.
    Propose,
    /// Nothing: the members are as it would have them.
    Done,
    /// Nothing: somebody else has changed the same since, and to propose it again would take that back.
    GiveUp,
}

/// What was made already is refused when it comes again, and so is what concerns nobody any more. But not an update, so
/// it is not proposed again once another one is seen that was made since. That one stays, unless it comes between an
/// update that was taken for lost and was only slow, and the second proposal of it.
fn after_failure(change: &Change, before: &Membership, now: &Membership) -> Next {
    let Change::UpdatePeerUrls(id, _) = change else { return Next::Propose };
    match (before.member(*id), now.member(*id)) {
        (Some(before), Some(now)) if before.peer_urls == now.peer_urls => Next::Propose,
        (_, Some(_)) if is_done(change, now) => Next::Done,
        (_, Some(_)) => Next::GiveUp,
        (_, None) => Next::Propose,
    }
}

/// Waits for the decision about one change, whichever try of it comes first. Nobody waits any more when this goes.
struct DecisionWaiter<'a> {
    waiters: &'a Waiters,
    id: u64,
}

impl<'a> DecisionWaiter<'a> {
    fn new(waiters: &'a Waiters, id: u64) -> Self {
        Self { waiters, id }
    }

    /// In place of an earlier registration, if there is one.
    fn register(&mut self) -> Result<oneshot::Receiver<Result<Reply, RequestError>>, RequestError> {
        self.waiters.take(self.id);
        self.waiters.register(self.id, Instant::now() + NEVER, 0).ok_or(RequestError::TooManyRequests)
    }
}

impl Drop for DecisionWaiter<'_> {
    fn drop(&mut self) {
        self.waiters.take(self.id);
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_backend::Batch;

    use super::*;

    fn member(id: u64) -> Member {
        Member { id: MemberId(id), peer_urls: vec![format!("http://m{id}:1")], ..Member::default() }
    }

    #[test]
    fn changes_become_what_etcd_proposes() {
        let kind = |change| conf_change(7, &change).kind;
        assert_eq!(kind(Change::add(member(1))), ConfChangeKind::AddNode);
        assert_eq!(
            kind(Change::add(Member { is_learner: true, ..member(1) })),
            ConfChangeKind::AddLearnerNode
        );
        let joining = Member { is_joining: true, ..member(1) };
        assert_eq!(kind(Change::add(joining)), ConfChangeKind::AddLearnerNode, "has no vote yet");
        let promotion = conf_change(7, &Change::Promote(MemberId(1)));
        assert_eq!((promotion.id, promotion.kind, promotion.node), (7, ConfChangeKind::AddNode, MemberId(1)));
        assert!(conf_change(7, &Change::Remove(MemberId(1))).context.is_empty());
    }

    #[test]
    fn what_is_done_is_known() {
        let mut membership = Membership::default();
        let mut batch = Batch::default();
        let joining = Member { is_joining: true, ..member(2) };
        let update = |url: &str| Change::UpdatePeerUrls(MemberId(1), vec![url.to_owned()]);
        for change in [
            Change::add(member(1)),
            Change::add(joining),
            Change::Promote(MemberId(2)),
            update("http://x:1"),
            Change::Remove(MemberId(2)),
        ] {
            assert!(!is_done(&change, &membership), "{change:?}");
            membership.change(change.clone(), &mut batch).expect("possible");
            assert!(is_done(&change, &membership), "{change:?}");
        }
        assert!(!is_done(&update("http://y:1"), &membership));
    }

    #[test]
    fn an_update_is_not_proposed_again_behind_one_that_is_seen() {
        let mut membership = Membership::default();
        let mut batch = Batch::default();
        let mut make = |change| {
            membership.change(change, &mut batch).expect("possible");
            membership.clone()
        };
        let update = |url: &str| Change::UpdatePeerUrls(MemberId(1), vec![url.to_owned()]);
        make(Change::add(member(1)));
        let before = make(Change::add(member(2)));
        let own = update("http://x:1");
        assert_eq!(after_failure(&own, &before, &before), Next::Propose);
        let other_member = make(Change::UpdatePeerUrls(MemberId(2), vec!["http://z:1".to_owned()]));
        assert_eq!(after_failure(&own, &before, &other_member), Next::Propose);
        let is_made = make(own.clone());
        assert_eq!(after_failure(&own, &before, &is_made), Next::Done);
        let later = make(update("http://y:1"));
        assert_eq!(after_failure(&own, &before, &later), Next::GiveUp);
        // These are refused when they come again.
        let is_removed = make(Change::Remove(MemberId(1)));
        assert_eq!(after_failure(&own, &before, &is_removed), Next::Propose);
        assert_eq!(after_failure(&Change::Remove(MemberId(1)), &before, &is_removed), Next::Propose);
    }
}
