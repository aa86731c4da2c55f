//! The attributes that a member publishes when it has started.

use ferretcd_api_proto::membershippb::{Attributes, ClusterMemberAttrSetRequest};
use tokio::time::{Instant, sleep};

use super::{Cluster, RETRY_PAUSE};
use crate::{Caller, RequestError};

impl Cluster {
    /// Publishes the member's name and client URLs in the cluster. Returns when they are in the log, which takes a
    /// quorum of members, and when the member votes, unless it is a learner. Until then it should serve no client: an
    /// operator that sees a new member serve may rely on it, and stop another one.
    pub async fn publish(&self) -> Result<(), RequestError> {
        let config = self.member.config();
        let attributes = Attributes { name: config.name.clone(), client_urls: config.client_urls.clone() };
        let shown = format!("{{Name:{} ClientURLs:[{}]}}", config.name, config.client_urls.join(" "));
        let timeout = config.request_timeout();
        let shown_timeout = format!("{timeout:?}");
        let request = ClusterMemberAttrSetRequest {
            member_id: self.member.id().0,
            member_attributes: Some(attributes),
        };
        let mut warned_at = Instant::now();
        loop {
            let error = match self.proposer.propose(&Caller::MEMBER, request.clone()).await {
                Ok(()) => break,
                Err(error @ RequestError::Stopped) => {
                    tracing::warn!(
                        "local-member-id" = %self.member.id(),
                        "local-member-attributes" = shown,
                        "publish-timeout" = shown_timeout,
                        "stopped publish because server is stopping"
                    );
                    return Err(error);
                }
                Err(error) => error,
            };
            // Without a leader a proposal is rejected at once; one line for each timeout is enough.
            if warned_at.elapsed() >= timeout {
                warned_at = Instant::now();
                tracing::warn!(
                    "local-member-id" = %self.member.id(),
                    "local-member-attributes" = shown,
                    "publish-timeout" = shown_timeout,
                    %error,
                    "failed to publish local member to cluster through raft"
                );
            }
            sleep(RETRY_PAUSE).await;
        }
        tracing::info!(
            "local-member-id" = %self.member.id(),
            "local-member-attributes" = shown,
            "cluster-id" = %self.member.cluster_id(),
            "publish-timeout" = shown_timeout,
            "published local member to cluster through raft"
        );
        self.wait_for_vote().await
    }

    /// The leader lets a member that is joining vote when it has nearly all of the log.
    async fn wait_for_vote(&self) -> Result<(), RequestError> {
        while self.member.membership().member(self.member.id()).is_some_and(|member| member.is_joining) {
            if self.member.is_stopping() {
                return Err(RequestError::Stopped);
            }
            sleep(RETRY_PAUSE / 10).await;
        }
        Ok(())
    }
}
