//! Checking the certificate of the other side of a connection.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, PeerMisbehaved,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::allowed::Allowed;
use crate::files::Authorities;
use crate::identity::PeerIdentity;
use crate::rejected::HandshakeError;
use crate::reload::Reloader;
use crate::revoked::Revoked;
use crate::x509::{Certificate, ChainFault, Handshake, KeyKind, Pool, SCHEMES, Usage, Verification};

/// Longer keys take too long.
const RSA_BITS_MAX: usize = 8192;

/// Which certificates are accepted, on all connections of a listener or to servers.
#[derive(Debug)]
pub(crate) struct Verifier {
    /// What the certificates have to be for: clients', or servers'.
    pub(crate) usage: Usage,
    /// `None` if every certificate is trusted.
    pub(crate) authorities: Option<Authorities>,
    pub(crate) allowed: Allowed,
    pub(crate) revoked: Option<Reloader<Revoked>>,
}

/// The check on one connection. It keeps what the TLS library has no place for: the certificate that was accepted, and
/// the words for one that was not.
#[derive(Debug)]
pub(crate) struct Check {
    verifier: Arc<Verifier>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The certificate of the other side, if it is trusted; its name may still be refused.
    trusted: Option<Certificate>,
    refusal: Option<HandshakeError>,
}

/// A certificate that is not accepted: the words for the log here, and what the other side is told.
type Refusal = (HandshakeError, Alert);

/// What the other side is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alert {
    BadCertificate,
    UnsupportedCertificate,
    UnknownAuthority,
    Expired,
    DecryptError,
    IllegalParameter,
}

impl Alert {
    /// The library's error for which it sends the alert.
    fn error(self) -> TlsError {
        match self {
            Self::BadCertificate => CertificateError::BadEncoding.into(),
            Self::UnsupportedCertificate => CertificateError::InvalidPurpose.into(),
            Self::UnknownAuthority => CertificateError::UnknownIssuer.into(),
            Self::Expired => CertificateError::Expired.into(),
            Self::DecryptError => CertificateError::BadSignature.into(),
            Self::IllegalParameter => PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into(),
        }
    }
}

impl Seen {
    fn refuse(&mut self, (refusal, alert): Refusal) -> TlsError {
        self.refusal = Some(refusal);
        alert.error()
    }
}

impl Check {
    pub(crate) fn new(verifier: Arc<Verifier>) -> Arc<Self> {
        Arc::new(Self { verifier, seen: Mutex::default() })
    }

    /// The names in a certificate that an authority vouches for.
    pub(crate) fn identity(&self) -> Option<Arc<PeerIdentity>> {
        self.seen.lock().trusted.as_ref().map(|certificate| Arc::clone(&certificate.identity))
    }

    /// Why the certificate was not accepted, if that is why the handshake failed.
    pub(crate) fn take_refusal(&self) -> Option<HandshakeError> {
        self.seen.lock().refusal.take()
    }

    fn accept(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: Option<&str>,
        now: UnixTime,
    ) -> Result<(), TlsError> {
        let mut seen = self.seen.lock();
        let accepted = self.verifier.check(&mut seen.trusted, own, between, host, now);
        accepted.map_err(|refusal| seen.refuse(refusal))
    }

    fn check_signature(
        &self,
        message: &[u8],
        signed: &DigitallySignedStruct,
        is_tls13: bool,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let mut seen = self.seen.lock();
        let key = seen.trusted.as_ref().and_then(|certificate| certificate.key.as_ref());
        let handshake = Handshake { scheme: signed.scheme, message, signature: signed.signature(), is_tls13 };
        let usage = self.verifier.usage;
        let refusal = match key.and_then(|key| handshake.check(key)) {
            Some(Ok(())) => return Ok(HandshakeSignatureValid::assertion()),
            Some(Err(fault)) => (HandshakeError::signature(usage, &fault), Alert::DecryptError),
            None => (HandshakeError::scheme(usage), Alert::IllegalParameter),
        };
        Err(seen.refuse(refusal))
    }
}

impl Verifier {
    /// Puts the certificate of the other side into `trusted` as soon as it is trusted.
    fn check(
        &self,
        trusted: &mut Option<Certificate>,
        own: &[u8],
        between: &[CertificateDer<'_>],
        host: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let own = self.read(own)?;
        let mut pool = Pool::default();
        for der in between {
            pool.add(self.read(der)?);
        }
        let mut serials = vec![own.serial.clone()];
        serials.extend(pool.serials());
        self.check_chain(&own, &pool, host, now)?;
        let own = trusted.insert(own);
        match own.key.as_ref().map(|key| key.kind) {
            Some(KeyKind::Rsa { .. } | KeyKind::Ecdsa(_) | KeyKind::Ed25519) => {}
            other => {
                let name = other.map_or("<nil>", KeyKind::type_name);
                return Err((HandshakeError::key(self.usage, name), Alert::UnsupportedCertificate));
            }
        }
        if !self.allows(&own.identity) {
            return Err((HandshakeError::NotAllowed, Alert::BadCertificate));
        }
        match self.revoked_among(&serials) {
            Some(serial) => Err((HandshakeError::Revoked(serial), Alert::BadCertificate)),
            None => Ok(()),
        }
    }

    /// Without authorities a name proves nothing, so that no list of names allows it.
    fn allows(&self, identity: &PeerIdentity) -> bool {
        self.allowed == Allowed::Anyone || (self.authorities.is_some() && self.allowed.allows(identity))
    }

    fn read(&self, der: &[u8]) -> Result<Certificate, Refusal> {
        let read = Certificate::read_one(der);
        let certificate =
            read.map_err(|fault| (HandshakeError::malformed(self.usage, &fault), Alert::BadCertificate))?;
        match certificate.key.as_ref().map(|key| key.kind) {
            Some(KeyKind::Rsa { bits }) if bits > RSA_BITS_MAX => {
                Err((HandshakeError::large_key(self.usage, RSA_BITS_MAX), Alert::BadCertificate))
            }
            _ => Ok(certificate),
        }
    }

    fn check_chain(
        &self,
        own: &Certificate,
        between: &Pool,
        host: Option<&str>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let Some(authorities) = &self.authorities else { return Ok(()) };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let verification =
            Verification { authorities: &authorities.pool, between, usage: self.usage, host, now };
        verification.check(own).map_err(|fault| {
            let alert = match (self.usage, &fault) {
                (Usage::Client, ChainFault::UnknownAuthority(_)) => Alert::UnknownAuthority,
                (Usage::Client, ChainFault::Expired(_)) => Alert::Expired,
                _ => Alert::BadCertificate,
            };
            (HandshakeError::Untrusted(fault.to_string()), alert)
        })
    }

    /// The first number of these that is revoked, in hexadecimal.
    fn revoked_among(&self, serials: &[Box<[u8]>]) -> Option<String> {
        let revoked = self.revoked.as_ref()?.current();
        let serial = serials.iter().find(|serial| revoked.has(serial))?;
        Some(data_encoding::HEXLOWER.encode(serial))
    }
}

impl ClientCertVerifier for Check {
    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.accept(own, between, None, now).map(|()| ClientCertVerified::assertion())
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.authorities.as_ref().map_or(&[], |authorities| &authorities.names)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.check_signature(message, signed, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.check_signature(message, signed, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

impl ServerCertVerifier for Check {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.accept(own, between, Some(&server_name.to_str()), now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.check_signature(message, signed, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.check_signature(message, signed, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}
