//! What can be wrong with files of certificates.

use std::io;
use std::path::{Path, PathBuf};

use crate::protocol::ProtocolError;

/// Why files can't be used. The text names the file and says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file can't be read.
    #[error("read {path:?}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or directory can't be written.
    #[error("write {path:?}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has no certificate.
    #[error("find a certificate in {0:?}: it needs a PEM section CERTIFICATE")]
    NoCertificate(PathBuf),
    /// A certificate is damaged, or of a kind that is not supported.
    #[error("use the certificate in {path:?}: {fault}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// A file has no private key.
    #[error(
        "find a private key in {0:?}: it needs a PEM section PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY"
    )]
    NoKey(PathBuf),
    /// A private key needs a password.
    #[error("use the private key in {0:?}: it is encrypted; store it without a password")]
    EncryptedKey(PathBuf),
    /// A private key is damaged, or of a kind that is not supported.
    #[error(
        "use the private key in {path:?}: {fault}; RSA from 2048 bits, P-256, P-384, P-521 and Ed25519 are supported"
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// Certificate and key do not belong together.
    #[error("use certificate {cert:?} with key {key:?}: the key is that of another certificate")]
    KeyMismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// A file that should name the trusted authorities names none.
    #[error("find a trusted authority in {0:?}: it needs a PEM section CERTIFICATE")]
    NoAuthority(PathBuf),
    /// No file of authorities is given, and the system has none either.
    #[error("find the system's trusted authorities: {0}; name a file of authorities")]
    NoSystemAuthority(String),
    /// A list of revoked certificates can't be read.
    #[error(
        "read the list of revoked certificates {path:?}: {fault}; it has to be an X.509 CRL, in DER or PEM"
    )]
    RevocationList {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// Lists of names of both kinds are given.
    #[error(
        "AllowedCNs and AllowedHostnames are mutually exclusive (cns={common_names:?}, hostnames={hostnames:?})"
    )]
    AllowedTwice {
        /// Common names.
        common_names: Vec<String>,
        /// Host names.
        hostnames: Vec<String>,
    },
    /// Versions and cipher suites leave nothing.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A certificate of no duration is requested.
    #[error("selfSignedCertValidity is invalid,it should be greater than 0")]
    NoValidity,
    /// A certificate can't be made.
    #[error("make a certificate for {hosts:?}: {fault}")]
    SelfSigned {
        /// The names and addresses it was to have.
        hosts: Vec<String>,
        /// What is wrong.
        fault: String,
    },
    /// The TLS library rejects the settings.
    #[error("set up TLS: {0}")]
    Settings(String),
}

impl Error {
    /// The files that can't be used, for callers that know where their names come from.
    pub fn files(&self) -> Vec<&Path> {
        match self {
            Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::NoCertificate(path)
            | Self::Certificate { path, .. }
            | Self::NoKey(path)
            | Self::EncryptedKey(path)
            | Self::Key { path, .. }
            | Self::NoAuthority(path)
            | Self::RevocationList { path, .. } => vec![path],
            Self::KeyMismatch { cert, key } => vec![cert, key],
            Self::NoSystemAuthority(_)
            | Self::AllowedTwice { .. }
            | Self::Protocol(_)
            | Self::NoValidity
            | Self::SelfSigned { .. }
            | Self::Settings(_) => Vec::new(),
        }
    }
}
