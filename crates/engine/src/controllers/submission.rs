//! The task that hands requests to the raft driver.

use ferretcd_raft_node::NodeHandle;

use crate::channels::Channels;

/// The controller.
pub(super) async fn run(node: NodeHandle, channels: Channels) {
    let Channels { submissions, read_rounds, waiters, metrics, .. } = &channels;
    let rejected = |id, error| {
        if let Some(proposal) = waiters.take(id) {
            metrics.proposals_failed.inc();
            let _ = proposal.send(Err(error));
        }
    };
    submissions.run(&node, read_rounds, waiters, rejected).await;
}
