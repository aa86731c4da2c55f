//! Certificates that are what a test wants them to be, well-formed or not.

use std::sync::Arc;

use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};

use super::der::{
    GENERALIZED_TIME, INTEGER, NULL, OCTET_STRING, SET, UTF8_STRING, bits, oid, sequence, value, wrapper,
};
use super::extension::{self, CLIENT, Extension, SERVER, SIGNS_CERTIFICATES};

/// The beginning of a certificate's time if nothing else is said.
const BEGIN: &str = "20200101000000Z";
/// Its end.
const END: &str = "99991231235959Z";

/// How the signature is called, and whether it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// That of the issuer's key.
    Genuine,
    /// With a bit changed.
    Damaged,
    /// Random, by the name of a broken algorithm.
    Md5,
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    name: String,
    version: u8,
    serial: Vec<u8>,
    begin: &'static str,
    end: &'static str,
    extensions: Vec<Extension>,
    signature: Signature,
}

/// A certificate, and its key.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    /// The certificate.
    pub(super) der: Vec<u8>,
    /// The name of its subject, in DER.
    subject: Vec<u8>,
    key: Arc<KeyPair>,
}

impl Signed {
    /// The key, in DER.
    pub(super) fn key_der(&self) -> &[u8] {
        self.key.serialized_der()
    }
}

/// A new key of the usual kind.
pub(super) fn key() -> Arc<KeyPair> {
    Arc::new(KeyPair::generate().expect("a key can be made"))
}

impl Sketch {
    /// Without any extension.
    pub(super) fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: 3,
            serial: vec![7],
            begin: BEGIN,
            end: END,
            extensions: Vec::new(),
            signature: Signature::Genuine,
        }
    }

    /// One that signs others.
    pub(super) fn authority(name: &str) -> Self {
        Self::plain(name).with(extension::basic(true, None)).with(extension::key_usage(&[SIGNS_CERTIFICATES]))
    }

    /// One for clients and servers.
    pub(super) fn leaf(name: &str) -> Self {
        Self::plain(name).with(extension::usages(&[CLIENT, SERVER]))
    }

    /// Also with this extension.
    pub(super) fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Of another version; 1 and 2 have no extensions.
    pub(super) fn version(self, version: u8) -> Self {
        Self { version, ..self }
    }

    /// With these bytes as its number.
    pub(super) fn serial(self, serial: &[u8]) -> Self {
        Self { serial: serial.into(), ..self }
    }

    /// Good from the beginning of a year to that of another.
    pub(super) fn valid(self, begin: &'static str, end: &'static str) -> Self {
        Self { begin, end, ..self }
    }

    /// With another signature than a good one.
    pub(super) fn signature(self, signature: Signature) -> Self {
        Self { signature, ..self }
    }

    /// Signs it with its own key.
    pub(super) fn self_signed(&self) -> Signed {
        self.self_signed_with(&key())
    }

    /// Signs it with its own key, which is this one.
    pub(super) fn self_signed_with(&self, key: &Arc<KeyPair>) -> Signed {
        self.make(key, &subject(&self.name), key)
    }

    /// Signs it with an authority's key.
    pub(super) fn signed_by(&self, issuer: &Signed) -> Signed {
        self.signed_with(&key(), issuer)
    }

    /// Signs it for this key.
    pub(super) fn signed_with(&self, key: &Arc<KeyPair>, issuer: &Signed) -> Signed {
        self.make(key, &issuer.subject, &issuer.key)
    }

    fn make(&self, key: &Arc<KeyPair>, issuer: &[u8], by: &KeyPair) -> Signed {
        let algorithm = match self.signature {
            Signature::Md5 => sequence(&[&oid(&[1, 2, 840, 113_549, 1, 1, 4]), &value(NULL, &[])]),
            _ => algorithm(by),
        };
        let subject = subject(&self.name);
        let version = match self.version {
            1 => Vec::new(),
            version => wrapper(0, &[&value(INTEGER, &[&[version - 1]])]),
        };
        let time = |text: &str| value(GENERALIZED_TIME, &[text.as_bytes()]);
        let extensions = match (self.version, &self.extensions[..]) {
            (1 | 2, _) | (_, []) => Vec::new(),
            (_, list) => wrapper(3, &[&sequence(&[&list.concat()])]),
        };
        let tbs = sequence(&[
            &version,
            &value(INTEGER, &[&self.serial]),
            &algorithm,
            issuer,
            &sequence(&[&time(self.begin), &time(self.end)]),
            &subject,
            &key.subject_public_key_info(),
            &extensions,
        ]);
        let mut signature = by.sign(&tbs).expect("it can be signed");
        if self.signature == Signature::Damaged {
            *signature.last_mut().expect("it has bytes") ^= 1;
        }
        let der = sequence(&[&tbs, &algorithm, &bits(&signature)]);
        Signed { der, subject, key: Arc::clone(key) }
    }
}

/// An empty name has no parts.
fn subject(name: &str) -> Vec<u8> {
    if name.is_empty() {
        return sequence(&[]);
    }
    let attribute = sequence(&[&oid(&[2, 5, 4, 3]), &value(UTF8_STRING, &[name.as_bytes()])]);
    sequence(&[&value(SET, &[&attribute])])
}

/// What a key's signatures are called.
fn algorithm(key: &KeyPair) -> Vec<u8> {
    let algorithm = key.algorithm();
    let ecdsa = |last| sequence(&[&oid(&[1, 2, 840, 10045, 4, 3, last])]);
    match () {
        () if *algorithm == rcgen::PKCS_ECDSA_P256_SHA256 => ecdsa(2),
        () if *algorithm == rcgen::PKCS_ECDSA_P384_SHA384 => ecdsa(3),
        () if *algorithm == rcgen::PKCS_ECDSA_P521_SHA512 => ecdsa(4),
        () if *algorithm == rcgen::PKCS_ED25519 => sequence(&[&oid(&[1, 3, 101, 112])]),
        () => sequence(&[&oid(&[1, 2, 840, 113_549, 1, 1, 11]), &value(NULL, &[])]),
    }
}

/// An octet string is what most extensions that nothing knows contain.
pub(super) fn unknown(is_critical: bool) -> Extension {
    extension::other(&[1, 2, 3, 4], is_critical, &value(OCTET_STRING, &[b"?"]))
}
