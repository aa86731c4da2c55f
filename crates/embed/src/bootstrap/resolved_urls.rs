//! URLs compared by the addresses that they lead to, for lists that differ in text.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs as _};

use ferretcd_membership::{Scheme, Url};

/// Which host names are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostNames {
    All,
    /// As etcd does it.
    ExceptLocalhost,
}

/// A host has no address. The text is etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to resolve {url:?} ({error})")]
pub struct Unresolved {
    /// The URL.
    pub url: String,
    /// The error of the name service.
    pub error: String,
}

/// A URL with its addresses. Shown as the URL with the first address for its host.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedUrl {
    scheme: Scheme,
    /// All addresses of the host; empty for a Unix socket and for a name that is not looked up.
    addresses: Vec<SocketAddr>,
    /// As it is shown; all that counts without addresses.
    text: String,
}

/// The addresses of the URLs, up to the first whose host has none. May block on the name service.
pub(crate) fn resolve_urls(urls: &[Url], names: HostNames) -> Result<Vec<ResolvedUrl>, Unresolved> {
    urls.iter().map(|url| ResolvedUrl::resolve(url, names)).collect()
}

/// The first URL that has no counterpart among the others, each of which counts once, and the first of those that are
/// left. `None` if the lists lead to the same addresses, or one list is only longer.
pub(crate) fn first_difference<'a>(
    some: &'a [ResolvedUrl],
    others: &'a [ResolvedUrl],
) -> Option<(&'a ResolvedUrl, &'a ResolvedUrl)> {
    let mut unmatched: Vec<_> = others.iter().collect();
    let mut missing = Vec::new();
    for url in some {
        match unmatched.iter().position(|other| url.matches(other)) {
            Some(at) => {
                unmatched.remove(at);
            }
            None => missing.push(url),
        }
    }
    missing.into_iter().zip(unmatched).next()
}

impl ResolvedUrl {
    fn resolve(url: &Url, names: HostNames) -> Result<Self, Unresolved> {
        let is_kept = names == HostNames::ExceptLocalhost && url.host() == "localhost";
        let addresses: Vec<_> = if url.scheme().is_unix() || is_kept {
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
    fn matches(&self, other: &Self) -> bool {
        let overlaps = || self.addresses.iter().any(|address| other.addresses.contains(address));
        self.text == other.text || (self.scheme == other.scheme && overlaps())
    }
}

impl fmt::Display for ResolvedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
