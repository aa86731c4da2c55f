//! Downgrades of the cluster to the previous minor version.
//!
//! A downgrade is replicated state: where it leads. While there is one, the leader lowers the cluster version to it, and
//! nothing raises the version again ([`decide_version`](ferretcd_membership::decide_version)). It ends by a request, or by
//! the leader when all members run the version.

use ferretcd_api_proto::membershippb::DowngradeInfoSetRequest;
use ferretcd_membership::Version;

use super::Maintenance;
use crate::{Caller, RequestError};

/// Why there can be no downgrade.
#[derive(Debug, thiserror::Error)]
pub enum DowngradeError {
    /// The text is no version.
    #[error("downgrade the cluster: {0:?} is no version of the form X.Y or X.Y.Z")]
    NotAVersion(String),
    /// The cluster has not decided its version yet.
    #[error("downgrade the cluster: it has no version yet")]
    NoClusterVersion,
    /// A downgrade leads one minor version down.
    #[error("downgrade the cluster from {current} to {target}: a downgrade leads one minor version down")]
    NotNext {
        /// The cluster version.
        current: Version,
        /// The version that was given.
        target: Version,
    },
    /// The last downgrade has not ended.
    #[error("downgrade the cluster: it is being downgraded to {0}")]
    InProgress(String),
    /// The state could not be read, or the request not be made.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Maintenance {
    /// Checks whether the cluster can be downgraded to `target`. Returns the cluster version.
    pub async fn validate_downgrade(&self, caller: &Caller, target: &str) -> Result<Version, DowngradeError> {
        self.check_root(caller).await?;
        let target = parse_target(target)?;
        self.check_target(target).await
    }

    /// Begins a downgrade to `target`, if it can be. Returns the cluster version, which the leader lowers later.
    pub async fn begin_downgrade(&self, caller: &Caller, target: &str) -> Result<Version, DowngradeError> {
        self.check_root(caller).await?;
        let begun = async {
            let target = parse_target(target)?;
            let current = self.check_target(target).await?;
            let request = DowngradeInfoSetRequest { enabled: true, ver: target.to_string() };
            self.proposer.propose(caller, request).await?;
            Ok(current)
        };
        begun.await.inspect_err(|error: &DowngradeError| tracing::warn!(%error, "reject downgrade request"))
    }

    /// Ends the downgrade in progress, if there is one. Returns the cluster version, which the leader raises later.
    pub async fn cancel_downgrade(&self, caller: &Caller) -> Result<Version, DowngradeError> {
        self.check_root(caller).await?;
        if self.downgrade_target().await?.is_none() {
            tracing::warn!(error = "no downgrade is in progress", "failed to cancel downgrade");
        } else {
            self.end_downgrade(caller).await?;
        }
        self.cluster_version()
    }

    /// Where the downgrade in progress leads, if there is one. Sees every request that was acknowledged before.
    pub(crate) async fn downgrade_target(&self) -> Result<Option<String>, RequestError> {
        self.read_index.wait().await?;
        Ok(self.member.membership().downgrade_target().map(str::to_owned))
    }

    pub(crate) async fn end_downgrade(&self, caller: &Caller) -> Result<(), RequestError> {
        self.proposer.propose(caller, DowngradeInfoSetRequest::default()).await
    }

    /// The checks of etcd, in its order.
    async fn check_target(&self, target: Version) -> Result<Version, DowngradeError> {
        self.cluster_version()?;
        let in_progress = self.downgrade_target().await?;
        let current = self.cluster_version()?;
        if current.downgraded() != Some(target) {
            return Err(DowngradeError::NotNext { current, target });
        }
        in_progress.map_or(Ok(current), |target| Err(DowngradeError::InProgress(target)))
    }

    fn cluster_version(&self) -> Result<Version, DowngradeError> {
        let membership = self.member.membership();
        let version = membership.version().and_then(|version| version.parse().ok());
        version.ok_or(DowngradeError::NoClusterVersion)
    }
}

/// Reads `X.Y.Z` or `X.Y`.
fn parse_target(text: &str) -> Result<Version, DowngradeError> {
    let parsed = text.parse().or_else(|_| format!("{text}.0").parse());
    parsed.map_err(|_| DowngradeError::NotAVersion(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::test_member::{TestMember, alice};

    #[test]
    fn targets_are_versions_with_or_without_a_patch() {
        for (text, expected) in [
            ("3.6", Some("3.6.0")),
            ("3.6.9", Some("3.6.0")),
            ("3.6.0-rc.1", Some("3.6.0")),
            ("", None),
            ("3", None),
            ("v3.6", None),
            ("3.6.", None),
            ("3.6.0.0", None),
            ("3.6-rc.1", None),
        ] {
            let parsed = parse_target(text).ok().map(|version| version.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        }
    }

    /// A member without a leader has no version, and finds that out without waiting for one.
    #[tokio::test]
    async fn a_cluster_without_a_version_cannot_be_downgraded() {
        let member = TestMember::without_leader(false);
        let maintenance = member.engine.maintenance();
        let outcome = maintenance.validate_downgrade(&Caller::MEMBER, "3.6").await;
        assert!(matches!(outcome, Err(DowngradeError::NoClusterVersion)), "{outcome:?}");
        let outcome = maintenance.begin_downgrade(&Caller::MEMBER, "six").await;
        assert!(matches!(outcome, Err(DowngradeError::NotAVersion(_))), "{outcome:?}");
        member.stop().await;
    }

    #[tokio::test]
    async fn a_downgrade_ends_when_all_members_run_its_version() {
        let member = TestMember::alone().await;
        let maintenance = member.engine.maintenance();
        let request = DowngradeInfoSetRequest { enabled: true, ver: "3.7.0".to_owned() };
        maintenance.proposer.propose(&Caller::MEMBER, request).await.expect("the member leads");
        while maintenance.downgrade_target().await.expect("the member leads").is_some() {
            tokio::task::yield_now().await;
        }
        member.stop().await;
    }

    #[tokio::test]
    async fn a_downgrade_is_for_root() {
        let member = TestMember::alone().await;
        member.enable_auth(&["a"]).await;
        let maintenance = member.engine.maintenance();
        for caller in [alice(), Caller::ANONYMOUS] {
            let outcomes = [
                maintenance.validate_downgrade(&caller, "six").await,
                maintenance.begin_downgrade(&caller, "six").await,
                maintenance.cancel_downgrade(&caller).await,
            ];
            for outcome in outcomes {
                let is_rejected = matches!(outcome, Err(DowngradeError::Request(RequestError::Auth(_))));
                assert!(is_rejected, "{outcome:?}");
            }
        }
        member.stop().await;
    }
}
