//! The header `Host`, as Go's HTTP server checks it before any handler.

use http::header::HOST;
use http::request::Parts;
use http::{Method, Version};

/// What is wrong with the header, as the text of the response; `None` if nothing is. HTTP/2 has `:authority` instead.
pub(crate) fn fault(request: &Parts) -> Option<&'static str> {
    if request.version == Version::HTTP_2 {
        return None;
    }
    let mut hosts = request.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version == Version::HTTP_11 && request.method != Method::CONNECT => {
            Some("400 Bad Request: missing required Host header")
        }
        (None, _) => None,
        (Some(_), Some(_)) => Some("400 Bad Request"),
        (Some(host), None) if host.as_bytes().iter().all(may_be_in_host) => None,
        (Some(_), None) => Some("400 Bad Request: malformed Host header"),
    }
}

/// Bytes of RFC 3986's `reg-name`, `IP-literal` and `port`.
fn may_be_in_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$%&'()*+,-.:;=[]_~".contains(byte)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(version: Version, hosts: &[&str], expected: Option<&str>) {
        let mut request = Request::get("/").version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (request, ()) = request.body(()).expect("a well-formed request").into_parts();
        assert_eq!(fault(&request), expected, "{version:?} {hosts:?}");
    }

    #[test]
    fn hosts_are_checked_as_in_go() {
        for host in ["", "localhost", "localhost:2379", "[::1]:2379", "[fe80::1%25eth0]", "a_b.example", "*"]
        {
            check(Version::HTTP_11, &[host], None);
        }
        for host in ["a b", "a/b", "http://a", "a@b", "a?b", "a\\b", "\"a\"", "<a>"] {
            check(Version::HTTP_11, &[host], Some("400 Bad Request: malformed Host header"));
            check(Version::HTTP_10, &[host], Some("400 Bad Request: malformed Host header"));
        }
        check(Version::HTTP_11, &[], Some("400 Bad Request: missing required Host header"));
        check(Version::HTTP_11, &["a", "a"], Some("400 Bad Request"));
        for version in [Version::HTTP_10, Version::HTTP_2] {
            check(version, &[], None);
        }
    }
}
