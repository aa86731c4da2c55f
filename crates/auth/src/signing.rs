//! Signatures, by the method that makes and checks them.

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, Ed25519KeyPair, KeyPair as _,
    ParsedPublicKey, RsaKeyPair, RsaParameters, RsaSignatureEncoding,
};

use crate::SignMethod;

/// What a method is made of.
#[derive(Clone, Copy)]
pub(crate) enum Scheme {
    Rsa(&'static RsaParameters, &'static RsaSignatureEncoding),
    Ecdsa(&'static EcdsaVerificationAlgorithm, &'static EcdsaSigningAlgorithm),
    Ed25519,
    Hmac(hmac::Algorithm),
}

/// Makes signatures. What is random in them comes from the library.
pub(crate) enum Signer {
    Rsa(RsaKeyPair, &'static RsaSignatureEncoding),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Hmac(Box<hmac::Key>),
}

/// Checks signatures.
pub(crate) enum Verifier {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

impl From<SignMethod> for Scheme {
    fn from(method: SignMethod) -> Self {
        match method {
            SignMethod::Rs256 => {
                Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256, &signature::RSA_PKCS1_SHA256)
            }
            SignMethod::Rs384 => {
                Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384, &signature::RSA_PKCS1_SHA384)
            }
            SignMethod::Rs512 => {
                Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512, &signature::RSA_PKCS1_SHA512)
            }
            SignMethod::Ps256 => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA256, &signature::RSA_PSS_SHA256),
            SignMethod::Ps384 => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA384, &signature::RSA_PSS_SHA384),
            SignMethod::Ps512 => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA512, &signature::RSA_PSS_SHA512),
            // RFC 7518 has the two numbers of a signature side by side, each at full length.
            SignMethod::Es256 => {
                Self::Ecdsa(&signature::ECDSA_P256_SHA256_FIXED, &signature::ECDSA_P256_SHA256_FIXED_SIGNING)
            }
            SignMethod::Es384 => {
                Self::Ecdsa(&signature::ECDSA_P384_SHA384_FIXED, &signature::ECDSA_P384_SHA384_FIXED_SIGNING)
            }
            SignMethod::Es512 => {
                Self::Ecdsa(&signature::ECDSA_P521_SHA512_FIXED, &signature::ECDSA_P521_SHA512_FIXED_SIGNING)
            }
            SignMethod::EdDsa => Self::Ed25519,
            SignMethod::Hs256 => Self::Hmac(hmac::HMAC_SHA256),
            SignMethod::Hs384 => Self::Hmac(hmac::HMAC_SHA384),
            SignMethod::Hs512 => Self::Hmac(hmac::HMAC_SHA512),
        }
    }
}

impl Signer {
    /// The key in DER: PKCS #8, PKCS #1 for RSA, or SEC 1 for a curve, which must be that of the method. The secret of
    /// an HMAC is any bytes.
    pub(crate) fn new(scheme: Scheme, key: &[u8]) -> Option<Self> {
        Some(match scheme {
            Scheme::Rsa(_, encoding) => {
                let pair = RsaKeyPair::from_pkcs8(key).or_else(|_| RsaKeyPair::from_der(key));
                Self::Rsa(pair.ok()?, encoding)
            }
            Scheme::Ecdsa(_, algorithm) => {
                Self::Ecdsa(EcdsaKeyPair::from_private_key_der(algorithm, key).ok()?)
            }
            Scheme::Ed25519 => Self::Ed25519(Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok()?),
            Scheme::Hmac(algorithm) => Self::Hmac(Box::new(hmac::Key::new(algorithm, key))),
        })
    }

    /// What checks the signatures that this one makes.
    pub(crate) fn verifier(&self, scheme: Scheme) -> Option<Verifier> {
        match self {
            Self::Rsa(pair, _) => Verifier::new(scheme, pair.public_key().as_ref()),
            Self::Ecdsa(pair) => Verifier::new(scheme, pair.public_key().as_ref()),
            Self::Ed25519(pair) => Verifier::new(scheme, pair.public_key().as_ref()),
            Self::Hmac(key) => Some(Verifier::Secret(key.clone())),
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        Ok(match self {
            Self::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random, message, &mut signature)?;
                signature
            }
            Self::Ecdsa(pair) => pair.sign(&random, message)?.as_ref().to_vec(),
            Self::Ed25519(pair) => pair.try_sign(message)?.as_ref().to_vec(),
            Self::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
        })
    }
}

impl Verifier {
    /// The public key in DER: that of X.509, or PKCS #1 for RSA; or as [`Signer::verifier`] has it.
    pub(crate) fn new(scheme: Scheme, key: &[u8]) -> Option<Self> {
        let key = match scheme {
            Scheme::Rsa(parameters, _) => {
                let key = rsa::PublicKey::from_der(key).ok()?;
                // The library would find out with each signature only.
                let n_bits = RsaParameters::public_modulus_len(key.as_ref()).ok()?;
                let supported = parameters.min_modulus_len()..=parameters.max_modulus_len();
                supported.contains(&n_bits).then(|| ParsedPublicKey::new(parameters, key.as_ref()))?
            }
            Scheme::Ecdsa(algorithm, _) => ParsedPublicKey::new(algorithm, key),
            Scheme::Ed25519 => ParsedPublicKey::new(&signature::ED25519, key),
            // Its one key is no public one.
            Scheme::Hmac(_) => return None,
        };
        key.ok().map(Self::Public)
    }

    pub(crate) fn is_valid(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
        }
    }
}
