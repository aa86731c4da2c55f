//! Whether a certificate is one for a host, by the rules of Go.

use std::net::IpAddr;

use crate::identity::PeerIdentity;

impl PeerIdentity {
    /// Whether the certificate is one for this host name or address. Addresses may stand in brackets. Common names
    /// do not count; `*` stands for one whole label, the first.
    pub fn is_for_host(&self, host: &str) -> bool {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match inner.parse::<IpAddr>() {
            Ok(address) => self.ip_addresses.contains(&address.to_canonical()),
            Err(_) => self.dns_names.iter().any(|pattern| matches(pattern, host)),
        }
    }
}

fn matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.split('.').any(str::is_empty) {
        return false;
    }
    match pattern.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(_, rest)| parent.eq_ignore_ascii_case(rest)),
        None => pattern.strip_suffix('.').unwrap_or(pattern).eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        let identity = PeerIdentity {
            common_name: "common.example".into(),
            dns_names: ["a.example", "*.B.example", "*"].map(str::to_owned).into(),
            ip_addresses: vec!["10.0.0.1".parse().expect("an address"), "::1".parse().expect("an address")],
        };
        let check = |host: &str, expected: bool| assert_eq!(identity.is_for_host(host), expected, "{host}");
        check("a.example", true);
        check("A.Example.", true);
        check("x.b.example", true);
        check("x.y.b.example", false);
        check("b.example", false);
        check(".b.example", false);
        check("anything", false);
        check("common.example", false);
        check("10.0.0.1", true);
        check("::ffff:10.0.0.1", true);
        check("10.0.0.2", false);
        check("[::1]", true);
        check("", false);
    }
}
