//! The leader decides the version that the cluster runs at.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ferretcd_api_proto::membershippb::ClusterVersionSetRequest;
use ferretcd_apply::Request;
use ferretcd_membership::{Version, decide_version};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::RETRY_PAUSE;
use crate::peers::GetVersions;
use crate::{Engine, RequestError};

/// How often the leader asks the members for their versions.
const INTERVAL: Duration = Duration::from_secs(4);

impl Engine {
    /// Decides it, now and then, and at once when this member begins to lead.
    pub(crate) async fn watch_version(self) {
        let mut leading = self.0.shared.leading.subscribe();
        loop {
            let has_failed = self.is_leader() && self.decide_version().await.is_err();
            let pause = if has_failed { RETRY_PAUSE } else { INTERVAL };
            // Both mean to look again; the sender lives as long as the member.
            let _ = timeout(pause, leading.changed()).await;
        }
    }

    async fn decide_version(&self) -> Result<(), RequestError> {
        let current = self.versions().cluster.and_then(|version| version.parse().ok());
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
        match self.propose(Request::ClusterVersionSet(request)).await {
            Ok(_) => {
                tracing::info!("cluster-version" = short, "cluster version is updated");
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "failed to update cluster version");
                Err(error)
            }
        }
    }

    /// The versions of all members' programs; `None` for each that does not tell.
    async fn member_versions(&self) -> Vec<Option<Version>> {
        let mut answers = JoinSet::new();
        let membership = self.membership();
        for member in membership.members().filter(|member| member.id != self.member_id()) {
            let (id, asked) = (member.id, self.peers().call(member.id, GetVersions));
            answers.spawn(async move {
                let told = asked.await.map_err(|error| error.to_string());
                let version = told.and_then(|told| {
                    let version = told.server.parse().map_err(|error| format!("{error}"))?;
                    Ok((version, told.is_ferretcd))
                });
                version
                    .inspect_err(|error| {
                        tracing::warn!("remote-member-id" = %id, error, "failed to get version");
                    })
                    .ok()
            });
        }
        let told: Vec<Option<(Version, bool)>> = answers.join_all().await;
        let are_all = told.iter().all(|told| told.is_some_and(|(_, is_ferretcd)| is_ferretcd));
        self.0.shared.are_all_ferretcd.store(are_all, Ordering::Release);
        let own = ferretcd_api_proto::API_VERSION.parse().ok();
        told.into_iter().map(|told| told.map(|(version, _)| version)).chain([own]).collect()
    }

    /// Whether entries may be written that etcd could not read, and would stop at. Who has not answered lately may be
    /// an etcd.
    pub(crate) fn may_write_own_entries(&self) -> bool {
        let is_alone = self.membership().members().nth(1).is_none();
        is_alone || self.0.shared.are_all_ferretcd.load(Ordering::Acquire)
    }
}
