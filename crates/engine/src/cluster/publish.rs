//! What a member tells the cluster about itself when it has started.

use ferretcd_api_proto::membershippb::{Attributes, ClusterMemberAttrSetRequest};
use ferretcd_apply::Request;
use tokio::time::{Instant, sleep};

use super::RETRY_PAUSE;
use crate::{Engine, RequestError};

impl Engine {
    /// Tells the cluster the member's name and client URLs; returns when the cluster knows, which may take until
    /// there is a quorum of members to hear it, and when the member votes, unless it is a learner. Until then it
    /// should serve nobody: whoever sees a new member serve may rely on it, and let another one go.
    pub async fn publish(&self) -> Result<(), RequestError> {
        let config = self.config();
        let attributes = Attributes { name: config.name.clone(), client_urls: config.client_urls.clone() };
        let shown = format!("{{Name:{} ClientURLs:[{}]}}", config.name, config.client_urls.join(" "));
        let timeout = format!("{:?}", self.request_timeout());
        let request = ClusterMemberAttrSetRequest {
            member_id: self.member_id().0,
            member_attributes: Some(attributes),
        };
        let mut complained_at = Instant::now();
        loop {
            let error = match self.propose(Request::ClusterMemberAttrSet(request.clone())).await {
                Ok(_) => break,
                Err(error @ RequestError::Stopped) => {
                    tracing::warn!(
                        "local-member-id" = %self.member_id(),
                        "local-member-attributes" = shown,
                        "publish-timeout" = timeout,
                        "stopped publish because server is stopping"
                    );
                    return Err(error);
                }
                Err(error) => error,
            };
            // Without a leader a proposal is refused at once; that is no news each time.
            if complained_at.elapsed() >= self.request_timeout() {
                complained_at = Instant::now();
                tracing::warn!(
                    "local-member-id" = %self.member_id(),
                    "local-member-attributes" = shown,
                    "publish-timeout" = timeout,
                    %error,
                    "failed to publish local member to cluster through raft"
                );
            }
            sleep(RETRY_PAUSE).await;
        }
        tracing::info!(
            "local-member-id" = %self.member_id(),
            "local-member-attributes" = shown,
            "cluster-id" = %self.cluster_id(),
            "publish-timeout" = timeout,
            "published local member to cluster through raft"
        );
        self.wait_for_vote().await
    }

    /// The leader lets a member that is joining vote when it has nearly all of the log.
    async fn wait_for_vote(&self) -> Result<(), RequestError> {
        while self.membership().member(self.member_id()).is_some_and(|member| member.is_joining) {
            if self.0.shared.is_stopping() {
                return Err(RequestError::Stopped);
            }
            sleep(RETRY_PAUSE / 10).await;
        }
        Ok(())
    }
}
