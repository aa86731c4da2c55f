//! An authority that signs whatever a test needs, and what it has signed.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ferretcd_tls::KeyFiles;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

/// A certificate and its key.
#[derive(Clone, Debug)]
pub struct Files {
    /// PEM.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Files {
    /// The flags by which a server shows it to clients.
    pub fn flags(&self) -> [String; 2] {
        self.flags_with("--")
    }

    /// The flags by which a member shows it to the others, both to those it calls and to those who call it.
    pub fn peer_flags(&self) -> [String; 2] {
        self.flags_with("--peer-")
    }

    fn flags_with(&self, begin: &str) -> [String; 2] {
        [("cert", &self.cert), ("key", &self.key)]
            .map(|(what, path)| format!("{begin}{what}-file={}", path.display()))
    }

    /// For those who connect.
    pub fn key_files(&self) -> KeyFiles {
        KeyFiles { cert: self.cert.clone(), key: self.key.clone() }
    }

    /// Takes the place of others.
    pub fn replace(&self, others: &Self) {
        for (new, old) in [(&self.key, &others.key), (&self.cert, &others.cert)] {
            put(old, &fs::read(new).expect("it was written"));
        }
    }
}

/// An authority and a directory for what it signs.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    /// An authority that nobody knows yet.
    ///
    /// # Panics
    ///
    /// As all of its functions do, when a file can't be written.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        Self::named("authority")
    }

    /// The same with another name. Whoever trusts one of that name sees only by the signature that it is another one.
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("it can sign itself");
        let authority = Self { issuer, dir: tempfile::tempdir().expect("a directory") };
        put(&authority.certificate(), pem("CERTIFICATE", authority.issuer.der()).as_bytes());
        authority
    }

    /// The authority's own certificate, for those who trust it.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The flag by which a server trusts it.
    pub fn trusted(&self) -> [String; 1] {
        [format!("--trusted-ca-file={}", self.certificate().display())]
    }

    /// The flag by which a member trusts it.
    pub fn peer_trusted(&self) -> [String; 1] {
        [format!("--peer-trusted-ca-file={}", self.certificate().display())]
    }

    /// A certificate with a common name and names or addresses of hosts. It takes the place of the one with the same
    /// common name and number that was signed before.
    pub fn sign(&self, common_name: &str, hosts: &[&str], serial: u64) -> Files {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names are names");
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed");
        let at = |end: &str| self.dir.path().join(format!("{common_name}{serial}{end}"));
        let files = Files { cert: at(".pem"), key: at("-key.pem") };
        put(&files.key, pem("PRIVATE KEY", key.serialized_der()).as_bytes());
        put(&files.cert, pem("CERTIFICATE", certificate.der()).as_bytes());
        files
    }

    /// The file with the list of these revoked serial numbers and no others, in DER.
    pub fn revoke(&self, serials: &[u64]) -> PathBuf {
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
///
/// # Panics
///
/// When it can't be written.
pub fn put(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).and_then(|()| fs::rename(new, path)).expect("written");
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}
