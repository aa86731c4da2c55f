//! Chains of certificates of all kinds, and what etcd 3.7.1 says of them.

/// The text about a chain that is not trusted.
macro_rules! untrusted {
    ($text:literal) => {
        concat!("tls: failed to verify certificate: x509: ", $text)
    };
}

mod clients;
mod der;
mod extension;
mod fixtures;
mod limits;
mod servers;
mod sketch;

use crate::certificates::pem;

use self::sketch::{Signed, Sketch};

pub use clients::clients;
pub use servers::servers;

/// A chain, and the authorities that are to vouch for it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special.
    pub name: &'static str,
    /// In DER. No two cases have authorities in common, so that all of them can be trusted at once.
    pub authorities: Vec<Vec<u8>>,
    /// In DER, as they are sent.
    pub chain: Vec<Vec<u8>>,
    /// The key of the first certificate in `chain`.
    pub key: Vec<u8>,
    /// What etcd logs if it rejects the chain, from its beginning; `None` if it is accepted.
    pub rejection: Option<&'static str>,
    /// What is logged here, if that differs.
    pub here: Option<&'static str>,
}

impl Case {
    /// What ferretcd logs if it rejects the chain.
    pub fn rejection_here(&self) -> Option<&'static str> {
        self.here.or(self.rejection)
    }

    /// The chain as a file.
    pub fn chain_pem(&self) -> String {
        certificates(&self.chain)
    }

    /// The key as a file.
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }
}

/// A file of certificates.
pub fn certificates(list: &[Vec<u8>]) -> String {
    list.iter().map(|der| pem("CERTIFICATE", der)).collect()
}

/// Cases, as they are added.
#[derive(Debug, Default)]
struct Table(Vec<Case>);

impl Table {
    fn accepts(&mut self, name: &'static str, authorities: &[&Signed], chain: &[&Signed]) {
        self.add(name, authorities, chain, None);
    }

    fn rejects(
        &mut self,
        name: &'static str,
        text: &'static str,
        authorities: &[&Signed],
        chain: &[&Signed],
    ) {
        self.add(name, authorities, chain, Some(text));
    }

    fn add(
        &mut self,
        name: &'static str,
        authorities: &[&Signed],
        chain: &[&Signed],
        rejection: Option<&'static str>,
    ) {
        let ders = |list: &[&Signed]| list.iter().map(|it| it.der.clone()).collect();
        let key = chain[0].key_der().to_vec();
        let (authorities, chain) = (ders(authorities), ders(chain));
        self.0.push(Case { name, authorities, chain, key, rejection, here: None });
    }
}
