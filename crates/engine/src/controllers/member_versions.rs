//! The versions of the members' programs.

use std::sync::Arc;

use ferretcd_api_proto::API_VERSION;
use ferretcd_base::MemberId;
use ferretcd_membership::Version;
use tokio::task::JoinSet;

use crate::parts::Parts;
use crate::peers::GetVersions;
use crate::{MemberInfo, Peers};

/// Requests the versions of all members.
pub(super) struct MemberVersions {
    peers: Arc<dyn Peers>,
    member: MemberInfo,
}

/// The program of one member.
pub(super) struct Program {
    pub(super) member: MemberId,
    /// `None` if the member does not respond with a version.
    pub(super) version: Option<Version>,
}

impl MemberVersions {
    pub(super) fn new(parts: &Parts) -> Self {
        Self { peers: Arc::clone(&parts.peers), member: parts.member.clone() }
    }

    /// The programs of all members, this one among them.
    pub(super) async fn fetch(&self) -> Vec<Program> {
        let mut responses = JoinSet::new();
        let (own, membership) = (self.member.id(), self.member.membership());
        for id in membership.members().map(|member| member.id).filter(|id| *id != own) {
            let response = self.peers.call(id, GetVersions);
            responses.spawn(async move {
                let versions = response.await.map_err(|error| error.to_string());
                let version =
                    versions.and_then(|versions| versions.server.parse().map_err(|error| format!("{error}")));
                let version = version.inspect_err(|error| {
                    tracing::warn!("remote-member-id" = %id, error, "failed to get version");
                });
                Program { member: id, version: version.ok() }
            });
        }
        let own = Program { member: own, version: API_VERSION.parse().ok() };
        responses.join_all().await.into_iter().chain([own]).collect()
    }
}
