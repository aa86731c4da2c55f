//! What the other members say before this one starts for the first time: which cluster it joins and under which id,
//! or that it has been there before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base::MemberId;
use engine::{Bootstrap, PeerError};
use membership::Member;
use transport::{Connect, cluster_members};

use crate::config::{ClusterState, Config, Url};

/// How long another founder may take to answer, which usually does not run yet; etcd's.
const FOUNDING_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a member of a running cluster may take to answer.
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
    /// The cluster knows the member, which has lost its data.
    #[error(
        "member {0} has already been bootstrapped; its data are gone, and with them its promises: remove it with \
         `etcdctl member remove`, add it again, and start it with --initial-cluster-state=existing"
    )]
    Bootstrapped(MemberId),
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

/// What a member without a log begins with, after a look at the others.
pub(crate) async fn bootstrap(
    config: &Config,
    as_founder: Bootstrap,
    connect: Arc<dyn Connect>,
) -> Result<Bootstrap, JoinError> {
    if config.cluster.state == ClusterState::Existing {
        return join(config, connect).await;
    }
    if let Some(own) = as_founder.member_id(&config.name) {
        check_unborn(config, own, connect).await?;
    }
    Ok(as_founder)
}

/// Asks the members of the initial cluster who belongs to it, and finds this member among them.
async fn join(config: &Config, connect: Arc<dyn Connect>) -> Result<Bootstrap, JoinError> {
    let others = other_urls(config);
    if others.is_empty() {
        return Err(JoinError::Nobody);
    }
    let (cluster_id, members) =
        cluster_members(connect, &others, TIMEOUT).await.map_err(JoinError::Unreachable)?;
    let own = own_member(config, &members)?;
    Ok(Bootstrap::Existing { cluster_id, member_id: own.id, members })
}

/// Makes sure that a member without data is none that a running cluster counts on: it would vote again on what it has
/// forgotten. Members that do not answer are taken not to run yet, as they are when a cluster is founded.
async fn check_unborn(config: &Config, own: MemberId, connect: Arc<dyn Connect>) -> Result<(), JoinError> {
    let others = other_urls(config);
    if others.is_empty() {
        return Ok(());
    }
    let Ok((_, members)) = cluster_members(connect, &others, FOUNDING_TIMEOUT).await else { return Ok(()) };
    let is_known = members.iter().any(|member| member.id == own && !member.client_urls.is_empty());
    if is_known { Err(JoinError::Bootstrapped(own)) } else { Ok(()) }
}

/// The peer URLs of all other members in the flag.
fn other_urls(config: &Config) -> Vec<String> {
    let listed = &config.cluster.initial_cluster;
    texts(listed.iter().filter(|(name, _)| **name != config.name).flat_map(|(_, urls)| urls))
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
