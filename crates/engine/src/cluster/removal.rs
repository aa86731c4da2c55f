//! The end of a member that does not belong to the cluster any more.

use std::time::Duration;

use tokio::time::sleep;

use super::Cluster;

/// How long a member goes on after its removal, so that the request to remove it gets its response.
const GRACE: Duration = Duration::from_secs(1);

impl Cluster {
    /// Waits until the member was removed from its cluster, and then a second more. It should be stopped then, and
    /// not be started again on its data. Never returns while the member belongs to the cluster.
    pub async fn left(&self) {
        let mut has_left = self.member.shared().has_left.subscribe();
        // The sender lives as long as the member.
        let _ = has_left.wait_for(|has_left| *has_left).await;
        sleep(GRACE).await;
        let error = "the member has been permanently removed from the cluster";
        tracing::warn!(error, "server error");
        tracing::warn!("data-dir used by this member must be removed");
    }

    /// Whether the member was removed from its cluster; [`Self::left`] returns a second later.
    pub fn has_left(&self) -> bool {
        *self.member.shared().has_left.borrow()
    }

    /// Another member reports that this one was removed. This one may never learn it from the log, of which it gets
    /// no more.
    pub fn removed(&self) {
        self.member.shared().leave();
    }
}
