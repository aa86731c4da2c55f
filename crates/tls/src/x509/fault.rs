//! What can be wrong with certificates, in Go's words.

use std::fmt;

/// Bytes that are no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// A part that can't be read.
    #[error("x509: {0}")]
    Part(&'static str),
    /// A key that is none, in words that Go has from another place.
    #[error("{0}")]
    Key(&'static str),
    /// An extension that is there twice, by its number.
    #[error("x509: certificate contains duplicate extension with OID {0:?}")]
    Twice(String),
}

/// A signature that does not prove that one certificate is signed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureFault {
    /// The other certificate is not that of an authority.
    #[error("x509: invalid signature: parent certificate cannot sign this kind of certificate")]
    NoAuthority,
    /// The cryptography does not know the kind of key, of signature, or the size.
    #[error("x509: cannot verify signature: algorithm unimplemented")]
    Unsupported,
    /// Such a signature can be forged.
    #[error("x509: cannot verify signature: insecure algorithm {0}")]
    Insecure(&'static str),
    /// It is for another kind of key.
    #[error(
        "x509: signature algorithm specifies an {expected} public key, but have public key of type {found}"
    )]
    OtherKey {
        /// The kind.
        expected: &'static str,
        /// The type in Go.
        found: &'static str,
    },
    /// It is not by this key, or not for these bytes.
    #[error("{0}")]
    Wrong(&'static str),
    /// Keys of so few bits can be calculated.
    #[error("crypto/rsa: {0}-bit keys are insecure (see https://go.dev/pkg/crypto/rsa#hdr-Minimum_key_size)")]
    ShortKey(usize),
}

/// A certificate that is not for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostFault {
    /// It has the host as its common name, and no list of names.
    CommonName,
    /// An address is wanted and it has none.
    NoAddress(String),
    /// It has no names at all.
    NoName(String),
    /// It has too many names for a text.
    Many { n_names: usize, what: &'static str, host: String },
    /// It has others.
    Others { names: Vec<String>, host: String },
}

impl std::error::Error for HostFault {}

impl fmt::Display for HostFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("x509: ")?;
        match self {
            Self::CommonName => {
                f.write_str("certificate relies on legacy Common Name field, use SANs instead")
            }
            Self::NoAddress(host) => {
                write!(f, "cannot validate certificate for {host} because it doesn't contain any IP SANs")
            }
            Self::NoName(host) => {
                write!(f, "certificate is not valid for any names, but wanted to match {host}")
            }
            Self::Many { n_names, what, host } => {
                write!(f, "certificate is valid for {n_names} {what}, but none matched {host}")
            }
            Self::Others { names, host } => {
                write!(f, "certificate is valid for {}, not {host}", names.join(", "))
            }
        }
    }
}

/// An authority that might have signed a certificate, and why it has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    /// Its name.
    pub(crate) authority: String,
    pub(crate) fault: Box<ChainFault>,
}

/// A certificate that is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChainFault {
    /// It demands something that is not known here.
    #[error("x509: unhandled critical extension")]
    CriticalExtension,
    /// Its time is over, or has not come.
    #[error("x509: certificate has expired or is not yet valid: {0}")]
    Expired(String),
    /// It signs without being that of an authority.
    #[error("x509: certificate is not authorized to sign other certificates")]
    NotAuthorizedToSign,
    /// More authorities are below it than it permits.
    #[error("x509: too many intermediates for path length constraint")]
    TooManyIntermediates,
    /// It, or an authority above it, is for other purposes.
    #[error("x509: certificate specifies an incompatible key usage")]
    IncompatibleUsage,
    /// An authority above it may not sign for one of its names.
    #[error("x509: a root or intermediate certificate is not authorized to sign for this name: {0}")]
    Name(String),
    /// Every way to an authority fails for one of these reasons.
    #[error("x509: no valid chains built: {0}")]
    NoValidChain(String),
    /// No authority has signed it.
    #[error("x509: certificate signed by unknown authority{}", possibly(.0))]
    UnknownAuthority(Option<Hint>),
    /// There are too many ways to find out.
    #[error("x509: signature check attempts limit reached while verifying certificate chain")]
    SignatureLimit,
    /// It is for another host.
    #[error(transparent)]
    Host(#[from] HostFault),
    /// An authority that might have signed it has not.
    #[error(transparent)]
    Signature(#[from] SignatureFault),
}

fn possibly(hint: &Option<Hint>) -> String {
    hint.as_ref().map_or_else(String::new, |hint| {
        format!(
            " (possibly because of {:?} while trying to verify candidate authority certificate {:?})",
            hint.fault.to_string(),
            hint.authority
        )
    })
}
