//! TLS versions and cipher suites, by the names that etcd takes.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, SupportedProtocolVersion, version};

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl Version {
    /// Reads `TLS1.2` or `TLS1.3`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "TLS1.2" => Some(Self::Tls12),
            "TLS1.3" => Some(Self::Tls13),
            _ => None,
        }
    }

    fn rustls(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::Tls12 => &version::TLS12,
            Self::Tls13 => &version::TLS13,
        }
    }
}

/// Which versions and cipher suites may be spoken.
#[derive(Clone, Debug)]
pub struct Protocol {
    /// Not empty.
    versions: Vec<Version>,
    /// The suites of TLS 1.2; `None` for all there are. Those of TLS 1.3 can't be chosen, as in etcd.
    suites: Option<Vec<CipherSuite>>,
    unsupported: Vec<String>,
}

/// Versions and cipher suites that can't be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// There is no such suite.
    #[error("unexpected TLS cipher suite {0:?}")]
    UnknownSuite(String),
    /// No suite or version is left.
    #[error(
        "find a cipher suite among {0:?}: none is supported; name an ECDHE suite with AES-GCM or CHACHA20_POLY1305, \
         or allow TLS1.3"
    )]
    NothingLeft(Vec<String>),
}

impl Default for Protocol {
    fn default() -> Self {
        Self { versions: vec![Version::Tls12, Version::Tls13], suites: None, unsupported: Vec::new() }
    }
}

impl Protocol {
    /// From the oldest to the newest version, each included, `None` for no bound; with cipher suites by their names
    /// in Go, all if none is named. Suites of Go's that are too weak to be supported here are left out.
    ///
    /// # Errors
    /// When a name is unknown, or nothing is left.
    pub fn new(
        oldest: Option<Version>,
        newest: Option<Version>,
        suites: &[String],
    ) -> Result<Self, ProtocolError> {
        let mut versions = vec![Version::Tls12, Version::Tls13];
        versions.retain(|it| {
            oldest.is_none_or(|oldest| oldest <= *it) && newest.is_none_or(|newest| *it <= newest)
        });
        let mut chosen = Vec::new();
        let mut unsupported = Vec::new();
        for name in suites {
            match suite(name).ok_or_else(|| ProtocolError::UnknownSuite(name.clone()))? {
                Some(suite) => chosen.push(suite),
                None => unsupported.push(name.clone()),
            }
        }
        let is_of_tls12 = |suite: &&CipherSuite| !FIXED.iter().any(|(_, fixed)| fixed == *suite);
        if !suites.is_empty() && chosen.iter().filter(is_of_tls12).count() == 0 {
            versions.retain(|version| *version != Version::Tls12);
        }
        if versions.is_empty() {
            return Err(ProtocolError::NothingLeft(suites.to_vec()));
        }
        Ok(Self { versions, suites: (!suites.is_empty()).then_some(chosen), unsupported })
    }

    /// The named cipher suites that are left out, because they are too weak.
    pub fn unsupported(&self) -> &[String] {
        &self.unsupported
    }

    /// The cryptography, narrowed to the suites that may be spoken.
    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        let mut provider = aws_lc_rs::default_provider();
        if let Some(suites) = &self.suites {
            provider
                .cipher_suites
                .retain(|suite| suite.version() == &version::TLS13 || suites.contains(&suite.suite()));
        }
        Arc::new(provider)
    }

    pub(crate) fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        self.versions.iter().map(|version| version.rustls()).collect()
    }
}

/// The suites of TLS 1.3.
const FIXED: &[(&str, CipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// The suites of TLS 1.2 that are supported; two of them have two names.
const CHOICES: &[(&str, CipherSuite)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Suites that Go has and the library does not: without forward secrecy, in CBC mode, or broken.
const WEAK: &[&str] = &[
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
];

/// The suite of a name in Go; inside, `None` if it is too weak.
fn suite(name: &str) -> Option<Option<CipherSuite>> {
    let strong = FIXED.iter().chain(CHOICES).find(|(it, _)| *it == name);
    match strong {
        Some((_, suite)) => Some(Some(*suite)),
        None => WEAK.contains(&name).then_some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn offered(protocol: &Protocol) -> usize {
        protocol.provider().cipher_suites.len()
    }

    #[test]
    fn every_suite_of_the_library_has_a_name() {
        let all = CHOICES.iter().filter(|(name, _)| name.ends_with("_SHA256") || name.ends_with("_SHA384"));
        assert_eq!(all.count() + FIXED.len(), offered(&Protocol::default()));
        for (name, wanted) in FIXED.iter().chain(CHOICES) {
            assert_eq!(suite(name), Some(Some(*wanted)));
        }
    }

    #[test]
    fn suites_narrow_tls_1_2_alone() {
        let list = names(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA"]);
        let protocol = Protocol::new(None, None, &list).expect("one is left");
        assert_eq!(offered(&protocol), 1 + FIXED.len());
        assert_eq!(protocol.unsupported(), ["TLS_RSA_WITH_AES_128_CBC_SHA"]);
        assert_eq!(protocol.versions, [Version::Tls12, Version::Tls13]);
    }

    #[test]
    fn weak_suites_alone_leave_tls_1_3_or_nothing() {
        let list = names(&["TLS_RSA_WITH_AES_128_CBC_SHA"]);
        let protocol = Protocol::new(None, None, &list).expect("TLS 1.3 is left");
        assert_eq!(protocol.versions, [Version::Tls13]);
        let error = Protocol::new(None, Some(Version::Tls12), &list).expect_err("nothing is left");
        assert_eq!(error, ProtocolError::NothingLeft(list));
    }

    #[test]
    fn unknown_names() {
        let error = Protocol::new(None, None, &names(&["TLS_MADE_UP"])).expect_err("unknown");
        assert_eq!(error.to_string(), "unexpected TLS cipher suite \"TLS_MADE_UP\"");
        assert_eq!(Version::parse("TLS1.1"), None);
    }

    #[test]
    fn bounds_are_included() {
        fn check(oldest: Option<Version>, newest: Option<Version>, expected: &[Version]) {
            assert_eq!(Protocol::new(oldest, newest, &[]).expect("something is left").versions, expected);
        }
        use Version::{Tls12, Tls13};
        check(None, None, &[Tls12, Tls13]);
        check(Some(Tls12), Some(Tls12), &[Tls12]);
        check(Some(Tls13), None, &[Tls13]);
        check(None, Some(Tls13), &[Tls12, Tls13]);
    }
}
