//! The methods by which tokens are signed.

use std::fmt;
use std::str::FromStr;

/// How tokens are signed, by the names of RFC 7518 and RFC 8037. The numbers are those of SHA-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignMethod {
    /// RSA with PKCS#1 v1.5.
    Rs256,
    /// RSA with PKCS#1 v1.5.
    Rs384,
    /// RSA with PKCS#1 v1.5.
    Rs512,
    /// RSA with PSS.
    Ps256,
    /// RSA with PSS.
    Ps384,
    /// RSA with PSS.
    Ps512,
    /// ECDSA on the curve P-256.
    Es256,
    /// ECDSA on the curve P-384.
    Es384,
    /// ECDSA on the curve P-521.
    Es512,
    /// Ed25519.
    EdDsa,
    /// HMAC, with one secret for signing and checking.
    Hs256,
    /// HMAC, with one secret for signing and checking.
    Hs384,
    /// HMAC, with one secret for signing and checking.
    Hs512,
}

/// A name that no method has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("find a sign method of this name; there are {all}", all = SignMethod::names())]
pub struct UnknownSignMethod;

impl SignMethod {
    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
    ];

    /// As in flags and in the header of a token.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// All names, for texts.
    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }
}

impl fmt::Display for SignMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignMethod {
    type Err = UnknownSignMethod;

    /// Takes the exact names.
    fn from_str(name: &str) -> Result<Self, UnknownSignMethod> {
        Self::ALL.into_iter().find(|method| method.name() == name).ok_or(UnknownSignMethod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed() {
        for method in SignMethod::ALL {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
        for name in ["", "none", "rs256", "RS256 ", "EDDSA", "Ed25519"] {
            assert_eq!(name.parse::<SignMethod>(), Err(UnknownSignMethod), "{name}");
        }
    }
}
