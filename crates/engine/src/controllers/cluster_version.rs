//! The version that the cluster runs at, which the leader decides.

use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::membershippb::ClusterVersionSetRequest;
use ferretcd_membership::{Version, decide_version};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::cluster::RETRY_PAUSE;
use crate::parts::Parts;
use crate::peers::GetVersions;
use crate::proposer::Proposer;
use crate::{Caller, MemberInfo, Peers, RequestError};

/// How often the leader requests the versions of the members.
const INTERVAL: Duration = Duration::from_secs(4);

/// The controller. Decides now and then, and at once when this member begins to lead.
pub(super) struct ClusterVersion {
    proposer: Proposer,
    peers: Arc<dyn Peers>,
    member: MemberInfo,
}

impl ClusterVersion {
    pub(super) fn new(parts: &Parts) -> Self {
        let (proposer, peers) = (parts.proposer.clone(), Arc::clone(&parts.peers));
        Self { proposer, peers, member: parts.member.clone() }
    }

    pub(super) async fn run(self) {
        let mut leading = self.member.shared().leading.subscribe();
        loop {
            let has_failed = self.member.is_leader() && self.decide_version().await.is_err();
            let pause = if has_failed { RETRY_PAUSE } else { INTERVAL };
            // Either means to look again. The sender lives as long as the member.
            let _ = timeout(pause, leading.changed()).await;
        }
    }

    async fn decide_version(&self) -> Result<(), RequestError> {
        let current = self.member.versions().cluster.and_then(|version| version.parse().ok());
        let Some(version) = decide_version(current, self.member_versions().await) else { return Ok(()) };
        let short = format!("{}.{}", version.major, version.minor);
        match current {
            None => {
                tracing::info!("cluster-version" = short, "setting up initial cluster version using v3 API");
            }
            Some(from) => tracing::info!(
                from = format!("{}.{}", from.major, from.minor),
                to = short,
                "updating cluster version using v3 API"
            ),
        }
        let request = ClusterVersionSetRequest { ver: version.to_string() };
        match self.proposer.propose(&Caller::MEMBER, request).await {
            Ok(()) => {
                tracing::info!("cluster-version" = short, "cluster version is updated");
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "failed to update cluster version");
                Err(error)
            }
        }
    }

    /// The versions of all members' programs; `None` for each that does not respond.
    async fn member_versions(&self) -> Vec<Option<Version>> {
        let mut responses = JoinSet::new();
        let membership = self.member.membership();
        for member in membership.members().filter(|member| member.id != self.member.id()) {
            let (id, response) = (member.id, self.peers.call(member.id, GetVersions));
            responses.spawn(async move {
                let versions = response.await.map_err(|error| error.to_string());
                let version =
                    versions.and_then(|versions| versions.server.parse().map_err(|error| format!("{error}")));
                version
                    .inspect_err(|error| {
                        tracing::warn!("remote-member-id" = %id, error, "failed to get version");
                    })
                    .ok()
            });
        }
        let own = ferretcd_api_proto::API_VERSION.parse().ok();
        responses.join_all().await.into_iter().chain([own]).collect()
    }
}
