//! Requests to the other members before this one starts for the first time: which cluster does it join, under which id,
//! and has it been a member before?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_api_proto::API_VERSION;
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_engine::{Bootstrap, PeerError, PeerVersions};
use ferretcd_membership::{Member, Url};
use ferretcd_transport::{Connect, MemberVersions, cluster_members, is_downgrading};
use tokio::task::spawn_blocking;

use super::founders::founders;
use super::resolved_urls::{HostNames, ResolvedUrl, Unresolved, first_difference, resolve_urls};
use crate::config::{ClusterState, Config, url_texts};

/// Longest time for the response of another founder, which usually does not run yet; etcd's.
const FOUNDING_TIMEOUT: Duration = Duration::from_secs(1);
/// Longest time for the response of a member of a running cluster.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Major and minor of the oldest release whose members can be in one cluster with this one. Older ones write entries that
/// are not understood here, and do not understand all of this one's.
const OLDEST: (u64, u64) = (3, 5);
/// What a cluster reports until its leader has seen the versions of all founders, however new they are.
const UNDECIDED: (u64, u64) = (3, 0);

/// A cluster that can't be joined. The text behind the first colon is etcd's where it has one.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The configuration names no other member.
    #[error(
        "cannot fetch cluster info from peer urls: --initial-cluster names no other member; list those of the running \
         cluster"
    )]
    NoOtherMember,
    /// A member of the cluster is too old.
    #[error(
        "cannot be a member of a cluster with etcd before {}.{}: {url} reports {version}; upgrade the cluster to \
         {}.{} or later first, or restore a snapshot of it with `etcdutl snapshot restore` of such a release",
        OLDEST.0, OLDEST.1, OLDEST.0, OLDEST.1
    )]
    TooOld {
        /// The peer URL of the member.
        url: String,
        /// The version of the member, or of its cluster.
        version: String,
    },
    /// The cluster is on its way to a version before this member's.
    #[error(
        "cannot join a cluster that is being downgraded to {version}: incompatible with current running cluster; end the \
         downgrade with `etcdctl downgrade cancel` first, or add a member of that version"
    )]
    Downgrading {
        /// The cluster version.
        version: String,
    },
    /// The cluster knows the member, which has lost its data.
    #[error(
        "member {0} has already been bootstrapped; its data are gone, and with them its promises: remove it with \
         `etcdctl member remove`, add it again, and start it with --initial-cluster-state=existing"
    )]
    Bootstrapped(MemberId),
    /// No other member responds.
    #[error(
        "cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs ({0})"
    )]
    Unreachable(PeerError),
    /// The cluster has more members than the initial cluster, or fewer.
    #[error(
        "error validating peerURLs {cluster}: member count is unequal; add this member with `etcdctl member add` first, \
         and list all members in --initial-cluster"
    )]
    Count {
        /// The cluster's members.
        cluster: String,
    },
    /// A member of the initial cluster is not in the cluster.
    #[error(
        "error validating peerURLs {cluster}: unmatched member while checking PeerURLs ({urls:?} belong to nobody{})",
        .unresolved.as_ref().map(|error| format!("; {error}")).unwrap_or_default()
    )]
    Unmatched {
        /// The cluster's members.
        cluster: String,
        /// The URLs in the initial cluster.
        urls: Vec<String>,
        /// The first URL, of the initial cluster or of the cluster, that could not be compared by its addresses.
        unresolved: Option<Unresolved>,
    },
}

/// The response of a cluster: its id and its members.
type Cluster = (ClusterId, Vec<Member>);

/// What a member without a log begins with. Requests versions and members from the other members of the initial cluster at
/// once, and looks at the versions first.
pub(crate) async fn found_or_join(
    config: &Config,
    connect: Arc<dyn Connect>,
) -> Result<Bootstrap, JoinError> {
    let others = other_urls(config);
    let timeout = match config.cluster.state {
        ClusterState::Existing if others.is_empty() => return Err(JoinError::NoOtherMember),
        ClusterState::Existing => TIMEOUT,
        ClusterState::New => FOUNDING_TIMEOUT,
    };
    let versions = MemberVersions::request(Arc::clone(&connect), &others, timeout);
    let members = async { Ok(cluster_members(Arc::clone(&connect), &others, timeout).await) };
    let (cluster_version, cluster) = tokio::try_join!(check_versions(versions), members)?;
    match config.cluster.state {
        ClusterState::Existing => {
            let cluster = cluster.map_err(JoinError::Unreachable)?;
            // At its own version a cluster either is not being downgraded, or it is as if this member had come a moment earlier.
            let older = cluster_version.filter(|version| release(version) < release(API_VERSION));
            if let Some(version) = older
                && is_downgrading(connect, &others, timeout).await == Some(true)
            {
                return Err(JoinError::Downgrading { version });
            }
            join(config, cluster).await
        }
        ClusterState::New => found(config, cluster.ok()),
    }
}

/// Errs as soon as a member is too old. Ends as soon as one reports that the cluster is not, because no member is older
/// than its cluster, and returns the version of the cluster then.
async fn check_versions(mut versions: MemberVersions) -> Result<Option<String>, JoinError> {
    while let Some((url, versions)) = versions.next().await {
        check_version(&url, &versions)?;
        if release(&versions.cluster).is_some_and(|release| release >= OLDEST) {
            return Ok(Some(versions.cluster));
        }
    }
    Ok(None)
}

/// Errs if the member is older than [`OLDEST`], or its cluster is: then another one is that does not respond. What is no
/// version, or not decided yet, does not count.
fn check_version(url: &str, versions: &PeerVersions) -> Result<(), JoinError> {
    let cluster = Some(&versions.cluster).filter(|cluster| release(cluster) != Some(UNDECIDED));
    let is_old = |version: &&String| release(version).is_some_and(|release| release < OLDEST);
    match [Some(&versions.server), cluster].into_iter().flatten().find(is_old) {
        Some(version) => Err(JoinError::TooOld { url: url.to_owned(), version: version.clone() }),
        None => Ok(()),
    }
}

/// Major and minor of a version.
fn release(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Finds this member in the cluster.
async fn join(config: &Config, (cluster_id, members): Cluster) -> Result<Bootstrap, JoinError> {
    let (config, listed) = (config.clone(), members.clone());
    // Blocks on the name service.
    let own = spawn_blocking(move || own_member(&config, &listed));
    let member_id = own.await.expect("names are looked up without panics")?;
    Ok(Bootstrap::Existing { cluster_id, member_id, members })
}

/// Errs if a running cluster knows this member, which has no data: it would vote a second time in a term that it has
/// forgotten. Members that do not respond are assumed not to run yet, as when a cluster is founded.
fn found(config: &Config, running: Option<Cluster>) -> Result<Bootstrap, JoinError> {
    let as_founder = founders(config);
    let members = running.map(|(_, members)| members).unwrap_or_default();
    let own = as_founder.member_id(&config.name);
    match members.iter().find(|member| Some(member.id) == own && !member.client_urls.is_empty()) {
        Some(member) => Err(JoinError::Bootstrapped(member.id)),
        None => Ok(as_founder),
    }
}

/// The peer URLs of all other members of the initial cluster.
fn other_urls(config: &Config) -> Vec<String> {
    let listed = &config.cluster.initial_cluster;
    url_texts(listed.iter().filter(|(name, _)| **name != config.name).flat_map(|(_, urls)| urls))
}

/// The member of the cluster that has this member's URLs. The other members of the initial cluster have to be in the
/// cluster as well: a list that differs from the cluster's is out of date, or that of another cluster.
fn own_member(config: &Config, members: &[Member]) -> Result<MemberId, JoinError> {
    let cluster = || {
        let shown = members.iter().map(|member| format!("{}={}", member.id, member.peer_urls.join(",")));
        shown.collect::<Vec<_>>().join(" ")
    };
    let listed = &config.cluster.initial_cluster;
    if listed.len() != members.len() {
        return Err(JoinError::Count { cluster: cluster() });
    }
    let (found, unresolved) = find_members(listed, members);
    let unmatched = |urls: &[Url]| JoinError::Unmatched {
        cluster: cluster(),
        urls: url_texts(urls),
        unresolved: unresolved.clone(),
    };
    if let Some((_, urls)) = listed.iter().find(|(name, _)| !found.contains_key(name.as_str())) {
        return Err(unmatched(urls));
    }
    found.get(config.name.as_str()).copied().ok_or_else(|| unmatched(&config.advertise.peer))
}

/// The ids of the members of the initial cluster, each another one. Texts are compared first. Only where they differ,
/// host names are looked up; the first that has no address is returned as well.
fn find_members<'a>(
    listed: &'a BTreeMap<String, Vec<Url>>,
    members: &[Member],
) -> (BTreeMap<&'a str, MemberId>, Option<Unresolved>) {
    let urls = |member: &Member| Url::parse_list(&member.peer_urls.join(",")).unwrap_or_default();
    let mut left: Vec<_> = members.iter().map(|member| (member.id, urls(member))).collect();
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, urls) in listed {
        match left.iter().position(|(_, theirs)| urls == theirs) {
            Some(at) => {
                found.insert(name.as_str(), left.swap_remove(at).0);
            }
            None => missing.push((name.as_str(), urls)),
        }
    }
    let unresolved = find_by_addresses(&missing, &left, &mut found);
    (found, unresolved)
}

/// Adds the members whose URLs lead to the same addresses as those of a member that is left. Each URL is looked up once.
fn find_by_addresses<'a>(
    missing: &[(&'a str, &Vec<Url>)],
    left: &[(MemberId, Vec<Url>)],
    found: &mut BTreeMap<&'a str, MemberId>,
) -> Option<Unresolved> {
    let mut unresolved = None;
    let mut resolve = |urls: &[Url]| match resolve_urls(urls, HostNames::All) {
        Ok(resolved) => resolved,
        Err(error) => {
            unresolved.get_or_insert(error);
            Vec::new()
        }
    };
    let missing: Vec<_> = missing.iter().map(|(name, urls)| (*name, resolve(urls))).collect();
    let mut left: Vec<_> = left.iter().map(|(id, urls)| (*id, resolve(urls))).collect();
    for (name, urls) in missing {
        if let Some(at) = left.iter().position(|(_, theirs)| are_same(&urls, theirs)) {
            found.insert(name, left.swap_remove(at).0);
        }
    }
    unresolved
}

/// Whether two lists are the URLs of one member. An empty list is that of none.
fn are_same(some: &[ResolvedUrl], others: &[ResolvedUrl]) -> bool {
    !some.is_empty() && some.len() == others.len() && first_difference(some, others).is_none()
}

#[cfg(test)]
mod tests {
    use ferretcd_membership::parse_initial_cluster;

    use super::*;

    /// Which of the members with ids 1, 2 and so on are found for the names of the initial cluster.
    fn check(listed: &str, members: &[&[&str]], expected: &[(&str, u64)]) {
        let listed = parse_initial_cluster(listed).expect("names with URLs");
        let members = (1..).zip(members).map(|(id, urls)| {
            let peer_urls = urls.iter().map(|url| (*url).to_owned()).collect();
            Member { id: MemberId(id), peer_urls, ..Member::default() }
        });
        let members: Vec<_> = members.collect();
        let (found, _) = find_members(&listed, &members);
        let found: Vec<_> = found.into_iter().map(|(name, id)| (name, id.0)).collect();
        assert_eq!(found, expected, "{listed:?} among {members:?}");
    }

    #[test]
    fn members_are_found_by_their_urls() {
        let two: [&[&str]; 2] = [&["http://10.0.0.2:1"], &["http://10.0.0.1:1"]];
        check("a=http://10.0.0.1:1,b=http://10.0.0.2:1", &two, &[("a", 2), ("b", 1)]);
        check("a=http://10.0.0.1:1,b=http://10.0.0.3:1", &two, &[("a", 2)]);
        check("a=https://10.0.0.1:1,b=http://10.0.0.2:2", &two, &[]);
        // Updates leave URLs in the order in which they were given.
        let several: &[&str] = &["http://10.0.0.2:1", "http://10.0.0.1:1"];
        check("a=http://10.0.0.1:1,a=http://10.0.0.2:1", &[several], &[("a", 1)]);
        check("a=http://10.0.0.1:1", &[several], &[]);
        check("a=http://10.0.0.1:1", &[&[]], &[]);
        check("a=http://10.0.0.1:1", &[&["no url"]], &[]);
    }

    #[test]
    fn old_members_are_rejected() {
        let check = |versions: &[(&str, &str)], expected: Option<&str>| {
            let versions = versions.iter().map(|(server, cluster)| PeerVersions {
                server: (*server).to_owned(),
                cluster: (*cluster).to_owned(),
            });
            let found: Vec<_> = (1..).map(|port| format!("http://h:{port}")).zip(versions).collect();
            let error = found
                .iter()
                .try_for_each(|(url, versions)| check_version(url, versions))
                .err()
                .map(|error| error.to_string());
            match expected {
                Some(words) => {
                    assert!(error.as_ref().is_some_and(|error| error.contains(words)), "{error:?}");
                }
                None => assert_eq!(error, None, "{found:?}"),
            }
        };
        check(&[], None);
        check(&[("3.5.0", "3.5.0"), ("3.7.1", ""), ("4.0.0", "4.0.0"), ("3.10.2", "3.10.0")], None);
        check(&[("3.6.0-rc.1", "")], None);
        check(&[("unknown", "not_decided"), ("", "")], None);
        // Two founders of three run.
        check(&[("3.7.1", "3.0.0"), ("3.7.1", "3.0.0")], None);
        check(&[("3.4.23", "3.0.0")], Some("http://h:1 reports 3.4.23;"));
        check(
            &[("3.4.23", "")],
            Some("etcd before 3.5: http://h:1 reports 3.4.23; upgrade the cluster to 3.5 or"),
        );
        check(&[("3.5.1", ""), ("3.3.0+git", "3.3.0")], Some("http://h:2 reports 3.3.0+git;"));
        check(&[("2.3.8", "2.3.0")], Some("reports 2.3.8;"));
        // A member that does not respond.
        check(&[("3.5.1", "3.4.0")], Some("http://h:1 reports 3.4.0;"));
    }

    /// Others that accept and say nothing cost the time once, however many they are.
    #[tokio::test(start_paused = true)]
    async fn silent_members_cost_the_time_once() {
        let silent = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let urls =
            silent.iter().map(|silent| format!("http://{}", silent.local_addr().expect("it is bound")));
        let others: String = urls.map(|url| format!(",other={url}")).collect();
        let mut config = Config::new("a", "unused");
        let listed = format!("a=http://127.0.0.1:1{others}");
        config.cluster.initial_cluster = parse_initial_cluster(&listed).expect("names with URLs");
        let connect: Arc<dyn Connect> = Arc::new(ferretcd_transport::PlainConnect::default());
        for (state, expected) in [(ClusterState::New, FOUNDING_TIMEOUT), (ClusterState::Existing, TIMEOUT)] {
            config.cluster.state = state;
            let begin = tokio::time::Instant::now();
            let outcome = found_or_join(&config, Arc::clone(&connect)).await;
            assert!((expected..expected * 3 / 2).contains(&begin.elapsed()), "{:?}", begin.elapsed());
            match state {
                ClusterState::New => assert!(outcome.is_ok(), "{outcome:?}"),
                ClusterState::Existing => assert!(matches!(outcome, Err(JoinError::Unreachable(_)))),
            }
        }
    }

    #[test]
    fn names_are_looked_up_where_texts_differ() {
        check("a=http://localhost:1", &[&["http://127.0.0.1:1"]], &[("a", 1)]);
        check("a=http://127.0.0.1:1", &[&["http://localhost:1"]], &[("a", 1)]);
        check("a=http://[::1]:1", &[&["http://[0:0:0:0:0:0:0:1]:1"]], &[("a", 1)]);
        check("a=http://localhost:1", &[&["http://127.0.0.1:2"]], &[]);
        check("a=http://localhost:1", &[&["http://no..name:1"]], &[]);
        // Each is another member, and equal texts are no accident.
        let twins: [&[&str]; 2] = [&["http://127.0.0.1:1"], &["http://localhost:1"]];
        check("a=http://localhost:1,b=http://127.0.0.1:1", &twins, &[("a", 2), ("b", 1)]);
        check("a=http://localhost:1", &twins, &[("a", 2)]);
        check("a=http://LOCALHOST:1,b=http://Localhost:1", &twins, &[("a", 1), ("b", 2)]);
    }

    #[test]
    fn unresolvable_peer_url_is_reported() {
        let check = |listed: &str, theirs: &str, expected: Option<&str>| {
            let mut config = Config::new("a", "unused");
            config.cluster.initial_cluster = parse_initial_cluster(listed).expect("names with URLs");
            let member = Member { id: MemberId(1), peer_urls: vec![theirs.to_owned()], ..Member::default() };
            let error = own_member(&config, &[member]).expect_err("no member has its URL").to_string();
            match expected {
                Some(url) => assert!(error.contains(&format!("; failed to resolve \"{url}\" (")), "{error}"),
                None => assert!(error.ends_with(" belong to nobody)"), "{error}"),
            }
        };
        check("a=http://no..name:1", "http://127.0.0.1:1", Some("http://no..name:1"));
        check("a=http://127.0.0.1:1", "http://no..name:1", Some("http://no..name:1"));
        check("a=http://10.0.0.1:1", "http://127.0.0.1:1", None);
    }
}
