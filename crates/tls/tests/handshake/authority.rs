//! An authority that signs whatever a test needs.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ferretcd_tls::KeyFiles;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

/// An authority and a directory for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

/// What is to be signed.
#[derive(Clone, Copy, Default)]
pub(crate) struct Subject<'a> {
    pub(crate) common_name: &'a str,
    /// Host names and addresses.
    pub(crate) names: &'a [&'a str],
    pub(crate) serial: u64,
    /// The certificate's time is over.
    pub(crate) expired: bool,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can sign itself");
        let authority = Self { issuer, dir: tempfile::tempdir().expect("a directory") };
        fs::write(authority.certificate(), pem("CERTIFICATE", authority.issuer.der())).expect("written");
        authority
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The authority's own certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir().join("ca.pem")
    }

    /// The authority's own key.
    pub(crate) fn own_key(&self) -> PathBuf {
        let path = self.dir().join("ca-key.pem");
        put(&path, pem("PRIVATE KEY", self.issuer.key().serialized_der()).as_bytes());
        path
    }

    /// Signs, and writes two files whose names begin with `file`; files of that name are replaced.
    pub(crate) fn sign(&self, file: &str, subject: Subject<'_>) -> KeyFiles {
        let names: Vec<String> = subject.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names are names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !subject.common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, subject.common_name);
        }
        if subject.serial > 0 {
            params.serial_number = Some(SerialNumber::from(subject.serial));
        }
        if subject.expired {
            params.not_after = date_time_ymd(2000, 1, 1);
        }
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        let at = |end: &str| self.dir().join(format!("{file}{end}"));
        let files = KeyFiles { cert: at(".pem"), key: at("-key.pem") };
        put(&files.key, pem("PRIVATE KEY", key.serialized_der()).as_bytes());
        put(&files.cert, pem("CERTIFICATE", certificate.der()).as_bytes());
        files
    }

    /// The list of these revoked serial numbers, in DER.
    pub(crate) fn revoke(&self, serials: &[u64]) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            // The age of a list does not matter.
            next_update: date_time_ymd(2024, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("it can be signed").der().to_vec()
    }

    /// Writes a list of revoked serial numbers.
    pub(crate) fn revoke_in_file(&self, serials: &[u64]) -> PathBuf {
        let path = self.dir().join("revoked.crl");
        put(&path, &self.revoke(serials));
        path
    }
}

/// Replaces a file as tools do that exchange certificates: by renaming.
pub(crate) fn put(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).and_then(|()| fs::rename(new, path)).expect("written");
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}
