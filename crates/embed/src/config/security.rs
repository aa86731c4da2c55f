//! Encryption of the two ports, and which certificates may connect.

use std::fmt;
use std::path::PathBuf;

use ferretcd_tls::{Allowed, KeyFiles, NamedFile, Protocol};

/// Encryption, and which certificates may connect.
#[derive(Clone, Debug)]
pub struct Security {
    /// The port for clients; metrics URLs have its settings, too.
    pub client: PortSecurity,
    /// The port for other members, and calls to them.
    pub peer: PortSecurity,
    /// Versions and cipher suites.
    pub protocol: Protocol,
    /// The cipher suites as they were given, for the log.
    pub cipher_suites: Vec<String>,
    /// Years that certificates made here last. Above zero where some are to be made.
    pub self_signed_years: u64,
}

/// One of the two ports, by the side that connects to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Clients.
    Client,
    /// Other members.
    Peer,
}

/// The security of one port.
#[derive(Clone, Debug, Default)]
pub struct PortSecurity {
    /// The certificate of the port; `None` if nothing is encrypted, or if [`Self::auto`] makes it.
    pub files: Option<KeyFiles>,
    /// The certificate of calls to others; `None` for the same.
    pub client_files: Option<KeyFiles>,
    /// Connections without a certificate are rejected. The common name of a client's certificate may stand for a user.
    pub client_cert_auth: bool,
    /// Authorities to trust. With a file here connections without a certificate are rejected.
    pub trusted_ca: Option<PathBuf>,
    /// Certificates that are not accepted any more.
    pub revoked: Option<PathBuf>,
    /// Which names certificates may have.
    pub allowed: Allowed,
    /// Whether the names in certificates are compared with the addresses of their connections.
    pub check_remote: bool,
    /// A certificate is made in the data directory. It encrypts and proves no identity, so none is requested of the
    /// other side.
    pub auto: bool,
}

impl Default for Security {
    /// Nothing is encrypted.
    fn default() -> Self {
        Self {
            client: PortSecurity::default(),
            peer: PortSecurity { check_remote: true, ..PortSecurity::default() },
            protocol: Protocol::default(),
            cipher_suites: Vec::new(),
            self_signed_years: 1,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Peer => "peer",
        })
    }
}

impl PortSecurity {
    /// Whether there is a certificate to encrypt with, or will be.
    pub fn has_certificate(&self) -> bool {
        self.files.is_some() || self.auto
    }

    /// The files of the port, each with the name that etcd's flag for it has.
    pub(crate) fn named_files(&self, port: Port) -> Vec<NamedFile<'_>> {
        let [cert, key, client_cert, client_key, trusted_ca, revoked] = match port {
            Port::Client => CLIENT_FILES,
            Port::Peer => PEER_FILES,
        };
        let mut named = Vec::new();
        named.extend(self.files.iter().flat_map(|files| files.named(cert, key)));
        named.extend(self.client_files.iter().flat_map(|files| files.named(client_cert, client_key)));
        named.extend(self.trusted_ca.as_deref().map(|path| (trusted_ca, path)));
        named.extend(self.revoked.as_deref().map(|path| (revoked, path)));
        named
    }
}

const CLIENT_FILES: [&str; 6] =
    ["cert-file", "key-file", "client-cert-file", "client-key-file", "trusted-ca-file", "client-crl-file"];

const PEER_FILES: [&str; 6] = [
    "peer-cert-file",
    "peer-key-file",
    "peer-client-cert-file",
    "peer-client-key-file",
    "peer-trusted-ca-file",
    "peer-crl-file",
];
