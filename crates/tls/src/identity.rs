//! The names in a certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use rustls::CertificateError;
use rustls_pki_types::UnixTime;
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// The names in a peer's certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerIdentity {
    /// The common name of the subject; empty if it has none. With several it is the last one, as in etcd.
    pub common_name: Arc<str>,
    /// The host names among the alternative names, as they are written: some begin with `*.`.
    pub dns_names: Vec<String>,
    /// The addresses among the alternative names.
    pub ip_addresses: Vec<IpAddr>,
}

/// The bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the names in a certificate")]
pub(crate) struct Unreadable;

impl PeerIdentity {
    /// Reads the names in a certificate, without a check of its signature.
    pub(crate) fn of(der: &[u8]) -> Result<Self, Unreadable> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Unreadable)?;
        let common_names = certificate.subject().iter_common_name();
        let common_name = common_names.filter_map(|name| name.as_str().ok()).last().unwrap_or_default();
        let mut identity = Self { common_name: common_name.into(), ..Self::default() };
        let names = certificate.subject_alternative_name().map_err(|_| Unreadable)?;
        for name in names.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::DNSName(name) => identity.dns_names.push((*name).to_owned()),
                GeneralName::IPAddress(bytes) => {
                    identity.ip_addresses.push(address(bytes).ok_or(Unreadable)?);
                }
                _ => {}
            }
        }
        Ok(identity)
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).into());
    let v6 = || <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_canonical());
    v4().or_else(v6)
}

/// The number of a certificate without leading zeros.
pub(crate) fn serial(der: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Unreadable)?;
    Ok(without_zeros(certificate.raw_serial()).to_vec())
}

pub(crate) fn without_zeros(bytes: &[u8]) -> &[u8] {
    let n_zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[n_zeros..]
}

/// What a certificate may be used for, if it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Server,
    Client,
}

/// What is left to be checked of a certificate that is trusted by itself.
pub(crate) fn check_trusted(der: &[u8], usage: Usage, now: UnixTime) -> Result<(), CertificateError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
    let (begin, end) = validity(&certificate);
    if now.as_secs() < begin {
        return Err(CertificateError::NotValidYet);
    }
    if now.as_secs() > end {
        return Err(CertificateError::Expired);
    }
    let usages = certificate.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
    let is_meant = usages.is_none_or(|usages| {
        usages.value.any
            || match usage {
                Usage::Server => usages.value.server_auth,
                Usage::Client => usages.value.client_auth,
            }
    });
    if is_meant { Ok(()) } else { Err(CertificateError::InvalidPurpose) }
}

/// Begin and end of a certificate's time, in seconds of Unix time; 0 for anything before.
fn validity(certificate: &X509Certificate<'_>) -> (u64, u64) {
    let seconds = |time: ASN1Time| u64::try_from(time.timestamp()).unwrap_or_default();
    (seconds(certificate.validity().not_before), seconds(certificate.validity().not_after))
}

/// Whether a certificate's time is over, or has not come.
pub(crate) fn is_out_of_date(der: &[u8], now: UnixTime) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, certificate)| {
        let (begin, end) = validity(&certificate);
        !(begin..=end).contains(&now.as_secs())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;

    use super::*;

    fn certificate() -> Vec<u8> {
        let pem = include_bytes!("../tests/data/etcd-cert.pem");
        CertificateDer::from_pem_slice(pem).expect("a certificate").to_vec()
    }

    #[test]
    fn what_etcd_writes() {
        let address = "127.0.0.1".parse().expect("an address");
        let expected = PeerIdentity { ip_addresses: vec![address], ..PeerIdentity::default() };
        assert_eq!(PeerIdentity::of(&certificate()), Ok(expected));
        let serial = serial(&certificate()).expect("it has a number");
        assert_eq!(data_encoding::HEXLOWER.encode(&serial), "318e9ad4bdec1d60014ae1ba272c7373");
        let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let checked = |usage, seconds| check_trusted(&certificate(), usage, at(seconds));
        assert_eq!(checked(Usage::Server, 1_800_000_000), Ok(()));
        assert_eq!(checked(Usage::Client, 1_800_000_000), Err(CertificateError::InvalidPurpose));
        assert_eq!(checked(Usage::Server, 1_700_000_000), Err(CertificateError::NotValidYet));
        assert_eq!(checked(Usage::Server, 1_900_000_000), Err(CertificateError::Expired));
        assert!(is_out_of_date(&certificate(), at(1_900_000_000)));
        assert!(!is_out_of_date(&certificate(), at(1_800_000_000)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn damaged_certificates(changes in prop::collection::vec(any::<(Index, u8)>(), 0..6), end: Index) {
            let mut der = certificate();
            for (at, byte) in changes {
                let at = at.index(der.len());
                der[at] = byte;
            }
            for der in [&der[..], &der[..end.index(der.len())]] {
                // Any result is good; a panic is not.
                let _ = (PeerIdentity::of(der), serial(der));
                let _ = check_trusted(der, Usage::Client, UnixTime::since_unix_epoch(Default::default()));
            }
        }
    }
}
