//! The facet for the members of the cluster: changing them, leading them, and their raft messages.
//!
//! A change is checked against what this member sees, proposed, and decided when its entry is applied; the request
//! waits for that. A member that is added as a voter first gets the log without a vote, and the leader lets it
//! vote when it has nearly all of it.

mod change;
mod configure;
pub(crate) mod membership_log;
mod promote;
mod publish;
mod removal;
mod transfer;

use std::sync::Arc;
use std::time::Duration;

use ferretcd_apply::ApplyError;
use ferretcd_base::MemberId;
use ferretcd_membership::{ChangeError, TooRisky};
use ferretcd_raft_node::{Message, NodeHandle, Progress};
use tokio::sync::oneshot;

use crate::auth::gate::Gate;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::proposer::Proposer;
use crate::read_index::ReadIndex;
use crate::{MemberInfo, Peers, RequestError};

/// Pause before a retry of something that cannot be done at the moment.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// The members of the cluster, and the place of this one among them.
#[derive(Clone, Debug)]
pub struct Cluster {
    node: NodeHandle,
    proposer: Proposer,
    read_index: ReadIndex,
    gate: Gate,
    peers: Arc<dyn Peers>,
    metrics: Arc<Metrics>,
    member: MemberInfo,
}

/// Why the members are not changed.
#[derive(Debug, thiserror::Error)]
pub enum ReconfigureError {
    /// It could not be proposed, or was rejected when it was applied.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It would put the cluster at risk, as this member sees it.
    #[error(transparent)]
    Risky(#[from] TooRisky),
    /// The member that should vote has too little of the log.
    #[error("promote the member: {0} is not in sync with the leader")]
    NotReady(MemberId),
    /// This member is too far behind to tell.
    #[error("promote the member: waiting for the applied index took too long")]
    TimeoutWaitApplied,
}

impl From<ChangeError> for ReconfigureError {
    fn from(error: ChangeError) -> Self {
        Self::Request(ApplyError::from(error).into())
    }
}

/// The progress of all members. A request of an operator and the controllers ask for it when they need it, so it is
/// never older than the request.
#[derive(Debug)]
pub(crate) struct Standings(Vec<Progress>);

/// The state of raft on one member, for people to look at.
#[derive(Clone, Debug)]
pub struct RaftState {
    /// The member's own.
    pub status: ferretcd_raft_node::Status,
    /// That of all members, this one included; empty unless it leads.
    pub progress: Vec<Progress>,
}

impl Cluster {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            node: parts.node.clone(),
            proposer: parts.proposer.clone(),
            read_index: parts.read_index.clone(),
            gate: parts.gate.clone(),
            peers: Arc::clone(&parts.peers),
            metrics: Arc::clone(&parts.channels.metrics),
            member: parts.member.clone(),
        }
    }

    /// Takes a raft message of another member. It may be dropped: raft sends again.
    pub fn receive(&self, message: Message) {
        let _ = self.node.receive(message);
    }

    /// Reports that messages to another member were lost.
    pub fn report_unreachable(&self, id: MemberId) {
        let _ = self.node.report_unreachable(id);
    }

    /// Reports whether the snapshot that a message announced last has reached another member. Until then the node sends
    /// nothing else to that member.
    pub fn report_snapshot(&self, to: MemberId, is_sent: bool) {
        self.node.report_snapshot(to, is_sent);
    }

    pub(crate) fn peers(&self) -> &Arc<dyn Peers> {
        &self.peers
    }

    /// How much of the log each member has, as the core knows it now; nothing unless this member leads.
    pub(crate) async fn standings(&self) -> Result<Standings, RequestError> {
        let (reply, progress) = oneshot::channel();
        self.node.progress(move |progress| drop(reply.send(progress)))?;
        Ok(Standings(progress.await.map_err(|_| RequestError::Stopped)?))
    }

    /// What raft knows of itself and, on the leader, of the other members. Errs when the member stops.
    pub async fn raft_state(&self) -> Result<RaftState, RequestError> {
        let progress = self.standings().await?.0;
        Ok(RaftState { status: self.node.status(), progress })
    }

    /// Whether this member leads and hears from another one.
    pub(crate) fn hears(&self, id: MemberId, standings: &Standings) -> bool {
        standings.of(id).is_some_and(|progress| progress.is_recently_active)
            && self.peers.active_since(id).is_some()
    }
}

impl Standings {
    /// The progress of a member; `None` if it is no member, or this one does not lead.
    pub(crate) fn of(&self, id: MemberId) -> Option<&Progress> {
        self.0.iter().find(|progress| progress.id == id)
    }

    /// Whether the leader sends the member a snapshot, without which that one can acknowledge nothing.
    pub(crate) fn needs_snapshot(&self, id: MemberId) -> bool {
        self.of(id).is_some_and(|progress| progress.needs_snapshot)
    }
}
