//! What is read from files: certificates, keys, authorities.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::DistinguishedName;
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

use crate::error::Error;
use crate::pem::{Section, sections};
use crate::protocol::Protocol;
use crate::x509::{Certificate, Pool};

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

    /// Whether both can be read and belong together, for files that nothing else reads.
    ///
    /// # Errors
    /// When they can't be used.
    pub fn check(&self) -> Result<(), Error> {
        self.load(&Protocol::default().provider()).map(drop)
    }

    /// Reads both and checks that they belong together.
    pub(crate) fn load(&self, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
        let chain = chain(&self.cert)?;
        let own = chain.first().ok_or_else(|| Error::NoCertificate(self.cert.clone()))?;
        let own = parse(&self.cert, own)?;
        if own.is_out_of_date(i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX)) {
            // Whether that matters is up to the other side: it may have another clock, or not check it.
            tracing::warn!("cert-file" = %self.cert.display(), "certificate has expired or is not valid yet");
        }
        let key = private_key(&self.key)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| Error::Key { path: self.key.clone(), fault: error.to_string() })?;
        if key.public_key().is_some_and(|public| public.as_ref() != &*own.key_info) {
            return Err(Error::KeyMismatch { cert: self.cert.clone(), key: self.key.clone() });
        }
        Ok(CertifiedKey::new(chain, key))
    }
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

fn parse(path: &Path, der: &[u8]) -> Result<Certificate, Error> {
    Certificate::read_one(der)
        .map_err(|fault| Error::Certificate { path: path.into(), fault: fault.to_string() })
}

/// The certificate of a file and those that follow it, in their order.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let sections = sections(&read(path)?).into_iter();
    Ok(sections.filter(|it| it.label == "CERTIFICATE").map(|it| it.bytes.into()).collect())
}

/// The first private key of a file. Its form is found by trying, since labels are often wrong.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(path)?;
    let is_key = |it: &Section| it.label == "PRIVATE KEY" || it.label.ends_with(" PRIVATE KEY");
    let Some(section) = sections(&text).into_iter().find(is_key) else {
        return Err(Error::NoKey(path.into()));
    };
    let is_encrypted = || text.windows(9).any(|window| window == b"ENCRYPTED");
    match PrivateKeyDer::try_from(section.bytes) {
        Ok(key) => Ok(key),
        Err(_) if is_encrypted() => Err(Error::EncryptedKey(path.into())),
        Err(fault) => Err(Error::Key { path: path.into(), fault: fault.to_owned() }),
    }
}

/// The authorities that sign certificates.
#[derive(Debug)]
pub(crate) struct Authorities {
    pub(crate) pool: Pool,
    /// Their names, for clients with several certificates; none if they are those of the system, which are too many.
    pub(crate) names: Vec<DistinguishedName>,
}

impl Authorities {
    /// Those of a file, or those of the system.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Error> {
        match path {
            Some(path) => Self::of_file(path),
            None => Self::of_system(),
        }
    }

    /// Every section of the file has to be a certificate, whatever it is called.
    fn of_file(path: &Path) -> Result<Self, Error> {
        let mut pool = Pool::default();
        for section in sections(&read(path)?) {
            pool.add(parse(path, &section.bytes)?);
        }
        if pool.is_empty() {
            return Err(Error::NoAuthority(path.into()));
        }
        let names = pool.subjects().map(|subject| DistinguishedName::from(subject.to_vec())).collect();
        Ok(Self { pool, names })
    }

    fn of_system() -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut pool = Pool::default();
        // Some systems have a few that are no certificates.
        for certificate in found.certs.iter().filter_map(|der| Certificate::read_one(der).ok()) {
            pool.add(certificate);
        }
        if pool.is_empty() {
            let fault = found.errors.first().map_or_else(|| "it has none".to_owned(), ToString::to_string);
            return Err(Error::NoSystemAuthority(fault));
        }
        Ok(Self { pool, names: Vec::new() })
    }
}
