//! The headers between members, and the requests that they reject.

use ferretcd_api_proto::API_VERSION;
use ferretcd_base::{ClusterId, MemberId};
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::rejection::Rejection;

pub(crate) const CLUSTER_ID: HeaderName = HeaderName::from_static("x-etcd-cluster-id");
pub(crate) const SERVER_FROM: HeaderName = HeaderName::from_static("x-server-from");
pub(crate) const SERVER_VERSION: HeaderName = HeaderName::from_static("x-server-version");
pub(crate) const MIN_CLUSTER_VERSION: HeaderName = HeaderName::from_static("x-min-cluster-version");
pub(crate) const PEER_URLS: HeaderName = HeaderName::from_static("x-peerurls");
pub(crate) const RAFT_TO: HeaderName = HeaderName::from_static("x-raft-to");

/// The oldest cluster version that this version works with.
const OLDEST_CLUSTER: &str = "3.0.0";
/// The version of a member that sends none.
const UNSTATED: &str = "2.0.0";

pub(crate) const INCOMPATIBLE_VERSION: &str = "incompatible version";
pub(crate) const CLUSTER_MISMATCH: &str = "cluster ID mismatch";

/// The headers of each request of the local member.
pub(crate) fn identify(member: MemberId, cluster: ClusterId, peer_urls: &[String]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SERVER_FROM, hex(member));
    headers.insert(SERVER_VERSION, HeaderValue::from_static(API_VERSION));
    headers.insert(MIN_CLUSTER_VERSION, HeaderValue::from_static(OLDEST_CLUSTER));
    headers.insert(CLUSTER_ID, hex(cluster));
    if let Ok(urls) = HeaderValue::from_str(&peer_urls.join(",")) {
        headers.insert(PEER_URLS, urls);
    }
    headers
}

/// An id in a header.
pub(crate) fn hex(id: impl std::fmt::Display) -> HeaderValue {
    HeaderValue::try_from(id.to_string()).expect("ids are shown as hexadecimal digits")
}

/// The claimed sender of a request.
pub(crate) fn sender(headers: &HeaderMap) -> Option<MemberId> {
    u64::from_str_radix(text(headers, &SERVER_FROM)?, 16).ok().map(MemberId)
}

/// The URLs that the sender of a request claims.
pub(crate) fn peer_urls(headers: &HeaderMap) -> Vec<String> {
    let urls = text(headers, &PEER_URLS).unwrap_or_default().split(',');
    urls.filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

/// Rejects requests of other clusters and of versions that this one cannot work with.
pub(crate) fn check(headers: &HeaderMap, member: MemberId, cluster: ClusterId) -> Result<(), Rejection> {
    let server = text(headers, &SERVER_VERSION).unwrap_or(UNSTATED);
    let oldest = text(headers, &MIN_CLUSTER_VERSION).unwrap_or(UNSTATED);
    let claimed = text(headers, &CLUSTER_ID).unwrap_or_default();
    let is_compatible = match (minor(server), minor(oldest), minor(API_VERSION), minor(OLDEST_CLUSTER)) {
        (Some(server), Some(oldest), Some(own), Some(own_oldest)) => server >= own_oldest && oldest <= own,
        _ => false,
    };
    let rejected = if !is_compatible {
        INCOMPATIBLE_VERSION
    } else if claimed != cluster.to_string() {
        CLUSTER_MISMATCH
    } else {
        return Ok(());
    };
    let message = match rejected {
        CLUSTER_MISMATCH => "request cluster ID mismatch",
        _ => "failed version compatibility check",
    };
    tracing::warn!(
        "local-member-id" = %member,
        "local-member-cluster-id" = %cluster,
        "local-member-server-version" = API_VERSION,
        "local-member-server-minimum-cluster-version" = OLDEST_CLUSTER,
        "remote-peer-server-name" = text(headers, &SERVER_FROM).unwrap_or_default(),
        "remote-peer-server-version" = server,
        "remote-peer-server-minimum-cluster-version" = oldest,
        "remote-peer-cluster-id" = claimed,
        "{message}"
    );
    Err(Rejection::Precondition(rejected))
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Major and minor of a version `X.Y.Z`.
fn minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.split('.');
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().map(|_| (major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_with(name: &HeaderName, value: Option<&'static str>) -> Option<&'static str> {
        let mut headers = identify(MemberId(0xab), ClusterId(0xcd), &["http://a:1".to_owned()]);
        match value {
            Some(value) => headers.insert(name, HeaderValue::from_static(value)),
            None => headers.remove(name),
        };
        match check(&headers, MemberId(1), ClusterId(0xcd)) {
            Ok(()) => None,
            Err(Rejection::Precondition(text)) => Some(text),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn incompatible_versions_and_other_clusters_are_rejected() {
        assert_eq!(check_with(&RAFT_TO, None), None);
        for (value, expected) in [
            (Some("3.0.9"), None),
            (Some("3.8.0"), None),
            (Some("2.3.0"), Some(INCOMPATIBLE_VERSION)),
            (Some("3"), Some(INCOMPATIBLE_VERSION)),
            (Some("x.y.z"), Some(INCOMPATIBLE_VERSION)),
            (None, Some(INCOMPATIBLE_VERSION)),
        ] {
            assert_eq!(check_with(&SERVER_VERSION, value), expected, "{value:?}");
        }
        for (value, expected) in [
            (Some("3.7.9"), None),
            (None, None),
            (Some("3.8.0"), Some(INCOMPATIBLE_VERSION)),
            (Some("4.0.0"), Some(INCOMPATIBLE_VERSION)),
        ] {
            assert_eq!(check_with(&MIN_CLUSTER_VERSION, value), expected, "{value:?}");
        }
        for (value, expected) in
            [(Some("cd"), None), (Some("00cd"), Some(CLUSTER_MISMATCH)), (None, Some(CLUSTER_MISMATCH))]
        {
            assert_eq!(check_with(&CLUSTER_ID, value), expected, "{value:?}");
        }
    }

    #[test]
    fn sender_and_peer_urls_are_read_from_headers() {
        let urls = ["http://a:1".to_owned(), "https://b:2".to_owned()];
        let headers = identify(MemberId(0xab), ClusterId(1), &urls);
        assert_eq!(sender(&headers), Some(MemberId(0xab)));
        assert_eq!(peer_urls(&headers), urls);
        assert_eq!((sender(&HeaderMap::new()), peer_urls(&HeaderMap::new())), (None, vec![]));
    }
}
