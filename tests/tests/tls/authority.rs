//! An authority that signs whatever a test needs.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

use crate::secured::Files;

/// An authority and a directory for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can sign itself");
        let authority = Self { issuer, dir: tempfile::tempdir().expect("a directory") };
        put(&authority.certificate(), pem("CERTIFICATE", authority.issuer.der()).as_bytes());
        authority
    }

    /// The authority's own certificate, for those who trust it.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The flag by which a server trusts it.
    pub(crate) fn trusted(&self) -> [String; 1] {
        [format!("--trusted-ca-file={}", self.certificate().display())]
    }

    /// A certificate with a common name and names of hosts.
    pub(crate) fn sign(&self, common_name: &str, hosts: &[&str], serial: u64) -> Files {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names are names");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        let at = |end: &str| self.dir.path().join(format!("{common_name}{end}"));
        let files = Files { cert: at(".pem"), key: at("-key.pem") };
        put(&files.key, pem("PRIVATE KEY", key.serialized_der()).as_bytes());
        put(&files.cert, pem("CERTIFICATE", certificate.der()).as_bytes());
        files
    }

    /// The file with the list of these revoked serial numbers and no others, in DER.
    pub(crate) fn revoke(&self, serials: &[u64]) -> PathBuf {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let path = self.dir.path().join("revoked.crl");
        put(&path, params.signed_by(&self.issuer).expect("it can be signed").der());
        path
    }
}

/// Replaces a file as tools do that exchange certificates: by renaming.
pub(crate) fn put(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).and_then(|()| fs::rename(new, path)).expect("written");
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}
