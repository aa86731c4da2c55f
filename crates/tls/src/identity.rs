//! The names in a certificate.

use std::net::IpAddr;
use std::sync::Arc;

/// The names in a peer's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The common name of the subject; empty if it has none. With several it is the last one, as in etcd.
    pub common_name: Arc<str>,
    /// The host names among the alternative names, as they are written: some begin with `*.`.
    pub dns_names: Vec<String>,
    /// The addresses among the alternative names.
    pub ip_addresses: Vec<IpAddr>,
}
