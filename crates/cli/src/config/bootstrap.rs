//! Checks that count only for the first start of a member, when there is no raft log yet.

use std::collections::BTreeSet;

use ferretcd_membership::format_initial_cluster;

use super::places::{Names, Unresolved, first_difference, places};
use super::{ClusterState, Config, Discovery, Url};

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
    /// A running cluster is to be joined, and others are to be found to found one with.
    #[error("discovery URL should not be set when joining existing initial cluster")]
    Discovery,
}

/// Two lists of URLs that don't lead to the same places.
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
        let Err(reason) = same_places(advertised, listed) else {
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
fn same_places(advertised: &[Url], listed: &[Url]) -> Result<(), UrlMismatch> {
    if advertised.len() != listed.len() {
        let quoted = |urls: &[Url]| urls.iter().map(|url| format!("{url:?}")).collect::<Vec<_>>().join(" ");
        return Err(UrlMismatch::Count { advertised: quoted(advertised), listed: quoted(listed) });
    }
    if advertised == listed {
        return Ok(());
    }
    let (advertised, listed) = (places(advertised, Names::AsEtcd)?, places(listed, Names::AsEtcd)?);
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
    use super::BootstrapError;
    use crate::config::build::tests::config;

    fn outcome(advertised: &str, cluster: &str, more: &[&str]) -> Result<(), String> {
        let urls = format!("--initial-advertise-peer-urls={advertised}");
        let cluster = format!("--initial-cluster={cluster}");
        let flags = [&["--name=a", &*urls, &*cluster], more].concat();
        config(&flags).check_bootstrap().map_err(|error| error.to_string())
    }

    fn check(advertised: &str, cluster: &str, expected: Result<(), &str>) {
        let context = format!("{advertised} in {cluster}");
        assert_eq!(outcome(advertised, cluster, &[]), expected.map_err(str::to_owned), "{context}");
    }

    #[test]
    fn the_cluster_follows_the_other_flags() {
        for flags in [
            &[][..],
            &["--name=a"],
            &["--name=a", "--initial-advertise-peer-urls=http://10.0.0.1:1,http://10.0.0.1:2"],
        ] {
            assert_eq!(config(flags).check_bootstrap(), Ok(()), "{flags:?}");
        }
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
        // Every machine knows this name without asking another; only its usual spelling is not looked up.
        check("http://127.0.0.1:1", "a=http://LOCALHOST:1", Ok(()));
        check("http://127.0.0.1:1,http://10.0.0.1:1", "a=http://LOCALHOST:1,a=http://10.0.0.1:1", Ok(()));
        check(
            "http://127.0.0.1:1",
            "a=http://localhost:1",
            Err("--initial-cluster has a=http://localhost:1 but missing from \
                 --initial-advertise-peer-urls=http://127.0.0.1:1 \
                 (resolved urls: \"http://127.0.0.1:1\" != \"http://localhost:1\")"),
        );
        let unknown = outcome("http://127.0.0.1:1", "a=http://no..name:1", &[]).unwrap_err();
        assert!(
            unknown.contains("=http://127.0.0.1:1 (failed to resolve \"http://no..name:1\" ("),
            "{unknown}"
        );
    }

    #[test]
    fn who_joins_has_nobody_to_look_for() {
        let registry = ["--name=a", "--discovery-endpoints=h:1", "--discovery-token=t"];
        assert_eq!(config(&registry).check_bootstrap(), Ok(()));
        let existing = [&registry[..], &["--initial-cluster-state=existing"]].concat();
        assert_eq!(config(&existing).check_bootstrap(), Err(BootstrapError::Discovery));
    }

    #[test]
    fn the_running_cluster_knows_the_urls_of_one_that_joins() {
        let existing = ["--initial-cluster-state=existing"];
        assert_eq!(outcome("http://127.0.0.1:1", "a=http://10.0.0.1:1", &existing), Ok(()));
        assert!(outcome("http://127.0.0.1:1", "b=http://127.0.0.1:1", &existing).is_err());
    }
}
