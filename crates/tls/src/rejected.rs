//! Why a connection was ended before it was served.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError, InvalidMessage, OtherError};
use tracing::{debug, warn};

use crate::identity::PeerIdentity;

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

/// A connection that was ended before it was served.
#[derive(Debug)]
pub struct Rejected {
    /// Where it came from.
    pub remote: SocketAddr,
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
        write!(f, "accept the TLS connection of {}: {}", self.remote, self.reason)
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
        let (remote, server_name, error) = (self.remote, &self.server_name, &self.reason);
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

/// What a verifier has against a certificate that is genuine.
#[derive(Clone, Debug)]
pub(crate) enum Objection {
    NotAllowed,
    /// With the number in hexadecimal.
    Revoked(String),
}

impl Objection {
    /// The objection as the library's error, which brings it to where the handshake ends.
    pub(crate) fn to(self, identity: PeerIdentity) -> rustls::Error {
        let objected = Objected { objection: self, identity: Arc::new(identity) };
        CertificateError::Other(OtherError(Arc::new(objected))).into()
    }
}

/// An objection and the names in the certificate.
#[derive(Debug)]
struct Objected {
    objection: Objection,
    identity: Arc<PeerIdentity>,
}

impl fmt::Display for Objected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason().fmt(f)
    }
}

impl std::error::Error for Objected {}

impl Objected {
    fn reason(&self) -> HandshakeError {
        match &self.objection {
            Objection::NotAllowed => HandshakeError::NotAllowed,
            Objection::Revoked(serial) => HandshakeError::Revoked(serial.clone()),
        }
    }
}

/// Why a handshake failed, and the identity of the other side if it is known.
pub(crate) fn explain(error: io::Error) -> (HandshakeError, Option<Arc<PeerIdentity>>) {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return (HandshakeError::Closed, None);
    }
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return (HandshakeError::Io(error), None);
    };
    let reason = match tls {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => HandshakeError::NotTls,
        rustls::Error::NoCertificatesPresented => HandshakeError::NoCertificate,
        rustls::Error::AlertReceived(alert) => HandshakeError::Alert(alert_text(*alert)),
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => {
            if let Some(objected) = inner.downcast_ref::<Objected>() {
                return (objected.reason(), Some(Arc::clone(&objected.identity)));
            }
            HandshakeError::Tls(tls.clone())
        }
        _ => HandshakeError::Tls(tls.clone()),
    };
    (reason, None)
}

/// Go's words for the alerts that occur.
fn alert_text(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::InternalError => "internal error",
        AlertDescription::UserCanceled => "user canceled",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::NoApplicationProtocol => "no application protocol",
        other => return format!("{other:?}"),
    };
    text.to_owned()
}
