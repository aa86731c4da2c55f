//! What the log of a new member begins with.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_membership::{Member, cluster_id, initial_member_id};

use crate::OpenError;

/// Where the first entries of a member's log come from. Counts only while the member has no log.
#[derive(Clone, Debug)]
pub enum Bootstrap {
    /// The member founds a cluster, together with the others that are started with the same.
    New {
        /// Names and peer URLs of all founders. Member ids are made of the URLs' texts, which are taken as they are.
        initial_cluster: BTreeMap<String, Vec<String>>,
        /// Distinguishes clusters that start with the same URLs.
        token: String,
    },
    /// The member joins a running cluster, which has added it before and sends it its log.
    Existing {
        /// The cluster's id.
        cluster_id: ClusterId,
        /// The id under which the cluster has added the member.
        member_id: MemberId,
        /// The members as the cluster knows them.
        members: Vec<Member>,
    },
}

/// The member that a log belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The id of the member.
    pub member_id: MemberId,
    /// The id of its cluster.
    pub cluster_id: ClusterId,
}

impl Bootstrap {
    /// The id of the member called `name`; `None` if no founder has that name.
    pub fn member_id(&self, name: &str) -> Option<MemberId> {
        self.identity(name).ok().map(|identity| identity.member_id)
    }

    /// The ids of the member called `name` and of its cluster.
    pub fn identity(&self, name: &str) -> Result<Identity, OpenError> {
        match self {
            Self::New { .. } => {
                let members = self.members();
                let ids: Vec<MemberId> = members.iter().map(|member| member.id).collect();
                let own = members.iter().find(|member| member.name == name);
                let own = own.ok_or_else(|| OpenError::NameMissing { name: name.to_owned() })?;
                Ok(Identity { member_id: own.id, cluster_id: cluster_id(&ids) })
            }
            Self::Existing { cluster_id, member_id, .. } => {
                Ok(Identity { member_id: *member_id, cluster_id: *cluster_id })
            }
        }
    }

    /// The members of the cluster at the start.
    pub fn members(&self) -> Vec<Member> {
        match self {
            Self::New { initial_cluster, token } => {
                let founders = initial_cluster.iter().map(|(name, urls)| {
                    let mut peer_urls = urls.clone();
                    peer_urls.sort_unstable();
                    let id = initial_member_id(&peer_urls, token);
                    Member { id, peer_urls, name: name.clone(), ..Member::default() }
                });
                founders.collect()
            }
            Self::Existing { members, .. } => members.clone(),
        }
    }

    /// The configuration changes that the log begins with, as ids and descriptions. A joining member gets them from its peers.
    pub(crate) fn founders(&self) -> Vec<(MemberId, Bytes)> {
        match self {
            Self::New { .. } => {
                let members = self.members().into_iter();
                members.map(|member| (member.id, Bytes::from(member.to_json()))).collect()
            }
            Self::Existing { .. } => Vec::new(),
        }
    }
}
