//! Whether a certificate is one for the place that a connection comes from.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::identity::PeerIdentity;
use crate::rejected::HandshakeError;

/// Threads that may wait for the name service at the same time.
pub(crate) const LOOKUPS_MAX: usize = 2;

/// Checks the alternative names against the remote address, as etcd does: one without names of hosts or addresses
/// passes; an address has to be among the addresses, or be that of one of the hosts, looked up in both directions.
pub(crate) async fn check(
    identity: &PeerIdentity,
    remote: IpAddr,
    lookups: &Arc<Semaphore>,
) -> Result<(), HandshakeError> {
    let remote = remote.to_canonical();
    let PeerIdentity { ip_addresses: addresses, dns_names: names, .. } = identity;
    if addresses.is_empty() && names.is_empty() || addresses.contains(&remote) {
        return Ok(());
    }
    if names.is_empty() {
        return Err(HandshakeError::OtherAddress { addresses: addresses.clone(), remote });
    }
    let other_host = |fault: String| HandshakeError::OtherHost { names: names.clone(), remote, fault };
    let permit = Arc::clone(lookups).acquire_owned().await.map_err(|error| other_host(error.to_string()))?;
    let names = names.clone();
    let lookup = spawn_blocking(move || {
        // Kept by the thread, which goes on after the handshake has timed out.
        let _permit = permit;
        is_one_of(remote, &names)
    });
    match lookup.await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(other_host(String::new())),
        Ok(Err(fault)) => Err(other_host(fault)),
        Err(error) => Err(other_host(error.to_string())),
    }
}

/// Whether the name service knows the address under one of the names, or one of the names under the address.
fn is_one_of(remote: IpAddr, names: &[String]) -> Result<bool, String> {
    let mut fault = None;
    match dns_lookup::lookup_addr(&remote) {
        Ok(name) if names.iter().any(|pattern| covers(pattern, &name)) => return Ok(true),
        Ok(_) => {}
        Err(error) => fault = Some(format!("look up {remote}: {error:?}")),
    }
    for name in names.iter().filter(|name| !name.starts_with("*.")) {
        match (name.as_str(), 0).to_socket_addrs() {
            Ok(found) => {
                if found.into_iter().any(|it| it.ip().to_canonical() == remote) {
                    return Ok(true);
                }
            }
            Err(error) => fault = Some(format!("look up {name}: {error}")),
        }
    }
    fault.map_or(Ok(false), Err)
}

/// Here `*.` stands for any number of labels, other than in the host names of servers.
fn covers(pattern: &str, name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    match pattern.strip_prefix('*') {
        Some(suffix) if suffix.starts_with('.') => name.ends_with(suffix),
        _ => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check_error(names: &[&str], addresses: &[&str], remote: &str) -> Option<String> {
        let identity = PeerIdentity {
            dns_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ip_addresses: addresses.iter().map(|it| it.parse().expect("an address")).collect(),
            ..PeerIdentity::default()
        };
        let lookups = Arc::new(Semaphore::new(LOOKUPS_MAX));
        let remote = remote.parse().expect("an address");
        check(&identity, remote, &lookups).await.err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn addresses() {
        assert_eq!(check_error(&[], &[], "192.0.2.1").await, None);
        assert_eq!(check_error(&[], &["192.0.2.1", "::1"], "::ffff:192.0.2.1").await, None);
        let error = check_error(&[], &["192.0.2.1", "::1"], "192.0.2.2").await;
        let expected = "x509: certificate is valid for 192.0.2.1, ::1, not 192.0.2.2";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[tokio::test]
    async fn hosts() {
        assert_eq!(check_error(&["localhost"], &[], "127.0.0.1").await, None);
        assert_eq!(check_error(&["localhost"], &["192.0.2.1"], "127.0.0.1").await, None);
        let error = check_error(&["localhost"], &["192.0.2.1"], "127.0.0.99").await.expect("rejected");
        let expected = "tls: \"127.0.0.99\" does not match any of DNSNames [\"localhost\"]";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn wildcards() {
        assert!(covers("*.example", "a.b.example."));
        assert!(!covers("*.example", "example"));
        assert!(covers("a.example", "a.example"));
        assert!(!covers("*", "example"));
    }
}
