//! Tokens in the form of JSON Web Tokens (RFC 7519), as etcd gives them out: a name, and the revision of the
//! authentication data at which it was proved.
//!
//! ```text
//!   {"alg":"RS256","typ":"JWT"} . {"exp":1700000300,"revision":7,"username":"alice"} . signature
//!   each in base64url                                                                of all before the second dot
//! ```
//!
//! The rules are those of golang-jwt 5 as etcd 3.7 calls it. Stricter than there are:
//!
//! * encodings: base64 has no line ends and no spare bits, and JSON no broken text;
//! * numbers: one that fits no revision or no time is rejected, while Go makes of it a revision that never gets old;
//! * signatures with PSS: the salt is as long as the hash, as RFC 7518 has it. Old releases of the library signed
//!   with longer ones;
//! * keys of RSA: they have 2048 bits at least, as RFC 7518 has it.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};

use crate::SignMethod;
use crate::key_files::{self, JwtKeyError};
use crate::signing::{Signer, Verifier};

/// The method and the keys of a member's tokens.
pub struct JwtKeys {
    method: SignMethod,
    /// As it is encoded.
    header: String,
    verifier: Verifier,
    signer: Option<Signer>,
}

/// What a token says, if its signature is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The name of the user.
    pub username: Arc<str>,
    /// The revision of the authentication data when the token was made. Above 2^53 it is rounded, as in etcd.
    pub revision: u64,
}

/// What a token with a valid signature says, whatever the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedClaims {
    claims: Claims,
    /// Valid from here on, and before there.
    begin: Option<i64>,
    end: Option<i64>,
}

/// Why no token was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// There is no key for signing. The text is etcd's, and reaches clients.
    #[error("auth: token signing attempted with verify-only key")]
    VerifyOnly,
    /// The cryptography refuses to.
    #[error("sign a token: the cryptography refuses the key")]
    Refused,
}

/// Why a token was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtRejected {
    /// It is not three parts of base64, with objects of JSON in the first two.
    #[error("check a token: it has not the form of a JWT")]
    Malformed,
    /// Its header names another method, or none.
    #[error("check a token: it is signed by another method than the configured sign-method")]
    SignMethod,
    /// The signature is not that of the key.
    #[error("check a token: its signature is wrong")]
    Signature,
    /// Its time is over.
    #[error("check a token: it has expired")]
    Expired,
    /// Its time has not come.
    #[error("check a token: it is not valid yet")]
    NotYetValid,
    /// A claim is missing, of the wrong type, or out of range.
    #[error("check a token: its claim {0} is missing or has no usable value")]
    Claim(&'static str),
}

impl JwtKeys {
    /// The keys in the contents of files. A missing file and an empty one are the same.
    ///
    /// * RSA, curves and Ed25519: PEM. The private key in PKCS #8, in PKCS #1 (RSA) or in SEC 1 (curves); the public
    ///   key as X.509 has it, in PKCS #1 (RSA), or in a certificate, of which nothing else is looked at. With the
    ///   public key alone, tokens can be checked but not made.
    /// * HMAC: all bytes of the private file are the secret, a line end included. The public file does not matter.
    ///
    /// An error says which key is needed. Takes milliseconds: both keys are tried on each other.
    pub fn from_files(
        method: SignMethod,
        public: Option<&[u8]>,
        private: Option<&[u8]>,
    ) -> Result<Self, JwtKeyError> {
        let (verifier, signer) = key_files::read(method, public, private)?;
        let header = encode(&json!({ "alg": method.name(), "typ": "JWT" }));
        Ok(Self { method, header, verifier, signer })
    }

    /// The method of the tokens.
    pub fn method(&self) -> SignMethod {
        self.method
    }

    /// Whether tokens can be made.
    pub fn can_sign(&self) -> bool {
        self.signer.is_some()
    }

    /// A token for a user, valid before the second `expires_unix` of Unix time. Some methods have random numbers in
    /// each signature, which come from the library. Takes about a millisecond with RSA, and
    /// less with other keys.
    pub fn sign(&self, username: &str, revision: u64, expires_unix: i64) -> Result<String, SignError> {
        let signer = self.signer.as_ref().ok_or(SignError::VerifyOnly)?;
        let claims = encode(&json!({ "username": username, "revision": revision, "exp": expires_unix }));
        let mut token = format!("{}.{claims}", self.header);
        let signature = signer.sign(token.as_bytes()).map_err(|_| SignError::Refused)?;
        token.push('.');
        BASE64URL_NOPAD.encode_append(&signature, &mut token);
        Ok(token)
    }

    /// What a token says, if it is valid in the second `now_unix` of Unix time. It need not say when it expires.
    ///
    /// Takes some 10 µs with a secret, some 50 µs with RSA, and up to half a millisecond with the curve P-521.
    pub fn verify(&self, token: &[u8], now_unix: i64) -> Result<Claims, JwtRejected> {
        self.verify_signature(token)?.at(now_unix)
    }

    /// The part of [`Self::verify`] that takes long, and that does not change with time.
    pub fn verify_signature(&self, token: &[u8]) -> Result<SignedClaims, JwtRejected> {
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(JwtRejected::Malformed);
        };
        if decode(header)?.get("alg").and_then(Value::as_str) != Some(self.method.name()) {
            return Err(JwtRejected::SignMethod);
        }
        let signed = &token[..header.len() + 1 + claims.len()];
        let signature = BASE64URL_NOPAD.decode(signature).map_err(|_| JwtRejected::Malformed)?;
        if !self.verifier.is_valid(signed, &signature) {
            return Err(JwtRejected::Signature);
        }
        SignedClaims::read(&decode(claims)?)
    }
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtKeys")
            .field("method", &self.method)
            .field("can_sign", &self.can_sign())
            .finish_non_exhaustive()
    }
}

impl SignedClaims {
    fn read(claims: &Map<String, Value>) -> Result<Self, JwtRejected> {
        let (end, begin) = (time(claims, "exp")?, time(claims, "nbf")?);
        let username =
            claims.get("username").and_then(Value::as_str).ok_or(JwtRejected::Claim("username"))?;
        let revision = claims.get("revision").and_then(Value::as_f64).and_then(revision);
        let revision = revision.ok_or(JwtRejected::Claim("revision"))?;
        Ok(Self { claims: Claims { username: username.into(), revision }, begin, end })
    }

    /// The claims, if they are valid in the second `now_unix` of Unix time.
    pub fn at(&self, now_unix: i64) -> Result<Claims, JwtRejected> {
        if self.end.is_some_and(|end| now_unix >= end) {
            return Err(JwtRejected::Expired);
        }
        if self.begin.is_some_and(|begin| now_unix < begin) {
            return Err(JwtRejected::NotYetValid);
        }
        Ok(self.claims.clone())
    }
}

/// Seconds of Unix time, rounded down. Zero is no time, as in golang-jwt.
fn time(claims: &Map<String, Value>, key: &'static str) -> Result<Option<i64>, JwtRejected> {
    /// Far within an `i64`, and beyond every clock.
    const SECONDS_MAX: f64 = (1_u64 << 62) as f64;
    let Some(value) = claims.get(key) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| seconds.abs() < SECONDS_MAX);
    let seconds = seconds.ok_or(JwtRejected::Claim(key))?;
    Ok((seconds != 0.0).then(|| seconds.floor() as i64))
}

/// Without the fraction.
fn revision(number: f64) -> Option<u64> {
    const BOUND: f64 = u64::MAX as f64;
    (number > -1.0 && number < BOUND).then_some(number as u64)
}

fn encode(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

fn decode(part: &[u8]) -> Result<Map<String, Value>, JwtRejected> {
    let json = BASE64URL_NOPAD.decode(part).map_err(|_| JwtRejected::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| JwtRejected::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn keys() -> JwtKeys {
        JwtKeys::from_files(SignMethod::Hs256, None, Some(b"secret")).expect("any secret is one")
    }

    /// Signs what no member would.
    fn token(header: &str, claims: &str) -> String {
        let keys = keys();
        let encode = |part: &str| BASE64URL_NOPAD.encode(part.as_bytes());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = keys.signer.expect("HMAC has one").sign(signed.as_bytes()).expect("HMAC does");
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    fn claims(username: &str, revision: u64) -> Claims {
        Claims { username: username.into(), revision }
    }

    /// The claims that were read behind those of a valid token.
    fn check(more: &str, expected: Result<(), JwtRejected>) {
        let token = token(r#"{"alg":"HS256"}"#, &format!(r#"{{"username":"a","revision":5,{more}}}"#));
        let expected = expected.map(|()| claims("a", 5));
        assert_eq!(keys().verify(token.as_bytes(), NOW), expected, "{more}");
    }

    #[test]
    fn times_of_a_token() {
        use JwtRejected::{Claim, Expired, NotYetValid};
        check(&format!(r#""exp":{}"#, NOW + 1), Ok(()));
        check(&format!(r#""exp":{NOW}"#), Err(Expired));
        check(&format!(r#""exp":{NOW}.9"#), Err(Expired));
        check(&format!(r#""exp":{}.5"#, NOW + 1), Ok(()));
        check(&format!(r#""nbf":{NOW}"#), Ok(()));
        check(&format!(r#""nbf":{NOW}.9"#), Ok(()));
        check(&format!(r#""nbf":{}"#, NOW + 1), Err(NotYetValid));
        for claim in ["exp", "nbf"] {
            check(&format!(r#""{claim}":0"#), Ok(()));
            check(&format!(r#""{claim}":-0.0"#), Ok(()));
            for value in ["null", "\"9999999999\"", "[]", "true", "1e300", "-1e300"] {
                check(&format!(r#""{claim}":{value}"#), Err(Claim(claim)));
            }
            check(&format!(r#""{claim}":1e400"#), Err(JwtRejected::Malformed));
        }
        check(r#""exp":-1"#, Err(Expired));
        check(r#""exp":-1.5"#, Err(Expired));
        check(r#""exp":1e18"#, Ok(()));
        check(r#""nbf":-1"#, Ok(()));
        check(r#""exp":1,"exp":0"#, Ok(()));
        check(r#""iat":9999999999,"iss":1,"aud":null"#, Ok(()));
    }

    #[test]
    fn claims_of_a_token() {
        use JwtRejected::{Claim, Malformed};
        fn check(text: &str, expected: Result<Claims, JwtRejected>) {
            let token = token(r#"{"alg":"HS256"}"#, text);
            assert_eq!(keys().verify(token.as_bytes(), NOW), expected, "{text}");
        }
        for (number, revision) in [
            ("5", 5),
            ("5.9", 5),
            ("5e2", 500),
            ("0", 0),
            ("-0.5", 0),
            ("9007199254740993", 9_007_199_254_740_992),
            ("18446744073709549568", 18_446_744_073_709_549_568),
        ] {
            check(&format!(r#"{{"username":"a","revision":{number}}}"#), Ok(claims("a", revision)));
        }
        for number in
            ["-1", "-1e300", "18446744073709551615", "18446744073709551616", "1e300", "\"5\"", "null"]
        {
            check(&format!(r#"{{"username":"a","revision":{number}}}"#), Err(Claim("revision")));
        }
        check(r#"{"username":"a"}"#, Err(Claim("revision")));
        check(r#"{"username":"a","revision":1e400}"#, Err(Malformed));
        check(r#"{"username":"","revision":5}"#, Ok(claims("", 5)));
        check(r#"{"username":"a","username":"b","revision":5} "#, Ok(claims("b", 5)));
        for text in [r#"{"username":5,"revision":5}"#, r#"{"Username":"a","revision":5}"#, "{}"] {
            check(text, Err(Claim("username")));
        }
        for text in ["null", "[]", "", "5", r#"{"username":"a","revision":5}x"#, r#"{"username":"\ud800"}"#] {
            check(text, Err(Malformed));
        }
    }

    #[test]
    fn the_header_names_the_configured_method() {
        fn check(header: &str, expected: Result<(), JwtRejected>) {
            let token = token(header, r#"{"username":"a","revision":5}"#);
            let expected = expected.map(|()| claims("a", 5));
            assert_eq!(keys().verify(token.as_bytes(), NOW), expected, "{header}");
        }
        check(r#"{"alg":"HS256","typ":"JWT"}"#, Ok(()));
        check(r#"{"typ":5,"crit":["a"],"alg":"none","alg":"HS256"}"#, Ok(()));
        for alg in ["none", "None", "hs256", "HS384", "RS256", ""] {
            check(&format!(r#"{{"alg":"{alg}"}}"#), Err(JwtRejected::SignMethod));
        }
        for header in ["{}", r#"{"alg":null}"#, r#"{"alg":["HS256"]}"#, r#"{"Alg":"HS256"}"#] {
            check(header, Err(JwtRejected::SignMethod));
        }
        for header in ["null", "", "\"HS256\""] {
            check(header, Err(JwtRejected::Malformed));
        }
    }

    #[test]
    fn forms_of_a_token() {
        fn check(token: &str, expected: JwtRejected) {
            assert_eq!(keys().verify(token.as_bytes(), NOW), Err(expected), "{token}");
        }
        let good = keys().sign("a", 5, NOW + 1).expect("it has the secret");
        assert_eq!(keys().verify(good.as_bytes(), NOW), Ok(claims("a", 5)));
        let (signed, signature) = good.rsplit_once('.').expect("there are dots");
        check(&format!("{signed}."), JwtRejected::Signature);
        check(&format!("{signed}.{}", &signature[..42]), JwtRejected::Malformed);
        check(&format!("{signed}.{}", &signature[..40]), JwtRejected::Signature);
        for token in ["", ".", "..", "...", "a.b", signed] {
            check(token, JwtRejected::Malformed);
        }
        for end in ["\n", "=", ".", " ", ".a"] {
            check(&format!("{good}{end}"), JwtRejected::Malformed);
        }
        check(&format!("Bearer {good}"), JwtRejected::Malformed);
        assert_eq!(keys().verify(b"\xff.\xff.\xff", NOW), Err(JwtRejected::Malformed));
    }

    #[test]
    fn every_byte_counts() {
        let good = keys().sign("a", 5, NOW + 1).expect("it has the secret");
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut token = good.clone().into_bytes();
                token[at] ^= 1 << bit;
                assert!(keys().verify(&token, NOW).is_err(), "{at} {bit}");
            }
        }
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", keys()), "JwtKeys { method: Hs256, can_sign: true, .. }");
    }
}
