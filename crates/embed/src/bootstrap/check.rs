//! Checks for the first start of a member, when there is no raft log yet.

use std::collections::BTreeSet;

use ferretcd_discovery::Discovery;
use ferretcd_membership::{Url, format_initial_cluster};

use super::resolved_urls::{HostNames, Unresolved, first_difference, resolve_urls};
use crate::config::{ClusterState, Config};

/// A cluster that the member can't found or join. The texts are etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// The member is not in the initial cluster.
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    NotListed(String),
    /// The initial cluster knows this member by URLs that it does not advertise.
    #[error(
        "--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={advertised} ({reason})"
    )]
    NotAdvertised {
        /// The missing ones, as `name=url`.
        missing: String,
        /// Those it advertises.
        advertised: String,
        /// Why names and addresses did not make up for the difference.
        reason: UrlMismatch,
    },
    /// The member advertises URLs that the initial cluster does not have.
    #[error("--initial-advertise-peer-urls has {missing} but missing from --initial-cluster={cluster}")]
    NotInCluster {
        /// The missing ones.
        missing: String,
        /// The initial cluster.
        cluster: String,
    },
    /// Two members have the same URL, or one has it twice.
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),
    /// A running cluster is to be joined, and a registry is configured that only founders need.
    #[error("discovery URL should not be set when joining existing initial cluster")]
    Discovery,
}

/// Two lists of URLs that don't lead to the same addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlMismatch {
    /// One is longer.
    #[error("len([{advertised}]) != len([{listed}])")]
    Count {
        /// The URLs that the member advertises, each in quotes.
        advertised: String,
        /// Those that the initial cluster has for it.
        listed: String,
    },
    /// The addresses are others.
    #[error("resolved urls: {advertised:?} != {listed:?}")]
    Addresses {
        /// The first advertised URL that has no counterpart, with an address for its host.
        advertised: String,
        /// The listed URL in its place.
        listed: String,
    },
    /// A host has no address.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
}

impl Config {
    /// Checks that the member can found or join its cluster as configured. To be called when the member has no
    /// raft log yet; later starts ignore the initial cluster.
    ///
    /// URLs that differ in text are compared by what their hosts resolve to, which may ask the name service and
    /// block on it.
    pub fn check_bootstrap(&self) -> Result<(), BootstrapError> {
        let members = &self.cluster.initial_cluster;
        let Some(listed) = members.get(&self.name) else {
            return Err(BootstrapError::NotListed(self.name.clone()));
        };
        // A joining member is known to the running cluster by its URLs, which is checked there.
        if self.cluster.state == ClusterState::New {
            self.check_advertised(listed)?;
        }
        let mut seen = BTreeSet::new();
        if !members.values().flatten().all(|url| seen.insert(url)) {
            return Err(BootstrapError::DuplicateUrl(format_initial_cluster(members)));
        }
        match (&self.cluster.discovery, self.cluster.state) {
            (Some(Discovery::Registry(_)), ClusterState::Existing) => Err(BootstrapError::Discovery),
            _ => Ok(()),
        }
    }

    fn check_advertised(&self, listed: &[Url]) -> Result<(), BootstrapError> {
        let advertised = &self.advertise.peer;
        let Err(reason) = same_addresses(advertised, listed) else {
            return Ok(());
        };
        let not_advertised: Vec<_> = listed.iter().filter(|url| !advertised.contains(url)).collect();
        if !not_advertised.is_empty() {
            let missing = join(not_advertised, &format!("{}=", self.name));
            return Err(BootstrapError::NotAdvertised { missing, advertised: join(advertised, ""), reason });
        }
        let not_listed: Vec<_> = advertised.iter().filter(|url| !listed.contains(url)).collect();
        if !not_listed.is_empty() {
            let missing = join(not_listed, "");
            return Err(BootstrapError::NotInCluster {
                missing,
                cluster: self.cluster.initial_cluster_text(),
            });
        }
        // What is left is a URL that is listed twice, and has an error of its own.
        Ok(())
    }
}

fn join<'a>(urls: impl IntoIterator<Item = &'a Url>, prefix: &str) -> String {
    urls.into_iter().map(|url| format!("{prefix}{url}")).collect::<Vec<_>>().join(",")
}

/// Whether two lists of URLs are equal, or lead to the same addresses.
fn same_addresses(advertised: &[Url], listed: &[Url]) -> Result<(), UrlMismatch> {
    if advertised.len() != listed.len() {
        let quoted = |urls: &[Url]| urls.iter().map(|url| format!("{url:?}")).collect::<Vec<_>>().join(" ");
        return Err(UrlMismatch::Count { advertised: quoted(advertised), listed: quoted(listed) });
    }
    if advertised == listed {
        return Ok(());
    }
    let (advertised, listed) = (
        resolve_urls(advertised, HostNames::ExceptLocalhost)?,
        resolve_urls(listed, HostNames::ExceptLocalhost)?,
    );
    match first_difference(&advertised, &listed) {
        None => Ok(()),
        Some((advertised, listed)) => {
            let [advertised, listed] = [advertised, listed].map(ToString::to_string);
            Err(UrlMismatch::Addresses { advertised, listed })
        }
    }
}

#[cfg(test)]
mod tests {
    use ferretcd_discovery::Registry;
    use ferretcd_membership::parse_initial_cluster;

    use super::*;

    fn config(advertised: &str, cluster: &str, state: ClusterState) -> Config {
        let mut config = Config::new("a", "unused");
        config.advertise.peer = Url::parse_list(advertised).expect("URLs");
        config.cluster.initial_cluster = parse_initial_cluster(cluster).expect("names with URLs");
        config.cluster.state = state;
        config
    }

    fn outcome(advertised: &str, cluster: &str, state: ClusterState) -> Result<(), String> {
        config(advertised, cluster, state).check_bootstrap().map_err(|error| error.to_string())
    }

    fn check(advertised: &str, cluster: &str, expected: Result<(), &str>) {
        let found = outcome(advertised, cluster, ClusterState::New);
        assert_eq!(found, expected.map_err(str::to_owned), "{advertised} in {cluster}");
    }

    #[test]
    fn defaults_found_a_cluster() {
        assert_eq!(Config::default().check_bootstrap(), Ok(()));
        assert_eq!(Config::new("a", "unused").check_bootstrap(), Ok(()));
        assert_eq!(Config::standalone("unused").check_bootstrap(), Ok(()));
    }

    #[test]
    fn the_member_has_to_be_in_its_cluster() {
        let unlisted = Err("couldn't find local name \"a\" in the initial cluster configuration");
        check("http://10.0.0.1:1", "", unlisted);
        check("http://10.0.0.1:1", "b=http://10.0.0.1:1", unlisted);
        check("http://10.0.0.1:1", "a=http://10.0.0.1:1,b=http://10.0.0.2:1", Ok(()));
        check(
            "http://10.0.0.1:1",
            "a=http://10.0.0.1:1,b=http://10.0.0.1:1",
            Err("initial cluster a=http://10.0.0.1:1,b=http://10.0.0.1:1 has duplicate url"),
        );
        check(
            "http://10.0.0.1:1",
            "a=http://10.0.0.1:1,a=http://10.0.0.1:1",
            Err("initial cluster a=http://10.0.0.1:1,a=http://10.0.0.1:1 has duplicate url"),
        );
    }

    #[test]
    fn the_urls_have_to_agree() {
        check(
            "http://127.0.0.1:1",
            "a=http://10.0.0.1:1",
            Err("--initial-cluster has a=http://10.0.0.1:1 but missing from \
                 --initial-advertise-peer-urls=http://127.0.0.1:1 \
                 (resolved urls: \"http://127.0.0.1:1\" != \"http://10.0.0.1:1\")"),
        );
        check(
            "http://10.0.0.1:1",
            "a=http://10.0.0.1:1,a=http://10.0.0.1:2",
            Err("--initial-cluster has a=http://10.0.0.1:2 but missing from \
                 --initial-advertise-peer-urls=http://10.0.0.1:1 \
                 (len([\"http://10.0.0.1:1\"]) != len([\"http://10.0.0.1:1\" \"http://10.0.0.1:2\"]))"),
        );
        check(
            "http://10.0.0.1:1,http://10.0.0.1:3",
            "a=http://10.0.0.1:1,a=http://10.0.0.1:2",
            Err("--initial-cluster has a=http://10.0.0.1:2 but missing from \
                 --initial-advertise-peer-urls=http://10.0.0.1:1,http://10.0.0.1:3 \
                 (resolved urls: \"http://10.0.0.1:3\" != \"http://10.0.0.1:2\")"),
        );
        check(
            "http://10.0.0.1:1,http://10.0.0.1:2",
            "a=http://10.0.0.1:1",
            Err("--initial-advertise-peer-urls has http://10.0.0.1:2 but missing from \
                 --initial-cluster=a=http://10.0.0.1:1"),
        );
        // Both differences at once: the cluster's comes first.
        check(
            "https://10.0.0.1:1",
            "a=http://10.0.0.1:1,b=http://10.0.0.1:1",
            Err("--initial-cluster has a=http://10.0.0.1:1 but missing from \
                 --initial-advertise-peer-urls=https://10.0.0.1:1 \
                 (resolved urls: \"https://10.0.0.1:1\" != \"http://10.0.0.1:1\")"),
        );
    }

    #[test]
    fn addresses_count_where_texts_differ() {
        check("http://[::1]:1", "a=http://[0:0:0:0:0:0:0:1]:1", Ok(()));
        // Every machine resolves this name by itself; only its usual spelling is not looked up.
        check("http://127.0.0.1:1", "a=http://LOCALHOST:1", Ok(()));
        check("http://127.0.0.1:1,http://10.0.0.1:1", "a=http://LOCALHOST:1,a=http://10.0.0.1:1", Ok(()));
        check(
            "http://127.0.0.1:1",
            "a=http://localhost:1",
            Err("--initial-cluster has a=http://localhost:1 but missing from \
                 --initial-advertise-peer-urls=http://127.0.0.1:1 \
                 (resolved urls: \"http://127.0.0.1:1\" != \"http://localhost:1\")"),
        );
        let unknown = outcome("http://127.0.0.1:1", "a=http://no..name:1", ClusterState::New).unwrap_err();
        assert!(
            unknown.contains("=http://127.0.0.1:1 (failed to resolve \"http://no..name:1\" ("),
            "{unknown}"
        );
    }

    #[test]
    fn a_joining_member_has_no_registry() {
        let outcome = |state| {
            let mut config = config("http://h:1", "a=http://h:1", state);
            config.cluster.discovery = Some(Discovery::Registry(Registry::new(["h:1"], "t")));
            config.check_bootstrap()
        };
        assert_eq!(outcome(ClusterState::New), Ok(()));
        assert_eq!(outcome(ClusterState::Existing), Err(BootstrapError::Discovery));
    }

    #[test]
    fn a_joining_member_may_advertise_other_urls() {
        let outcome = |cluster| outcome("http://127.0.0.1:1", cluster, ClusterState::Existing);
        assert_eq!(outcome("a=http://10.0.0.1:1"), Ok(()));
        assert!(outcome("b=http://127.0.0.1:1").is_err());
    }
}
