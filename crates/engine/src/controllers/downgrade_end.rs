//! The end of a downgrade, when all members run the version that it leads to.

use ferretcd_membership::Version;
use tokio::time::sleep;

use super::member_versions::{MemberVersions, Program};
use crate::parts::Parts;
use crate::{Caller, Maintenance, MemberInfo};

/// The controller. Looks now and then while this member leads.
pub(super) struct DowngradeEnd {
    versions: MemberVersions,
    maintenance: Maintenance,
    member: MemberInfo,
}

impl DowngradeEnd {
    pub(super) fn new(parts: &Parts, maintenance: Maintenance, member: MemberInfo) -> Self {
        Self { versions: MemberVersions::new(parts), maintenance, member }
    }

    pub(super) async fn run(self) {
        let Some(pause) = self.member.config().downgrade_check else { return };
        loop {
            sleep(pause).await;
            let target = self.member.membership().downgrade_target().and_then(|target| target.parse().ok());
            if let Some(target) = target.filter(|_| self.member.is_leader()) {
                self.end_if_complete(target).await;
            }
        }
    }

    async fn end_if_complete(&self, target: Version) {
        for Program { member, version, .. } in self.versions.fetch().await {
            let Some(version) = version else { return };
            if version != target {
                tracing::warn!(
                    "remote-member-id" = %member,
                    "current-server-version" = %version,
                    "target-version" = %target,
                    "remotes server has mismatching etcd version"
                );
                return;
            }
        }
        tracing::info!("cluster-version" = %target, "the cluster has been downgraded");
        if let Err(error) = self.maintenance.end_downgrade(&Caller::MEMBER).await {
            tracing::warn!(%error, "failed to cancel downgrade");
        }
    }
}
