//! Certificates that may have signed others.

use std::collections::{HashMap, HashSet};

use super::certificate::Certificate;

/// Different certificates, found by their subject.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    all: Vec<Certificate>,
    /// Where the certificates of a subject are.
    by_subject: HashMap<Box<[u8]>, Vec<usize>>,
    seen: HashSet<Box<[u8]>>,
}

impl Pool {
    /// Adds a certificate that is not in it yet.
    pub(crate) fn add(&mut self, certificate: Certificate) {
        if self.seen.insert(certificate.der.clone()) {
            self.by_subject.entry(certificate.subject.clone()).or_default().push(self.all.len());
            self.all.push(certificate);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether this very certificate is in it.
    pub(super) fn has(&self, certificate: &Certificate) -> bool {
        self.seen.contains(&certificate.der)
    }

    /// The subjects of the certificates, as they are encoded.
    pub(crate) fn subjects(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().map(|certificate| &*certificate.subject)
    }

    /// The serial numbers of the certificates.
    pub(crate) fn serials(&self) -> impl Iterator<Item = Box<[u8]>> + '_ {
        self.all.iter().map(|certificate| certificate.serial.clone())
    }

    /// Those that may have signed a certificate, the likeliest first: its issuer by name, with the key that it names,
    /// with a key if one of the two has no name for it, with any other.
    pub(super) fn issuers<'a>(&'a self, certificate: &Certificate) -> Vec<&'a Certificate> {
        let wanted = &certificate.extensions.authority_key_id;
        let distance = |issuer: &&Certificate| {
            let id = &issuer.extensions.subject_key_id;
            match () {
                () if id == wanted => 0,
                () if id.is_empty() || wanted.is_empty() => 1,
                () => 2,
            }
        };
        let places = self.by_subject.get(&certificate.issuer).into_iter().flatten();
        let mut issuers: Vec<_> = places.map(|place| &self.all[*place]).collect();
        issuers.sort_by_key(distance);
        issuers
    }
}
