//! Checking the certificate of the server.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, DigitallySignedStruct, Error as TlsError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::allowed::Allowed;
use crate::error::Error;
use crate::files::Authorities;
use crate::identity::{PeerIdentity, Usage, check_trusted};
use crate::rejected::Objection;

#[derive(Debug)]
pub(crate) struct ServerVerifier {
    /// `None` if every server is trusted.
    trust: Option<Trust>,
    allowed: Allowed,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Trust {
    /// Checks the chain up to an authority, and the name.
    chain: Arc<WebPkiServerVerifier>,
    authorities: Authorities,
}

impl ServerVerifier {
    /// Without authorities every certificate is accepted.
    pub(crate) fn new(
        authorities: Option<Authorities>,
        allowed: Allowed,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let trust = |authorities: Authorities| -> Result<Trust, Error> {
            let roots = Arc::clone(&authorities.roots);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Ok(Trust { chain: chain.map_err(|error| Error::Settings(error.to_string()))?, authorities })
        };
        Ok(Self { trust: authorities.map(trust).transpose()?, allowed, provider })
    }
}

impl Trust {
    fn check(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), TlsError> {
        if !self.authorities.has(own) {
            return self.chain.verify_server_cert(own, between, server_name, &[], now).map(drop);
        }
        // The library rejects an authority's certificate as that of a server; many small setups have just one.
        check_trusted(own, Usage::Server, now)?;
        let identity = PeerIdentity::of(own).map_err(|_| CertificateError::BadEncoding)?;
        match identity.is_for_host(&server_name.to_str()) {
            true => Ok(()),
            false => {
                let addresses = identity.ip_addresses.iter().map(ToString::to_string);
                let presented = identity.dns_names.iter().cloned().chain(addresses).collect();
                let expected = server_name.to_owned();
                Err(CertificateError::NotValidForNameContext { expected, presented }.into())
            }
        }
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if let Some(trust) = &self.trust {
            trust.check(own, between, server_name, now)?;
        }
        if self.allowed != Allowed::Anyone {
            let identity = PeerIdentity::of(own).map_err(|_| CertificateError::BadEncoding)?;
            if !self.allowed.allows(&identity) {
                return Err(Objection::NotAllowed.to(identity));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
