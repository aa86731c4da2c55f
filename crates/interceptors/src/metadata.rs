use std::str::Utf8Error;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};

// Parsed once: looking a header up by a string costs three times as much.
static HAS_LEADER: HeaderName = HeaderName::from_static("hasleader");
static CLIENT_API_VERSION: HeaderName = HeaderName::from_static("client-api-version");
static GATEWAY_ACCEPT: HeaderName = HeaderName::from_static("grpcgateway-accept");
static TOKEN: HeaderName = HeaderName::from_static("token");

/// The metadata of a request that has a meaning in etcd. Where a key occurs twice the first counts.
#[derive(Clone, Copy, Debug)]
pub struct Metadata<'a> {
    headers: &'a HeaderMap,
}

impl<'a> Metadata<'a> {
    /// Reads from the headers of a request.
    pub fn new(headers: &'a HeaderMap) -> Metadata<'a> {
        Metadata { headers }
    }

    /// Whether a member that knows no leader has to reject the call (`hasleader: true`).
    pub fn requires_leader(self) -> bool {
        self.first(&HAS_LEADER) == Some(b"true")
    }

    /// The version of the client library as `<major>.<minor>`, if it sent one.
    ///
    /// # Errors
    /// When the value is not UTF-8, which etcd rejects with `InvalidClientAPIVersion`.
    pub fn client_api_version(self) -> Result<Option<&'a str>, Utf8Error> {
        self.first(&CLIENT_API_VERSION).map(str::from_utf8).transpose()
    }

    /// The auth token: of `token`, else of `authorization`, without a leading `Bearer `. An empty token is
    /// a (wrong) token, not an absent one.
    pub fn token(self) -> Option<&'a [u8]> {
        let value = self.first(&TOKEN).or_else(|| self.first(&AUTHORIZATION))?;
        Some(value.strip_prefix(b"Bearer ").unwrap_or(value))
    }

    /// Whether the request has come through a gateway, which makes calls in the name of its own clients.
    pub fn is_through_gateway(self) -> bool {
        self.first(&GATEWAY_ACCEPT).is_some()
    }

    fn first(self, key: &HeaderName) -> Option<&'a [u8]> {
        self.headers.get(key).map(|value| value.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        pairs
            .iter()
            .map(|(key, value)| (HeaderName::from_static(key), HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    #[test]
    fn only_the_value_true_requires_a_leader() {
        let requires_leader = |pairs| Metadata::new(&headers(pairs)).requires_leader();
        assert!(requires_leader(&[("hasleader", b"true")]));
        assert!(!requires_leader(&[("hasleader", b"false"), ("hasleader", b"true")]));
        assert!(!requires_leader(&[]));
    }

    #[test]
    fn the_client_version_is_utf8_or_an_error() {
        let check = |pairs: &[(&'static str, &[u8])], expected: Result<Option<&str>, ()>| {
            let headers = headers(pairs);
            assert_eq!(Metadata::new(&headers).client_api_version().map_err(drop), expected);
        };
        check(&[("client-api-version", b"3.7")], Ok(Some("3.7")));
        check(&[("client-api-version", b"\xff")], Err(()));
        check(&[], Ok(None));
    }

    #[test]
    fn a_token_is_found_under_both_keys() {
        let check = |pairs: &[(&'static str, &[u8])], expected: Option<&[u8]>| {
            assert_eq!(Metadata::new(&headers(pairs)).token(), expected);
        };
        check(&[("authorization", b"b"), ("token", b"a")], Some(b"a"));
        check(&[("authorization", b"Bearer b")], Some(b"b"));
        check(&[("token", b"")], Some(b""));
        check(&[], None);
    }
}
