//! The keys in the files that `--auth-token` names.
//!
//! As in Go, the label of a PEM section does not matter: what is in it is tried in each form that the method has.

use std::fmt;

use crate::SignMethod;
use crate::pem::{self, Section};
use crate::signing::{Scheme, Signer, Verifier};

/// Signed and checked by each other with both keys, to see whether these belong together.
const PROBE: &[u8] = b"public and private key belong together";

/// One of the two files with keys, by the option that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFile {
    /// `pub-key`.
    Public,
    /// `priv-key`.
    Private,
}

/// Why keys cannot be used. The text says what is needed, and has nothing of the keys in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtKeyError {
    /// No key is given.
    #[error("set up {0} tokens: no key is given; {next}", next = missing(*.0))]
    MissingKey(SignMethod),
    /// A file has no key in it that can be read.
    #[error("set up {method} tokens: {file} has no whole PEM section; it needs {needed}", needed = needed(*.method))]
    NoPem {
        /// The method of the tokens.
        method: SignMethod,
        /// The file.
        file: KeyFile,
    },
    /// A key needs a password.
    #[error("set up {method} tokens: {file} is encrypted; store the key without a password")]
    Encrypted {
        /// The method of the tokens.
        method: SignMethod,
        /// The file.
        file: KeyFile,
    },
    /// A key is damaged, or not one of the method.
    #[error("set up {method} tokens: {file} does not fit the sign-method; it needs {needed}", needed = needed(*.method))]
    Unfit {
        /// The method of the tokens.
        method: SignMethod,
        /// The file.
        file: KeyFile,
    },
    /// The keys are those of two pairs.
    #[error(
        "set up {0} tokens: pub-key does not belong to priv-key; name the public key of the same pair, or none"
    )]
    KeyMismatch(SignMethod),
}

/// Reads the keys of a method. There is a signer if there is a private key.
pub(crate) fn read(
    method: SignMethod,
    public: Option<&[u8]>,
    private: Option<&[u8]>,
) -> Result<(Verifier, Option<Signer>), JwtKeyError> {
    let scheme = Scheme::from(method);
    // As in etcd, an empty file is as good as none.
    let [public, private] = [public, private].map(|file| file.filter(|file| !file.is_empty()));
    let public = if matches!(scheme, Scheme::Hmac(_)) { None } else { public };

    let signer = private.map(|file| read_private(method, file)).transpose()?;
    let verifier = public.map(|file| read_public(method, file)).transpose()?;
    match (signer, verifier) {
        (None, None) => Err(JwtKeyError::MissingKey(method)),
        (None, Some(verifier)) => Ok((verifier, None)),
        (Some(signer), verifier) => {
            let unfit = JwtKeyError::Unfit { method, file: KeyFile::Private };
            let probe = signer.sign(PROBE).map_err(|_| unfit)?;
            let verifier = verifier.or_else(|| signer.verifier(scheme)).ok_or(unfit)?;
            let belong_together = verifier.is_valid(PROBE, &probe);
            belong_together.then_some((verifier, Some(signer))).ok_or(JwtKeyError::KeyMismatch(method))
        }
    }
}

fn read_private(method: SignMethod, file: &[u8]) -> Result<Signer, JwtKeyError> {
    let scheme = Scheme::from(method);
    if matches!(scheme, Scheme::Hmac(_)) {
        return Signer::new(scheme, file).ok_or(JwtKeyError::MissingKey(method));
    }
    first(method, KeyFile::Private, file, |key| Signer::new(scheme, key))
}

fn read_public(method: SignMethod, file: &[u8]) -> Result<Verifier, JwtKeyError> {
    let new = |key: &[u8]| Verifier::new(method.into(), key);
    first(method, KeyFile::Public, file, |key| new(key).or_else(|| new(certified_key(key)?)))
}

/// The first section that is a key. Go looks at the first section only; OpenSSL writes one with the name of the curve
/// before a key.
fn first<T>(
    method: SignMethod,
    file: KeyFile,
    bytes: &[u8],
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<T, JwtKeyError> {
    let sections = pem::sections(bytes);
    let key =
        sections.iter().filter(|section| !section.is_encrypted).find_map(|section| parse(&section.bytes));
    key.ok_or_else(|| match sections.as_slice() {
        [] => JwtKeyError::NoPem { method, file },
        sections if sections.iter().any(is_encrypted) => JwtKeyError::Encrypted { method, file },
        _ => JwtKeyError::Unfit { method, file },
    })
}

fn is_encrypted(section: &Section) -> bool {
    section.is_encrypted
}

/// The public key in a certificate, which is a container here: nothing else in it is looked at.
fn certified_key(certificate: &[u8]) -> Option<&[u8]> {
    const VERSION: Option<u8> = Some(0xa0);
    let (certificate, _) = asn1::strip_tlv(certificate).ok()?;
    let (signed, _) = asn1::strip_tlv(certificate.data()).ok()?;
    let mut rest = signed.data();
    let fields = std::iter::from_fn(|| {
        let (field, after) = asn1::strip_tlv(rest).ok()?;
        rest = after;
        Some(field)
    });
    // Behind the serial number, the algorithm of the signature, the issuer, the validity and the subject.
    let key = fields.skip_while(|field| field.tag().as_u8() == VERSION).nth(5)?;
    Some(key.full_data())
}

fn missing(method: SignMethod) -> &'static str {
    match method.into() {
        Scheme::Hmac(_) => "name the file with the secret as priv-key",
        _ => "name one as priv-key for signing and checking, or as pub-key for checking alone",
    }
}

fn needed(method: SignMethod) -> &'static str {
    match method {
        SignMethod::Rs256 | SignMethod::Rs384 | SignMethod::Rs512 => "an RSA key of 2048 to 8192 bits",
        SignMethod::Ps256 | SignMethod::Ps384 | SignMethod::Ps512 => "an RSA key of 2048 to 8192 bits",
        SignMethod::Es256 => "a key on the curve P-256",
        SignMethod::Es384 => "a key on the curve P-384",
        SignMethod::Es512 => "a key on the curve P-521",
        SignMethod::EdDsa => "an Ed25519 key",
        SignMethod::Hs256 | SignMethod::Hs384 | SignMethod::Hs512 => "a secret",
    }
}

impl fmt::Display for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "pub-key",
            Self::Private => "priv-key",
        })
    }
}
