//! Why a connection was ended before it was served.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::{AlertDescription, InvalidMessage};
use tracing::{debug, warn};

use crate::identity::PeerIdentity;
use crate::x509::{Malformed, SignatureFault, Usage};

/// Why a handshake failed.
///
/// The texts stand in a log line that users know from etcd, so they are its words where it has some.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The other side has hung up. Port scanners and load balancers do that all the time.
    #[error("EOF")]
    Closed,
    /// It took too long.
    #[error("i/o timeout")]
    Timeout,
    /// The other side does not speak TLS.
    #[error("tls: first record does not look like a TLS handshake")]
    NotTls,
    /// A certificate was requested, and none came.
    #[error("tls: client didn't provide a certificate")]
    NoCertificate,
    /// The certificate is genuine and not among those allowed.
    #[error("client certificate authentication failed")]
    NotAllowed,
    /// The certificate, or one that it depends on, is revoked.
    #[error("transport: certificate serial {0} revoked")]
    Revoked(String),
    /// The certificate is for other addresses than the one the connection comes from.
    #[error("x509: certificate is valid for {}, not {remote}", list(addresses))]
    OtherAddress {
        /// The addresses in the certificate.
        addresses: Vec<IpAddr>,
        /// Where the connection comes from.
        remote: IpAddr,
    },
    /// The certificate is for other hosts than the one the connection comes from.
    #[error("tls: \"{remote}\" does not match any of DNSNames {names:?}{}", behind(fault))]
    OtherHost {
        /// The host names in the certificate.
        names: Vec<String>,
        /// Where the connection comes from.
        remote: IpAddr,
        /// What went wrong when the names were looked up; empty if nothing did.
        fault: String,
    },
    /// A certificate of the other side can't be read.
    #[error("tls: failed to parse {0}")]
    Malformed(String),
    /// No authority vouches for the certificate.
    #[error("tls: failed to verify certificate: {0}")]
    Untrusted(String),
    /// The certificate has a key that can't be used.
    #[error("tls: {0}")]
    Key(String),
    /// The other side does not have the key of its certificate.
    #[error("tls: {0}")]
    Signature(String),
    /// The other side has ended the handshake, for this reason.
    #[error("remote error: tls: {0}")]
    Alert(String),
    /// The protocol was not kept, or the certificate is not good.
    #[error("tls: {0}")]
    Tls(rustls::Error),
    /// The connection broke.
    #[error("{0}")]
    Io(io::Error),
}

/// Whose certificate it is makes a difference in some of Go's words.
impl HandshakeError {
    pub(crate) fn malformed(usage: Usage, fault: &Malformed) -> Self {
        let what = match usage {
            Usage::Client => "client certificate",
            Usage::Server => "certificate from server",
        };
        Self::Malformed(format!("{what}: {fault}"))
    }

    pub(crate) fn large_key(usage: Usage, bits_max: usize) -> Self {
        let side = side(usage);
        Self::Key(format!("{side} sent certificate containing RSA key larger than {bits_max} bits"))
    }

    pub(crate) fn key(usage: Usage, kind: &str) -> Self {
        Self::Key(match usage {
            Usage::Client => {
                format!("client certificate contains an unsupported public key of type {kind}")
            }
            Usage::Server => {
                format!("server's certificate contains an unsupported type of public key: {kind}")
            }
        })
    }

    pub(crate) fn signature(usage: Usage, fault: &SignatureFault) -> Self {
        // Go has the words of certificates' signatures without their beginning.
        let fault = fault.to_string();
        let fault = fault.trim_start_matches("x509: ");
        Self::Signature(format!("invalid signature by the {} certificate: {fault}", side(usage)))
    }

    pub(crate) fn scheme(usage: Usage) -> Self {
        Self::Signature(match usage {
            Usage::Client => "client certificate used with invalid signature algorithm".to_owned(),
            Usage::Server => "certificate used with invalid signature algorithm".to_owned(),
        })
    }
}

fn side(usage: Usage) -> &'static str {
    match usage {
        Usage::Client => "client",
        Usage::Server => "server",
    }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn behind(fault: &str) -> String {
    if fault.is_empty() { String::new() } else { format!(" ({fault})") }
}

/// The kind of a listener, for log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Clients.
    Client,
    /// Other members.
    Peer,
}

/// The address of the other side, as logs show it: Go has `@` for that of a Unix socket without a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote(pub Option<SocketAddr>);

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("@"),
        }
    }
}

/// A connection that was ended before it was served.
#[derive(Debug)]
pub struct Rejected {
    /// Where it came from; `None` over a Unix socket.
    pub remote: Option<SocketAddr>,
    /// The kind of the listener.
    pub side: Side,
    /// The host that it requested; empty if it did not name one.
    pub server_name: String,
    /// The names in its certificate, if one was received and read.
    pub identity: Option<Arc<PeerIdentity>>,
    /// Why.
    pub reason: HandshakeError,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "accept the TLS connection of {}: {}", Remote(self.remote), self.reason)
    }
}

impl std::error::Error for Rejected {}

impl Rejected {
    /// Writes etcd's log line about it: a warning, unless the other side just hung up.
    pub fn log(&self) {
        let message = match self.side {
            Side::Client => "rejected connection on client endpoint",
            Side::Peer => "rejected connection on peer endpoint",
        };
        let (remote, server_name, error) = (Remote(self.remote), &self.server_name, &self.reason);
        match &self.identity {
            _ if matches!(self.reason, HandshakeError::Closed) => {
                debug!("remote-addr" = %remote, "server-name" = server_name, %error, "{message}");
            }
            Some(identity) => {
                let addresses: Vec<String> = identity.ip_addresses.iter().map(ToString::to_string).collect();
                warn!(
                    "remote-addr" = %remote,
                    "server-name" = server_name,
                    "ip-addresses[]" = ?addresses,
                    "dns-names[]" = ?identity.dns_names,
                    %error,
                    "{message}"
                );
            }
            None => warn!("remote-addr" = %remote, "server-name" = server_name, %error, "{message}"),
        }
    }
}

/// Why a handshake failed, as the TLS library says it.
pub(crate) fn explain(error: io::Error) -> HandshakeError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return HandshakeError::Closed;
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => HandshakeError::NotTls,
        Some(rustls::Error::NoCertificatesPresented) => HandshakeError::NoCertificate,
        Some(rustls::Error::AlertReceived(alert)) => HandshakeError::Alert(alert_text(*alert)),
        Some(tls) => HandshakeError::Tls(tls.clone()),
        None => HandshakeError::Io(error),
    }
}

/// Go's words for alerts.
fn alert_text(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    let text = match alert {
        Alert::CloseNotify => "close notify",
        Alert::UnexpectedMessage => "unexpected message",
        Alert::BadRecordMac => "bad record MAC",
        Alert::DecryptionFailed => "decryption failed",
        Alert::RecordOverflow => "record overflow",
        Alert::DecompressionFailure => "decompression failure",
        Alert::HandshakeFailure => "handshake failure",
        Alert::BadCertificate => "bad certificate",
        Alert::UnsupportedCertificate => "unsupported certificate",
        Alert::CertificateRevoked => "revoked certificate",
        Alert::CertificateExpired => "expired certificate",
        Alert::CertificateUnknown => "unknown certificate",
        Alert::IllegalParameter => "illegal parameter",
        Alert::UnknownCA => "unknown certificate authority",
        Alert::AccessDenied => "access denied",
        Alert::DecodeError => "error decoding message",
        Alert::DecryptError => "error decrypting message",
        Alert::ExportRestriction => "export restriction",
        Alert::ProtocolVersion => "protocol version not supported",
        Alert::InsufficientSecurity => "insufficient security level",
        Alert::InternalError => "internal error",
        Alert::InappropriateFallback => "inappropriate fallback",
        Alert::UserCanceled => "user canceled",
        Alert::NoRenegotiation => "no renegotiation",
        Alert::MissingExtension => "missing extension",
        Alert::UnsupportedExtension => "unsupported extension",
        Alert::UnrecognisedName => "unrecognized name",
        Alert::CertificateRequired => "certificate required",
        Alert::NoApplicationProtocol => "no application protocol",
        other => return format!("alert({})", u8::from(other)),
    };
    text.to_owned()
}
