//! Signatures under certificates and handshakes, checked by AWS-LC.

use asn1::{ObjectIdentifier, oid};
use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};
use rustls::SignatureScheme;

use super::der::{Der, SEQUENCE, wrapper};
use super::fault::SignatureFault;
use super::key::{Curve, KeyKind, PublicKey};

const MD5_RSA: ObjectIdentifier = oid!(1, 2, 840, 113549, 1, 1, 4);
const SHA1_RSA: ObjectIdentifier = oid!(1, 2, 840, 113549, 1, 1, 5);
const SHA256_RSA: ObjectIdentifier = oid!(1, 2, 840, 113549, 1, 1, 11);
const SHA384_RSA: ObjectIdentifier = oid!(1, 2, 840, 113549, 1, 1, 12);
const SHA512_RSA: ObjectIdentifier = oid!(1, 2, 840, 113549, 1, 1, 13);
const PSS: ObjectIdentifier = oid!(1, 2, 840, 113549, 1, 1, 10);
const DSA_SHA1: ObjectIdentifier = oid!(1, 2, 840, 10040, 4, 3);
const ECDSA_SHA1: ObjectIdentifier = oid!(1, 2, 840, 10045, 4, 1);
const ECDSA_SHA256: ObjectIdentifier = oid!(1, 2, 840, 10045, 4, 3, 2);
const ECDSA_SHA384: ObjectIdentifier = oid!(1, 2, 840, 10045, 4, 3, 3);
const ECDSA_SHA512: ObjectIdentifier = oid!(1, 2, 840, 10045, 4, 3, 4);
const ED25519: ObjectIdentifier = oid!(1, 3, 101, 112);
/// SHA-1 with RSA, by a name that only old tools give it.
const SHA1_RSA_OF_ISO: ObjectIdentifier = oid!(1, 3, 14, 3, 2, 29);

const SHA256: ObjectIdentifier = oid!(2, 16, 840, 1, 101, 3, 4, 2, 1);
const SHA384: ObjectIdentifier = oid!(2, 16, 840, 1, 101, 3, 4, 2, 2);
const SHA512: ObjectIdentifier = oid!(2, 16, 840, 1, 101, 3, 4, 2, 3);
const MGF1: ObjectIdentifier = oid!(1, 2, 840, 113549, 1, 1, 8);

/// Go rejects shorter keys.
const RSA_BITS_MIN: usize = 1024;
/// Shorter keys are for old certificates.
const RSA_BITS_USUAL: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// The ways to sign that Go knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    RsaPkcs1(Hash),
    RsaPss(Hash),
    Ecdsa(Hash),
    Ed25519,
    /// One that can be forged, with its name in Go.
    Insecure(&'static str),
    Unknown,
}

impl Algorithm {
    /// Reads what is inside of an AlgorithmIdentifier; `None` if it is none.
    pub(super) fn read(mut identifier: Der<'_>) -> Option<Self> {
        let algorithm = identifier.oid()?;
        let parameters = match identifier.is_empty() {
            true => &[],
            false => identifier.any()?.1.full_data(),
        };
        Some(match algorithm {
            MD5_RSA => Self::Insecure("MD5-RSA"),
            SHA1_RSA | SHA1_RSA_OF_ISO => Self::Insecure("SHA1-RSA"),
            DSA_SHA1 => Self::Insecure("DSA-SHA1"),
            ECDSA_SHA1 => Self::Insecure("ECDSA-SHA1"),
            SHA256_RSA => Self::RsaPkcs1(Hash::Sha256),
            SHA384_RSA => Self::RsaPkcs1(Hash::Sha384),
            SHA512_RSA => Self::RsaPkcs1(Hash::Sha512),
            PSS => pss(parameters).map_or(Self::Unknown, Self::RsaPss),
            ECDSA_SHA256 => Self::Ecdsa(Hash::Sha256),
            ECDSA_SHA384 => Self::Ecdsa(Hash::Sha384),
            ECDSA_SHA512 => Self::Ecdsa(Hash::Sha512),
            ED25519 if parameters.is_empty() => Self::Ed25519,
            _ => Self::Unknown,
        })
    }

    /// The kind of key that makes such signatures.
    fn key(self) -> &'static str {
        match self {
            Self::RsaPkcs1(_) | Self::RsaPss(_) => "RSA",
            Self::Ecdsa(_) => "ECDSA",
            Self::Ed25519 => "Ed25519",
            Self::Insecure(_) | Self::Unknown => "",
        }
    }
}

/// The parameters of RSA-PSS: one hash for everything, and a salt of its length.
fn pss(parameters: &[u8]) -> Option<Hash> {
    let mut fields = Der::new(parameters).inside(SEQUENCE)?;
    let hash = hash(fields.inside(wrapper(0))?)?;
    let mut mask = fields.inside(wrapper(1))?.inside(SEQUENCE)?;
    let is_mgf1 = mask.oid()? == MGF1;
    let same = self::hash(mask)? == hash;
    let salt: u64 = fields.inside(wrapper(2))?.read()?;
    let trailer = match fields.is_empty() {
        true => 1,
        false => fields.inside(wrapper(3))?.read::<i64>()?,
    };
    let salt_bytes = match hash {
        Hash::Sha256 => 32,
        Hash::Sha384 => 48,
        Hash::Sha512 => 64,
    };
    (is_mgf1 && same && salt == salt_bytes && trailer == 1).then_some(hash)
}

/// A hash, without parameters or with NULL.
fn hash(mut fields: Der<'_>) -> Option<Hash> {
    let mut identifier = fields.inside(SEQUENCE)?;
    let hash = match identifier.oid()? {
        SHA256 => Hash::Sha256,
        SHA384 => Hash::Sha384,
        SHA512 => Hash::Sha512,
        _ => return None,
    };
    let is_plain = identifier.is_empty() || identifier.any()?.1.full_data() == [5, 0];
    is_plain.then_some(hash)
}

/// Checks that `signature` under `message` is by `key`.
pub(super) fn check(
    key: &PublicKey,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureFault> {
    match algorithm {
        Algorithm::Unknown => return Err(SignatureFault::Unsupported),
        Algorithm::Insecure(name) => return Err(SignatureFault::Insecure(name)),
        _ => {}
    }
    let wrong = match (key.kind, algorithm) {
        (KeyKind::Dsa, _) => return Err(SignatureFault::Unsupported),
        (KeyKind::Rsa { .. }, Algorithm::RsaPkcs1(_) | Algorithm::RsaPss(_)) => {
            "crypto/rsa: verification error"
        }
        (KeyKind::Ecdsa(_), Algorithm::Ecdsa(_)) => "x509: ECDSA verification failure",
        (KeyKind::Ed25519, Algorithm::Ed25519) => "x509: Ed25519 verification failure",
        (kind, algorithm) => {
            return Err(SignatureFault::OtherKey { expected: algorithm.key(), found: kind.type_name() });
        }
    };
    if let KeyKind::Rsa { bits } = key.kind
        && bits < RSA_BITS_MIN
    {
        return Err(SignatureFault::ShortKey(bits));
    }
    let method = method(key.kind, algorithm).ok_or(SignatureFault::Unsupported)?;
    UnparsedPublicKey::new(method, &key.bytes)
        .verify(message, signature)
        .map_err(|_| SignatureFault::Wrong(wrong))
}

/// The cryptography for a key and a way to sign, if there is one.
fn method(key: KeyKind, algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    use Hash::{Sha256, Sha384, Sha512};
    Some(match (key, algorithm) {
        (KeyKind::Rsa { bits }, Algorithm::RsaPkcs1(hash)) if bits < RSA_BITS_USUAL => match hash {
            Sha256 => &lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            Sha512 => &lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
            Sha384 => return None,
        },
        (KeyKind::Rsa { bits }, Algorithm::RsaPss(_)) if bits < RSA_BITS_USUAL => return None,
        (KeyKind::Rsa { .. }, Algorithm::RsaPkcs1(Sha256)) => &lc::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa { .. }, Algorithm::RsaPkcs1(Sha384)) => &lc::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa { .. }, Algorithm::RsaPkcs1(Sha512)) => &lc::RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::Rsa { .. }, Algorithm::RsaPss(Sha256)) => &lc::RSA_PSS_2048_8192_SHA256,
        (KeyKind::Rsa { .. }, Algorithm::RsaPss(Sha384)) => &lc::RSA_PSS_2048_8192_SHA384,
        (KeyKind::Rsa { .. }, Algorithm::RsaPss(Sha512)) => &lc::RSA_PSS_2048_8192_SHA512,
        (KeyKind::Ecdsa(Curve::P256), Algorithm::Ecdsa(Sha256)) => &lc::ECDSA_P256_SHA256_ASN1,
        (KeyKind::Ecdsa(Curve::P256), Algorithm::Ecdsa(Sha384)) => &lc::ECDSA_P256_SHA384_ASN1,
        (KeyKind::Ecdsa(Curve::P256), Algorithm::Ecdsa(Sha512)) => &lc::ECDSA_P256_SHA512_ASN1,
        (KeyKind::Ecdsa(Curve::P384), Algorithm::Ecdsa(Sha256)) => &lc::ECDSA_P384_SHA256_ASN1,
        (KeyKind::Ecdsa(Curve::P384), Algorithm::Ecdsa(Sha384)) => &lc::ECDSA_P384_SHA384_ASN1,
        (KeyKind::Ecdsa(Curve::P384), Algorithm::Ecdsa(Sha512)) => &lc::ECDSA_P384_SHA512_ASN1,
        (KeyKind::Ecdsa(Curve::P521), Algorithm::Ecdsa(Sha256)) => &lc::ECDSA_P521_SHA256_ASN1,
        (KeyKind::Ecdsa(Curve::P521), Algorithm::Ecdsa(Sha384)) => &lc::ECDSA_P521_SHA384_ASN1,
        (KeyKind::Ecdsa(Curve::P521), Algorithm::Ecdsa(Sha512)) => &lc::ECDSA_P521_SHA512_ASN1,
        (KeyKind::Ed25519, Algorithm::Ed25519) => &lc::ED25519,
        _ => return None,
    })
}

/// The signatures that a handshake may have, in Go's order of preference.
pub(crate) const SCHEMES: [SignatureScheme; 10] = [
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP521_SHA512,
];

/// The signature under a handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handshake<'a> {
    pub(crate) scheme: SignatureScheme,
    pub(crate) message: &'a [u8],
    pub(crate) signature: &'a [u8],
    /// Newer versions of TLS permit fewer ways to sign.
    pub(crate) is_tls13: bool,
}

impl Handshake<'_> {
    /// Checks that it is by this key. `None` if such a key makes no such signatures.
    pub(crate) fn check(&self, key: &PublicKey) -> Option<Result<(), SignatureFault>> {
        let (algorithm, curve) = of_scheme(self.scheme)?;
        let is_fitting = match (key.kind, algorithm) {
            (KeyKind::Rsa { .. }, Algorithm::RsaPss(_)) => true,
            (KeyKind::Rsa { .. }, Algorithm::RsaPkcs1(_)) => !self.is_tls13,
            (KeyKind::Ecdsa(of_key), Algorithm::Ecdsa(_)) => !self.is_tls13 || Some(of_key) == curve,
            (KeyKind::Ed25519, Algorithm::Ed25519) => true,
            _ => false,
        };
        is_fitting.then(|| check(key, algorithm, self.message, self.signature))
    }
}

/// How a handshake is signed by its scheme, with the curve that TLS 1.3 demands.
fn of_scheme(scheme: SignatureScheme) -> Option<(Algorithm, Option<Curve>)> {
    use Hash::{Sha256, Sha384, Sha512};
    Some(match scheme {
        SignatureScheme::RSA_PSS_SHA256 => (Algorithm::RsaPss(Sha256), None),
        SignatureScheme::RSA_PSS_SHA384 => (Algorithm::RsaPss(Sha384), None),
        SignatureScheme::RSA_PSS_SHA512 => (Algorithm::RsaPss(Sha512), None),
        SignatureScheme::RSA_PKCS1_SHA256 => (Algorithm::RsaPkcs1(Sha256), None),
        SignatureScheme::RSA_PKCS1_SHA384 => (Algorithm::RsaPkcs1(Sha384), None),
        SignatureScheme::RSA_PKCS1_SHA512 => (Algorithm::RsaPkcs1(Sha512), None),
        SignatureScheme::ECDSA_NISTP256_SHA256 => (Algorithm::Ecdsa(Sha256), Some(Curve::P256)),
        SignatureScheme::ECDSA_NISTP384_SHA384 => (Algorithm::Ecdsa(Sha384), Some(Curve::P384)),
        SignatureScheme::ECDSA_NISTP521_SHA512 => (Algorithm::Ecdsa(Sha512), Some(Curve::P521)),
        SignatureScheme::ED25519 => (Algorithm::Ed25519, None),
        _ => return None,
    })
}
