//! The hosts of URIs.

use std::net::IpAddr;

/// The host of a URI, in small letters. The error says why constraints can't be applied to it.
pub(super) fn host(uri: &str) -> Result<String, String> {
    let no_host = || format!("URI with empty host ({uri:?}) cannot be matched against constraints");
    let authority = authority(uri).map(|it| it.to_ascii_lowercase()).filter(|it| !it.is_empty());
    let with_port = authority.ok_or_else(no_host)?;
    let host = match with_port.rsplit_once(':') {
        Some(_) if with_port.ends_with(']') => &with_port,
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        Some(_) => return Err(format!("cannot parse URI host {with_port:?}")),
        None => &with_port,
    };
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    if is_address {
        return Err(format!("URI with IP ({uri:?}) cannot be matched against constraints"));
    }
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|it| it.is_ascii_graphic() && it != b'%');
    if host.contains(':') || !host.split('.').all(is_label) {
        return Err(format!("x509: internal error: URI SAN {uri:?} failed to parse"));
    }
    Ok(host.to_owned())
}

/// What stands between two slashes and the next one, without the user.
fn authority(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let is_scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let rest = if is_scheme { rest } else { uri };
    let authority = rest.strip_prefix("//")?.split(['/', '?', '#']).next()?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        fn check(uri: &str, expected: Option<&str>) {
            assert_eq!(host(uri).ok().as_deref(), expected, "{uri}");
        }
        check("spiffe://Cluster.local/ns/a", Some("cluster.local"));
        check("https://user:word@a.example:8443?x#y", Some("a.example"));
        check("//a.example", Some("a.example"));
        check("https://a.example:/", Some("a.example"));
        check("https://10.0.0.1/", None);
        check("https://[::1]/", None);
        check("https://[::1]:80/", None);
        check("https://a.example:http/", None);
        check("https://a%2eexample/", None);
        check("https://a..example/", None);
        check("https:///path", None);
        check("urn:a:b", None);
        check("", None);
    }
}
