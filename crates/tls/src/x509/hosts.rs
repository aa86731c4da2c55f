//! Whether a certificate is one for a host, by the rules of Go.

use std::net::IpAddr;

use super::certificate::Certificate;
use super::fault::HostFault;
use crate::identity::PeerIdentity;

/// Certificates with more names are described by their number.
const NAMES_SHOWN_MAX: usize = 99;

impl PeerIdentity {
    /// Whether the certificate is one for this host name or address. Addresses may stand in brackets. Common names
    /// do not count; `*` stands for one whole label, the first. Names that are none count if they are equal.
    pub fn is_for_host(&self, host: &str) -> bool {
        match address(host) {
            Some(address) => self.ip_addresses.contains(&address),
            None => self.dns_names.iter().any(|name| is_for(name, host)),
        }
    }

    /// What is wrong with the certificate for this host, if there is something.
    pub(crate) fn check_host(&self, host: &str, has_names: bool) -> Result<(), HostFault> {
        if self.is_for_host(host) {
            return Ok(());
        }
        let bare = without_brackets(host).filter(|inner| inner.parse::<IpAddr>().is_ok()).unwrap_or(host);
        if !has_names && matches(&self.common_name, bare) {
            return Err(HostFault::CommonName);
        }
        let host = bare.to_owned();
        let (names, what) = match address(bare) {
            Some(_) if self.ip_addresses.is_empty() => return Err(HostFault::NoAddress(host)),
            Some(_) => (self.ip_addresses.iter().map(ToString::to_string).collect(), "IP SANs"),
            None => (self.dns_names.clone(), "names"),
        };
        Err(match names.len() {
            0 => HostFault::NoName(host),
            n_names if n_names > NAMES_SHOWN_MAX => HostFault::Many { n_names, what, host },
            _ => HostFault::Others { names, host },
        })
    }
}

impl Certificate {
    pub(super) fn check_host(&self, host: &str) -> Result<(), HostFault> {
        self.identity.check_host(host, self.extensions.alternative.is_some())
    }
}

fn without_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']'))
}

fn address(host: &str) -> Option<IpAddr> {
    without_brackets(host).unwrap_or(host).parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn is_for(name: &str, host: &str) -> bool {
    if is_name(host.strip_suffix('.').unwrap_or(host), false) && is_name(name, true) {
        return matches(name, host);
    }
    !matches!(name, "" | ".") && !matches!(host, "" | ".") && name.eq_ignore_ascii_case(host)
}

/// Compares label by label; the pattern's first one may be `*`.
fn matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if pattern.is_empty() || pattern.split('.').count() != host.split('.').count() {
        return false;
    }
    let mut labels = pattern.split('.').zip(host.split('.')).enumerate();
    labels.all(|(place, (label, other))| (place == 0 && label == "*") || label.eq_ignore_ascii_case(other))
}

/// The form of host names, with underscores.
fn is_name(name: &str, is_pattern: bool) -> bool {
    let is_label = |label: &str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !label.is_empty() && !label.starts_with('-') && label.bytes().all(is_good)
    };
    let rest = name.strip_prefix("*.").filter(|_| is_pattern).unwrap_or(name);
    rest.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(common_name: &str, names: &[&str], addresses: &[&str]) -> PeerIdentity {
        PeerIdentity {
            common_name: common_name.into(),
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ip_addresses: addresses.iter().map(|it| it.parse().expect("an address")).collect(),
        }
    }

    #[test]
    fn names_and_addresses() {
        let names = ["a.example", "*.B.example", "*", "a b", "last.example.", "c.*.example", "x_y.example"];
        let identity = identity("common.example", &names, &["10.0.0.1", "::1"]);
        let check = |host: &str, expected: bool| assert_eq!(identity.is_for_host(host), expected, "{host}");
        check("a.example", true);
        check("A.Example.", true);
        check("x.b.example", true);
        check("x.y.b.example", false);
        check("b.example", false);
        check(".b.example", false);
        check("-.b.example", false);
        check("anything", false);
        check("*", true);
        check("A B", true);
        check("last.example", false);
        check("last.example.", true);
        check("c.d.example", false);
        check("x_y.example", true);
        check("common.example", false);
        check("10.0.0.1", true);
        check("::ffff:10.0.0.1", true);
        check("10.0.0.2", false);
        check("[::1]", true);
        check("", false);
        check(".", false);
    }

    #[test]
    fn faults() {
        fn check(identity: &PeerIdentity, host: &str, expected: &str) {
            let fault = identity.check_host(host, !identity.dns_names.is_empty()).expect_err("another host");
            assert_eq!(fault.to_string(), expected);
        }
        let none = identity("a.example", &[], &[]);
        let text = "x509: certificate relies on legacy Common Name field, use SANs instead";
        check(&none, "a.example", text);
        let text = "x509: certificate is not valid for any names, but wanted to match b";
        check(&none, "b", text);
        let text = "x509: cannot validate certificate for ::1 because it doesn't contain any IP SANs";
        check(&none, "[::1]", text);
        let some = identity("a", &["b", "*.c"], &["10.0.0.1", "::1"]);
        check(&some, "a", "x509: certificate is valid for b, *.c, not a");
        check(&some, "10.0.0.2", "x509: certificate is valid for 10.0.0.1, ::1, not 10.0.0.2");
        let many = identity("", &["a"; 100], &[]);
        check(&many, "b", "x509: certificate is valid for 100 names, but none matched b");
    }
}
