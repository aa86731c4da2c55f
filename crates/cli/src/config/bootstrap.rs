//! Checks that count only for the first start of a member, when there is no raft log yet.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs as _};

use super::{ClusterState, Config, Url, initial_cluster};

/// A cluster that the member can't found or join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// There is no member at all.
    #[error("initial cluster unset and no discovery URL found")]
    NoCluster,
    /// This member is not among them.
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    NotListed(String),
    /// Two members have the same URL.
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),
    /// The initial cluster knows this member by URLs that it does not advertise.
    #[error("--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={advertised}")]
    NotAdvertised {
        /// The missing ones, as `name=url`.
        missing: String,
        /// Those it advertises.
        advertised: String,
    },
    /// The member advertises URLs that the initial cluster does not have.
    #[error("--initial-advertise-peer-urls has {missing} but missing from --initial-cluster={cluster}")]
    NotInCluster {
        /// The missing ones.
        missing: String,
        /// The initial cluster.
        cluster: String,
    },
}

impl Config {
    /// Checks that the member can found or join its cluster as configured. To be called when the member has no
    /// raft log yet; later starts ignore the initial cluster.
    ///
    /// URLs that differ in text are compared by what their hosts resolve to, which may ask the name service and
    /// block on it.
    pub fn check_bootstrap(&self) -> Result<(), BootstrapError> {
        let members = &self.cluster.initial_cluster;
        if members.is_empty() {
            return Err(BootstrapError::NoCluster);
        }
        let Some(listed) = members.get(&self.name) else {
            return Err(BootstrapError::NotListed(self.name.clone()));
        };
        let mut seen = BTreeSet::new();
        if !members.values().flatten().all(|url| seen.insert(url)) {
            return Err(BootstrapError::DuplicateUrl(initial_cluster::format(members)));
        }
        // A joining member is known to the running cluster by its URLs, which is checked there.
        if self.cluster.state == ClusterState::Existing || same_places(listed, &self.advertise.peer) {
            return Ok(());
        }
        Err(self.mismatch(listed))
    }

    fn mismatch(&self, listed: &[Url]) -> BootstrapError {
        let advertised = &self.advertise.peer;
        let not_advertised: Vec<_> = listed.iter().filter(|url| !advertised.contains(url)).collect();
        if not_advertised.is_empty() {
            let missing = join(advertised.iter().filter(|url| !listed.contains(url)), "");
            let cluster = self.cluster.initial_cluster_text();
            BootstrapError::NotInCluster { missing, cluster }
        } else {
            let missing = join(not_advertised, &format!("{}=", self.name));
            BootstrapError::NotAdvertised { missing, advertised: join(advertised, "") }
        }
    }
}

fn join<'a>(urls: impl IntoIterator<Item = &'a Url>, prefix: &str) -> String {
    urls.into_iter().map(|url| format!("{prefix}{url}")).collect::<Vec<_>>().join(",")
}

/// Whether two lists of URLs are equal, or lead to the same addresses.
fn same_places(a: &[Url], b: &[Url]) -> bool {
    if a == b {
        return true;
    }
    let resolve = |urls: &[Url]| urls.iter().map(resolve).collect::<Option<BTreeSet<_>>>();
    a.len() == b.len() && resolve(a).is_some_and(|places| Some(places) == resolve(b))
}

/// The scheme and the addresses of a URL; `None` if its host has none.
fn resolve(url: &Url) -> Option<(&'static str, BTreeSet<SocketAddr>)> {
    if url.scheme().is_unix() {
        return None;
    }
    let addresses: BTreeSet<_> = (url.host(), url.port()).to_socket_addrs().ok()?.collect();
    Some((url.scheme().as_str(), addresses)).filter(|(_, addresses)| !addresses.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::config::build::tests::config;

    fn check(flags: &[&str], expected: Result<(), &str>) {
        let result = config(flags).check_bootstrap().map_err(|error| error.to_string());
        assert_eq!(result, expected.map_err(str::to_owned), "{flags:?}");
    }

    #[test]
    fn the_member_has_to_be_in_its_cluster() {
        check(&[], Ok(()));
        check(&["--name=a"], Ok(()));
        check(&["--name=a", "--initial-advertise-peer-urls=http://10.0.0.1:1,http://10.0.0.1:2"], Ok(()));
        check(&["--initial-cluster="], Err("initial cluster unset and no discovery URL found"));
        check(
            &["--name=a", "--initial-cluster=b=http://localhost:2380"],
            Err("couldn't find local name \"a\" in the initial cluster configuration"),
        );
        check(
            &["--initial-cluster=default=http://h:1,b=http://h:1"],
            Err("initial cluster b=http://h:1,default=http://h:1 has duplicate url"),
        );
        check(
            &["--initial-cluster=default=http://10.0.0.1:2380"],
            Err("--initial-cluster has default=http://10.0.0.1:2380 but missing from \
                 --initial-advertise-peer-urls=http://localhost:2380"),
        );
        check(
            &[
                "--initial-advertise-peer-urls=http://10.0.0.1:1,http://10.0.0.1:2",
                "--initial-cluster=default=http://10.0.0.1:1",
            ],
            Err("--initial-advertise-peer-urls has http://10.0.0.1:2 but missing from \
                 --initial-cluster=default=http://10.0.0.1:1"),
        );
    }

    #[test]
    fn addresses_count_where_texts_differ() {
        check(
            &[
                "--initial-advertise-peer-urls=http://[::1]:1",
                "--initial-cluster=default=http://[0:0:0:0:0:0:0:1]:1",
            ],
            Ok(()),
        );
        check(&["--initial-cluster-state=existing", "--initial-cluster=default=http://10.0.0.1:1"], Ok(()));
    }
}
