//! Checking the certificates of clients.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use crate::allowed::Allowed;
use crate::error::Error;
use crate::files::Authorities;
use crate::identity::{PeerIdentity, Usage, check_trusted, serial};
use crate::rejected::Objection;
use crate::reload::Reloader;
use crate::revoked::Revoked;

/// Every client needs a certificate that an authority has signed, that is not revoked, and whose name is allowed.
#[derive(Debug)]
pub(crate) struct ClientVerifier {
    /// Checks the chain up to an authority.
    chain: Arc<dyn ClientCertVerifier>,
    authorities: Authorities,
    allowed: Allowed,
    revoked: Option<Reloader<Revoked>>,
}

impl ClientVerifier {
    pub(crate) fn new(
        authorities: Authorities,
        allowed: Allowed,
        revoked: Option<Reloader<Revoked>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let roots = Arc::clone(&authorities.roots);
        let mut chain = WebPkiClientVerifier::builder_with_provider(roots, provider);
        if authorities.certificates.is_empty() {
            // The names of all authorities in the world are of no use to clients.
            chain = chain.clear_root_hint_subjects();
        }
        let chain = chain.build();
        let chain = chain.map_err(|error| Error::Settings(error.to_string()))?;
        Ok(Self { chain, authorities, allowed, revoked })
    }

    fn check_chain(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), TlsError> {
        if self.authorities.has(own) {
            // The library rejects an authority's certificate as that of a client; many small setups have just one.
            return Ok(check_trusted(own, Usage::Client, now)?);
        }
        self.chain.verify_client_cert(own, between, now).map(drop)
    }

    /// The first number of these that is revoked, in hexadecimal.
    fn revoked_among<'a>(
        &self,
        certificates: impl Iterator<Item = &'a CertificateDer<'a>>,
    ) -> Result<Option<String>, TlsError> {
        let Some(revoked) = &self.revoked else { return Ok(None) };
        let revoked = revoked.current();
        for certificate in certificates {
            let serial = serial(certificate).map_err(|_| CertificateError::BadEncoding)?;
            if revoked.has(&serial) {
                return Ok(Some(data_encoding::HEXLOWER.encode(&serial)));
            }
        }
        Ok(None)
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        self.check_chain(own, between, now)?;
        let identity = PeerIdentity::of(own).map_err(|_| CertificateError::BadEncoding)?;
        if !self.allowed.allows(&identity) {
            return Err(Objection::NotAllowed.to(identity));
        }
        match self.revoked_among(std::iter::once(own).chain(between))? {
            Some(serial) => Err(Objection::Revoked(serial).to(identity)),
            None => Ok(ClientCertVerified::assertion()),
        }
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
