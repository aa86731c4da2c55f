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
use ferretcd_raft_node::{Message, NodeHandle};

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

/// How much of the log a member has, as the leader knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    /// The last entry that the member has for certain.
    pub(crate) matched: u64,
    /// Whether the leader hears from the member.
    pub(crate) is_active: bool,
}

impl Cluster {
    pub(crate) fn new(parts: &Parts) -> Self {
        Self {
            node: parts.node.clone(),
            proposer: parts.proposer.clone(),
            read_index: parts.read_index.clone(),
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

    /// Whether this member leads and sends another one a snapshot, without which that one can acknowledge nothing.
    fn needs_snapshot(&self, id: MemberId) -> bool {
        self.node.progress().iter().any(|progress| progress.id == id && progress.needs_snapshot)
    }

    /// The standing of a member, as this one sees it while it leads; `None` if it is no member.
    pub(crate) fn standing(&self, id: MemberId) -> Option<Standing> {
        self.member.membership().member(id)?;
        let progress = self.node.progress();
        let known = progress.iter().find(|progress| progress.id == id);
        let is_own = id == self.member.id();
        Some(Standing {
            // The progress is as old as the core's last tick.
            matched: match known {
                Some(progress) => progress.matched,
                None if is_own => self.member.status().committed,
                None => 0,
            },
            is_active: is_own
                || (known.is_some_and(|progress| progress.is_recently_active)
                    && self.peers.active_since(id).is_some()),
        })
    }
}
