//! From a change of the members to the cluster's decision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferretcd_membership::{Change, Member, Membership};
use ferretcd_raft_node::{ConfChange, ConfChangeKind, Rejected};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::{Cluster, RETRY_PAUSE};
use crate::RequestError;
use crate::proposer::waiters::Waiters;
use crate::replies::Reply;

/// No waiter for a change is ever overdue: longer than any process runs, and still to be added to a point in time.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

impl Cluster {
    /// Has a change decided by the cluster. A change that is certainly not logged is proposed again, and so is one that
    /// may be lost: a leader drops a change that is forwarded to it while another one is under way, without a word. So
    /// a change that was only slow may be logged twice; [`after_failure`] deals with that.
    pub(crate) async fn configure(&self, change: &Change) -> Result<Arc<Membership>, RequestError> {
        let id = self.proposer.next_id();
        let proposal = conf_change(id, change);
        let mut waiter = DecisionWaiter::new(self.proposer.waiters(), id);
        let before = self.member.membership();
        let patience = 2 * self.member.config().election;
        let mut is_repeated = false;
        loop {
            let decision = waiter.register()?;
            if self.member.is_stopping() {
                return Err(RequestError::Stopped);
            }
            let decided = match self.node.propose_conf_change(id, proposal.clone()) {
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
                // A snapshot that took the place of the state says nothing about single changes.
                Err(_) => RequestError::Timeout,
                Ok(Some(Err(
                    error @ (RequestError::Timeout
                    | RequestError::TimeoutLeaderLost
                    | RequestError::TimeoutNoLeader),
                ))) => error,
                // What an earlier try has done need not be done again.
                Ok(Some(Err(_))) if is_repeated && is_done(change, &self.member.membership()) => break,
                Ok(Some(Err(error))) => return Err(error),
                Ok(None) => return Err(RequestError::Stopped),
            };
            match after_failure(change, &before, &self.member.membership()) {
                Next::Propose => {}
                Next::Done => break,
                Next::GiveUp => return Err(error),
            }
            is_repeated = true;
        }
        tracing::info!(
            "local-member-id" = %self.member.id(),
            "raft-conf-change" = name(proposal.kind),
            "raft-conf-change-node-id" = %proposal.node,
            "applied a configuration change through raft"
        );
        Ok(self.member.membership())
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

/// What to do about a change that was proposed, and is not known to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Propose it once more.
    Propose,
    /// Nothing: the members are as it would have them.
    Done,
    /// Nothing: another request has changed the same since, and a second proposal would take that back.
    GiveUp,
}

/// A change that was made already is rejected when it comes again, and so is one of a member that is gone. But not an
/// update, so it is not proposed again once a later update of the same member is seen. The later one stays, unless it
/// comes between an update that was taken for lost and was only slow, and the second proposal of that update.
fn after_failure(change: &Change, before: &Membership, now: &Membership) -> Next {
    let Change::UpdatePeerUrls(id, _) = change else { return Next::Propose };
    match (before.member(*id), now.member(*id)) {
        (Some(before), Some(now)) if before.peer_urls == now.peer_urls => Next::Propose,
        (_, Some(_)) if is_done(change, now) => Next::Done,
        (_, Some(_)) => Next::GiveUp,
        (_, None) => Next::Propose,
    }
}

/// Waits for the decision about one change, whichever try of it comes first, until this is dropped.
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
    use ferretcd_base::MemberId;

    use super::*;

    fn member(id: u64) -> Member {
        Member { id: MemberId(id), peer_urls: vec![format!("http://m{id}:1")], ..Member::default() }
    }

    #[test]
    fn changes_become_the_proposals_of_etcd() {
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
    fn done_changes_are_recognized() {
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
    fn update_is_not_proposed_again_after_a_later_update() {
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
        // These are rejected when they come again.
        let is_removed = make(Change::Remove(MemberId(1)));
        assert_eq!(after_failure(&own, &before, &is_removed), Next::Propose);
        assert_eq!(after_failure(&Change::Remove(MemberId(1)), &before, &is_removed), Next::Propose);
    }
}
