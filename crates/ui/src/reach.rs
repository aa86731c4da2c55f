//! Which connections the page is served to.

use std::net::IpAddr;

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;

/// Which connections the page is served to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those within this machine, if the request names a loopback host as well.
    Loopback,
    /// Every connection that the port accepts.
    All,
    /// No connection; the page does not exist.
    None,
}

/// Whether a request names this machine itself. A web site can point its name here, but not rename its requests. A proxy
/// in front of the member may pass on the name that its visitors asked for; nginx and Apache by default do not.
pub(crate) fn names_loopback(request: &Parts) -> bool {
    let named: Option<Authority> = match request.uri.authority() {
        Some(authority) => Some(authority.clone()),
        None => request.headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok()),
    };
    named.is_some_and(|named| is_loopback(named.host()))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let address = bare.parse::<IpAddr>().map(|address| address.to_canonical());
    bare.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_few_names() {
        for name in ["localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(is_loopback(name), "{name}");
        }
        for name in [
            "",
            "localhost.example",
            "evil.example",
            "127.0.0.1.example",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "2130706433",
        ] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}
