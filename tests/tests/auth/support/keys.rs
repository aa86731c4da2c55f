//! Keys that sign tokens, made for the test, and tokens that are signed by the test itself.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use ferretcd_testkit::certificates::pem;
use rcgen::{KeyPair, PublicKeyData as _, SignatureAlgorithm};
use tempfile::TempDir;

/// A key pair in two files, or a secret in one.
pub(crate) struct SigningKey {
    method: &'static str,
    dir: TempDir,
    is_secret: bool,
}

impl SigningKey {
    /// A key pair for the methods with this name and algorithm.
    pub(crate) fn pair(method: &'static str, algorithm: &'static SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).expect("a key can be made");
        let made = Self { method, dir: tempfile::tempdir().expect("a directory"), is_secret: false };
        write(&made.private(), &pem("PRIVATE KEY", key.serialized_der()));
        write(&made.public(), &pem("PUBLIC KEY", &key.subject_public_key_info()));
        made
    }

    /// A secret for HS256.
    pub(crate) fn secret(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let made = Self { method: "HS256", dir, is_secret: true };
        write(&made.private(), text);
        made
    }

    pub(crate) fn private(&self) -> PathBuf {
        self.dir.path().join("private.pem")
    }

    pub(crate) fn public(&self) -> PathBuf {
        self.dir.path().join("public.pem")
    }

    /// The flag of a server that signs and verifies.
    pub(crate) fn flag(&self) -> String {
        let private = format!("priv-key={}", self.private().display());
        match self.is_secret {
            true => self.flag_with(&[&private]),
            false => self.flag_with(&[&private, &format!("pub-key={}", self.public().display())]),
        }
    }

    /// The flag of a server that only verifies.
    pub(crate) fn verify_only(&self) -> String {
        self.flag_with(&[&format!("pub-key={}", self.public().display())])
    }

    /// The flag with these options besides the method.
    pub(crate) fn flag_with(&self, options: &[&str]) -> String {
        let options: String = options.iter().map(|option| format!(",{option}")).collect();
        format!("--auth-token=jwt,sign-method={}{options}", self.method)
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the file can be written");
}

/// A token with this header and these claims, signed with HMAC and SHA-256 whatever the header says.
pub(crate) fn forged(header: &str, claims: &str, secret: &[u8]) -> String {
    let signed = unsigned(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
}

/// The signed part of a token.
pub(crate) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()))
}

/// The claims of a token, as text.
pub(crate) fn claims(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("a token has three parts");
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).expect("its parts are in base64");
    String::from_utf8(claims).expect("claims are text")
}
