//! The version that the cluster runs at, which the leader decides.

use std::time::Duration;

use ferretcd_api_proto::membershippb::ClusterVersionSetRequest;
use ferretcd_membership::{Version, decide_version};
use tokio::time::timeout;

use super::member_versions::MemberVersions;
use crate::cluster::RETRY_PAUSE;
use crate::parts::Parts;
use crate::proposer::Proposer;
use crate::{Caller, MemberInfo, RequestError, explain};

/// How often the leader requests the versions of the members.
const INTERVAL: Duration = Duration::from_secs(4);

/// The controller. Decides now and then, and at once when this member begins to lead.
pub(super) struct ClusterVersion {
    proposer: Proposer,
    versions: MemberVersions,
    member: MemberInfo,
}

impl ClusterVersion {
    pub(super) fn new(parts: &Parts) -> Self {
        let (proposer, versions) = (parts.proposer.clone(), MemberVersions::new(parts));
        Self { proposer, versions, member: parts.member.clone() }
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
        let programs = self.versions.fetch().await;
        // Behind the responses, which may take long: a downgrade that has begun or ended meanwhile counts.
        let membership = self.member.membership();
        let current = membership.version().and_then(|version| version.parse().ok());
        let target = membership.downgrade_target().map(str::parse).transpose();
        let servers = programs.into_iter().map(|program| program.version);
        let decided = target
            .map_err(|error| explain(&error))
            .and_then(|target| decide_version(current, target, servers).map_err(|error| explain(&error)));
        match decided {
            Ok(Some(version)) => self.set_version(current, version).await,
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::error!(error, "Failed to monitor cluster version");
                Ok(())
            }
        }
    }

    async fn set_version(&self, current: Option<Version>, version: Version) -> Result<(), RequestError> {
        let short = version.short();
        match current {
            None => {
                tracing::info!("cluster-version" = short, "setting up initial cluster version using v3 API");
            }
            Some(from) => {
                tracing::info!(from = from.short(), to = short, "updating cluster version using v3 API");
            }
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
}
