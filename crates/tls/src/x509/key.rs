//! Public keys.

use asn1::{BigInt, ObjectIdentifier, oid};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ParsedPublicKey,
    VerificationAlgorithm,
};

use super::der::{Der, SEQUENCE};
use super::fault::Malformed;

const RSA: ObjectIdentifier = oid!(1, 2, 840, 113549, 1, 1, 1);
const DSA: ObjectIdentifier = oid!(1, 2, 840, 10040, 4, 1);
const ECDSA: ObjectIdentifier = oid!(1, 2, 840, 10045, 2, 1);
const ED25519: ObjectIdentifier = oid!(1, 3, 101, 112);

const P224: ObjectIdentifier = oid!(1, 3, 132, 0, 33);
const P256: ObjectIdentifier = oid!(1, 2, 840, 10045, 3, 1, 7);
const P384: ObjectIdentifier = oid!(1, 3, 132, 0, 34);
const P521: ObjectIdentifier = oid!(1, 3, 132, 0, 35);

const NULL: [u8; 2] = [5, 0];
const ED25519_BYTES: usize = 32;
/// The first byte of a point that is not compressed.
const UNCOMPRESSED: u8 = 4;

/// The curves that Go knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P224,
    P256,
    P384,
    P521,
}

/// The kinds of keys that Go knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Rsa {
        /// The length of the modulus.
        bits: usize,
    },
    Ecdsa(Curve),
    Ed25519,
    Dsa,
}

impl KeyKind {
    /// Its type in Go, which some texts have.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Rsa { .. } => "*rsa.PublicKey",
            Self::Ecdsa(_) => "*ecdsa.PublicKey",
            Self::Ed25519 => "ed25519.PublicKey",
            Self::Dsa => "*dsa.PublicKey",
        }
    }
}

/// A public key of a kind that Go knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    pub(crate) kind: KeyKind,
    /// As it is in the certificate, and as the cryptography takes it.
    pub(crate) bytes: Box<[u8]>,
}

impl PublicKey {
    /// Reads what is inside of a SubjectPublicKeyInfo; `None` for keys of other kinds.
    pub(super) fn read(mut info: Der<'_>) -> Result<Option<Self>, Malformed> {
        let mut algorithm =
            info.inside(SEQUENCE).ok_or(Malformed::Part("malformed public key algorithm identifier"))?;
        let oid = algorithm.oid().ok_or(Malformed::Part("malformed OID"))?;
        let parameters = match algorithm.is_empty() {
            true => &[],
            false => algorithm.any().ok_or(Malformed::Part("malformed parameters"))?.1.full_data(),
        };
        let bytes = info.bits().ok_or(Malformed::Part("malformed subjectPublicKey"))?;
        let kind = match oid {
            RSA => rsa(parameters, &bytes)?,
            ECDSA => KeyKind::Ecdsa(curve(parameters, &bytes)?),
            ED25519 if !parameters.is_empty() => {
                return Err(Malformed::Part("Ed25519 key encoded with illegal parameters"));
            }
            ED25519 if bytes.len() != ED25519_BYTES => {
                return Err(Malformed::Part("wrong Ed25519 public key size"));
            }
            ED25519 => KeyKind::Ed25519,
            DSA => KeyKind::Dsa,
            _ => return Ok(None),
        };
        Ok(Some(Self { kind, bytes }))
    }
}

fn rsa(parameters: &[u8], bytes: &[u8]) -> Result<KeyKind, Malformed> {
    if parameters != NULL {
        return Err(Malformed::Part("RSA key missing NULL parameters"));
    }
    let mut numbers = Der::new(bytes).inside(SEQUENCE).ok_or(Malformed::Part("invalid RSA public key"))?;
    let modulus: BigInt<'_> = numbers.read().ok_or(Malformed::Part("invalid RSA modulus"))?;
    let exponent: i64 = numbers.read().ok_or(Malformed::Part("invalid RSA public exponent"))?;
    if modulus.is_negative() || modulus.as_bytes() == [0] {
        return Err(Malformed::Part("RSA modulus is not a positive number"));
    }
    if exponent <= 0 {
        return Err(Malformed::Part("RSA public exponent is not a positive number"));
    }
    Ok(KeyKind::Rsa { bits: modulus.bit_length() })
}

fn curve(parameters: &[u8], point: &[u8]) -> Result<Curve, Malformed> {
    let name = Der::new(parameters).oid().ok_or(Malformed::Part("invalid ECDSA parameters"))?;
    let (curve, coordinate_bytes) = match name {
        P224 => (Curve::P224, 28),
        P256 => (Curve::P256, 32),
        P384 => (Curve::P384, 48),
        P521 => (Curve::P521, 66),
        _ => return Err(Malformed::Part("unsupported elliptic curve")),
    };
    if point.first() != Some(&UNCOMPRESSED) || point.len() != 1 + 2 * coordinate_bytes {
        return Err(Malformed::Key("ecdsa: invalid uncompressed public key"));
    }
    let (reading, otherwise): (&'static dyn VerificationAlgorithm, _) = match curve {
        // Nothing is checked by such a key.
        Curve::P224 => return Ok(curve),
        Curve::P256 => (&ECDSA_P256_SHA256_ASN1, "P256 point not on curve"),
        Curve::P384 => (&ECDSA_P384_SHA384_ASN1, "P384 point not on curve"),
        Curve::P521 => (&ECDSA_P521_SHA512_ASN1, "P521 point not on curve"),
    };
    ParsedPublicKey::new(reading, point).map(|_| curve).map_err(|_| Malformed::Key(otherwise))
}
