//! What is read from files: certificates, keys, authorities.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::error::Error;
use crate::identity::is_out_of_date;

/// A certificate and its key, both in PEM. The certificate's file may go on with the certificates between it and
/// the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFiles {
    /// The certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl KeyFiles {
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        vec![self.cert.clone(), self.key.clone()]
    }

    /// Reads both and checks that they belong together.
    pub(crate) fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
        let chain = certificates(&self.cert)?;
        if chain.is_empty() {
            return Err(Error::NoCertificate(self.cert.clone()));
        }
        if is_out_of_date(&chain[0], UnixTime::now()) {
            // Whether that matters is up to the other side: it may have another clock, or not check it.
            tracing::warn!("cert-file" = %self.cert.display(), "certificate has expired or is not valid yet");
        }
        let key = private_key(&self.key)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| Error::Key { path: self.key.clone(), fault: error.to_string() })?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(Error::KeyMismatch { cert: self.cert.clone(), key: self.key.clone() })
            }
            Err(error) => Err(Error::Certificate { path: self.cert.clone(), fault: error.to_string() }),
        }
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    CertificateDer::pem_slice_iter(&text).map(|it| it.map_err(|error| pem_error(path, &error))).collect()
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(path)?;
    let found = PrivateKeyDer::from_pem_slice(&text);
    let is_encrypted = || text.windows(9).any(|window| window == b"ENCRYPTED");
    match found {
        Ok(key) => Ok(key),
        Err(_) if is_encrypted() => Err(Error::EncryptedKey(path.into())),
        Err(pem::Error::NoItemsFound) => Err(Error::NoKey(path.into())),
        Err(error) => Err(pem_error(path, &error)),
    }
}

/// The library's words would show lines of the file, which may be a key.
pub(crate) fn pem_error(path: &Path, error: &pem::Error) -> Error {
    let fault = match error {
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => "a line that begins a section is malformed",
        pem::Error::Base64Decode(_) => "a section is not in base64",
        _ => "it is no PEM file",
    };
    Error::Pem { path: path.into(), fault }
}

/// The authorities that sign certificates.
#[derive(Debug)]
pub(crate) struct Authorities {
    pub(crate) roots: Arc<RootCertStore>,
    /// The certificates themselves. One that is trusted as an authority is accepted as a peer's own, too.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// Those of a file, or those of the system.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Error> {
        match path {
            Some(path) => Self::of_file(path),
            None => Self::of_system(),
        }
    }

    fn of_file(path: &Path) -> Result<Self, Error> {
        let certificates = certificates(path)?;
        if certificates.is_empty() {
            return Err(Error::NoAuthority(path.into()));
        }
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| Error::Certificate { path: path.into(), fault: error.to_string() })?;
        }
        Ok(Self { roots: Arc::new(roots), certificates })
    }

    fn of_system() -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Some systems have a few that the library can't use.
        let (n_used, _) = roots.add_parsable_certificates(found.certs);
        if n_used == 0 {
            let fault = found.errors.first().map_or_else(|| "it has none".to_owned(), ToString::to_string);
            return Err(Error::NoSystemAuthority(fault));
        }
        Ok(Self { roots: Arc::new(roots), certificates: Vec::new() })
    }

    pub(crate) fn has(&self, certificate: &CertificateDer<'_>) -> bool {
        self.certificates.iter().any(|it| it.as_ref() == certificate.as_ref())
    }
}
