//! Where URLs lead to, for lists that differ in text.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};

use super::{Scheme, Url};

/// Which names of hosts are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    All,
    /// All but `localhost`.
    AsEtcd,
}

/// A host has no address. The text is etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to resolve {url:?} ({error})")]
pub struct Unresolved {
    /// The URL.
    pub url: String,
    /// What the name service says.
    pub error: String,
}

/// Where a URL leads to. Shown as the URL with the first address for its host.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    scheme: Scheme,
    /// All addresses of the host; empty for a Unix socket and for a name that is not looked up.
    addresses: Vec<SocketAddr>,
    /// As it is shown; the only identity of a place without addresses.
    text: String,
}

/// Where some URLs lead to, up to the first whose host has no address. May ask the name service, and block on it.
pub(crate) fn places(urls: &[Url], names: Names) -> Result<Vec<Place>, Unresolved> {
    urls.iter().map(|url| Place::of(url, names)).collect()
}

/// The first of the places that has no counterpart among the others, each of which counts once, and the first of those
/// that are left. `None` if the places are the same, or one list is only longer.
pub(crate) fn first_difference<'a>(some: &'a [Place], others: &'a [Place]) -> Option<(&'a Place, &'a Place)> {
    let mut unmet: Vec<_> = others.iter().collect();
    let mut strangers = Vec::new();
    for place in some {
        match unmet.iter().position(|other| place.is(other)) {
            Some(at) => {
                unmet.remove(at);
            }
            None => strangers.push(place),
        }
    }
    strangers.into_iter().zip(unmet).next()
}

impl Place {
    fn of(url: &Url, names: Names) -> Result<Self, Unresolved> {
        let is_only_a_name = names == Names::AsEtcd && url.host() == "localhost";
        let addresses: Vec<_> = if url.scheme().is_unix() || is_only_a_name {
            Vec::new()
        } else {
            let unresolved =
                |error: std::io::Error| Unresolved { url: url.as_str().to_owned(), error: error.to_string() };
            (url.host(), url.port()).to_socket_addrs().map_err(unresolved)?.collect()
        };
        let text = match addresses.first() {
            Some(address) => format!("{}://{address}", url.scheme()),
            None => url.as_str().to_owned(),
        };
        Ok(Self { scheme: url.scheme(), addresses, text })
    }

    /// Whether both can be the same. One address in common is enough, because a name may have several.
    fn is(&self, other: &Self) -> bool {
        let meets = || self.addresses.iter().any(|address| other.addresses.contains(address));
        self.text == other.text || (self.scheme == other.scheme && meets())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
