//! Joining a running cluster: who it is, and under which id it has added this member.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use engine::{Bootstrap, PeerError};
use membership::Member;
use transport::{Connect, cluster_members};

use crate::config::{Config, Url};

/// How long one member may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why a cluster cannot be joined. What comes after the first colon is in etcd's words where it has any.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    /// The configuration names nobody else.
    #[error(
        "cannot fetch cluster info from peer urls: --initial-cluster names no other member; list those of the running \
         cluster"
    )]
    Nobody,
    /// Nobody answers.
    #[error(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs ({0})"
    )]
    Unreachable(PeerError),
    /// As many as the flag says are not in the cluster.
    #[error(
        "error validating peerURLs {cluster}: member count is unequal; add this member with `etcdctl member add` first, \
         and list all members in --initial-cluster"
    )]
    Count {
        /// The cluster's members.
        cluster: String,
    },
    /// Somebody in the flag is not in the cluster.
    #[error(
        "error validating peerURLs {cluster}: unmatched member while checking PeerURLs ({urls:?} belong to nobody)"
    )]
    Unmatched {
        /// The cluster's members.
        cluster: String,
        /// The URLs in the flag.
        urls: Vec<String>,
    },
}

/// Asks the members of the initial cluster who belongs to it, and finds this member among them.
pub(crate) async fn join(config: &Config, connect: Arc<dyn Connect>) -> Result<Bootstrap, JoinError> {
    let listed = &config.cluster.initial_cluster;
    let others = listed.iter().filter(|(name, _)| **name != config.name).flat_map(|(_, urls)| urls);
    let others = texts(others);
    if others.is_empty() {
        return Err(JoinError::Nobody);
    }
    let (cluster_id, members) =
        cluster_members(connect, &others, TIMEOUT).await.map_err(JoinError::Unreachable)?;
    let own = own_member(config, &members)?;
    Ok(Bootstrap::Existing { cluster_id, member_id: own.id, members })
}

/// The member of the cluster that has this member's URLs. All others have to be there as well: a list that differs
/// from the cluster's is one of another cluster, or an old one.
fn own_member(config: &Config, members: &[Member]) -> Result<Member, JoinError> {
    let cluster = || {
        let shown = members.iter().map(|member| format!("{}={}", member.id, member.peer_urls.join(",")));
        shown.collect::<Vec<_>>().join(" ")
    };
    let listed = &config.cluster.initial_cluster;
    if listed.len() != members.len() {
        return Err(JoinError::Count { cluster: cluster() });
    }
    let mut own = None;
    for (name, urls) in listed {
        let wanted: BTreeSet<String> = texts(urls).into_iter().collect();
        let found =
            members.iter().find(|member| member.peer_urls.iter().cloned().collect::<BTreeSet<_>>() == wanted);
        let Some(found) = found else {
            return Err(JoinError::Unmatched { cluster: cluster(), urls: texts(urls) });
        };
        if *name == config.name {
            own = Some(found.clone());
        }
    }
    own.ok_or_else(|| JoinError::Unmatched { cluster: cluster(), urls: texts(&config.advertise.peer) })
}

fn texts<'a>(urls: impl IntoIterator<Item = &'a Url>) -> Vec<String> {
    urls.into_iter().map(|url| url.as_str().to_owned()).collect()
}
