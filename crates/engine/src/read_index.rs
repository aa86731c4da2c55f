//! The barrier before linearizable reads.

use std::sync::Arc;
use std::time::Instant;

use ferretcd_raft_node::NodeHandle;
use tokio::sync::oneshot;

use crate::channels::Channels;
use crate::proposer::submissions::Submissions;
use crate::replies::{ReadRounds, outcome};
use crate::{MemberInfo, RequestError};

/// Tells when this member has applied everything that was committed when a read came in. Clones are cheap.
#[derive(Clone, Debug)]
pub(crate) struct ReadIndex(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    node: NodeHandle,
    rounds: Arc<ReadRounds>,
    submissions: Arc<Submissions>,
    member: MemberInfo,
}

impl ReadIndex {
    pub(crate) fn new(node: NodeHandle, channels: &Channels, member: MemberInfo) -> Self {
        let (rounds, submissions) = (Arc::clone(&channels.read_rounds), Arc::clone(&channels.submissions));
        Self(Arc::new(Inner { node, rounds, submissions, member }))
    }

    /// Whether this member knows, without a message to its peers, that it leads and has applied everything that is
    /// committed.
    pub(crate) fn is_known_here(&self) -> bool {
        self.0.node.read_index_as_sole_voter().is_some_and(|index| self.0.rounds.applied_index() >= index)
    }

    /// Waits until this member has applied everything that was committed when it was called.
    pub(crate) async fn wait(&self) -> Result<(), RequestError> {
        let Inner { rounds, submissions, member, .. } = &*self.0;
        if member.is_stopping() {
            return Err(RequestError::Stopped);
        }
        if self.is_known_here() {
            return Ok(());
        }
        let (sender, receiver) = oneshot::channel();
        if rounds.add(Instant::now(), sender) {
            submissions.wake();
        }
        // `stop` fails the reads that it finds; a read that was added later finds this.
        if member.is_stopping() {
            return Err(RequestError::Stopped);
        }
        outcome(receiver).await
    }
}
