//! An authority that signs whatever a test needs, and what it has signed.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName,
    DnType, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
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

    /// The flags by which a member shows it to its peers, in connections of both directions.
    pub fn peer_flags(&self) -> [String; 2] {
        self.flags_with("--peer-")
    }

    fn flags_with(&self, begin: &str) -> [String; 2] {
        [("cert", &self.cert), ("key", &self.key)]
            .map(|(what, path)| format!("{begin}{what}-file={}", path.display()))
    }

    /// Takes the place of others.
    pub fn replace(&self, others: &Self) {
        for (new, old) in [(&self.key, &others.key), (&self.cert, &others.cert)] {
            put(old, &fs::read(new).expect("it was written"));
        }
    }
}

/// What a certificate says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// Empty for none.
    pub common_name: &'a str,
    /// Host names and addresses.
    pub names: &'a [&'a str],
    /// 0 for a random one.
    pub serial: u64,
    /// The certificate's time is over.
    pub expired: bool,
}

/// An authority and a directory for what it signs. Its functions panic when a file can't be written.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    /// A new authority.
    #[expect(clippy::new_without_default, reason = "each is another one")]
    pub fn new() -> Self {
        Self::named("authority")
    }

    /// A new authority with this name. Two of one name differ only by their signatures.
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

    /// Where everything is written.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The authority's own certificate, which makes others trust it.
    pub fn certificate(&self) -> PathBuf {
        self.dir().join("ca.pem")
    }

    /// The authority's own key.
    pub fn own_key(&self) -> PathBuf {
        let path = self.dir().join("ca-key.pem");
        put(&path, pem("PRIVATE KEY", self.issuer.key().serialized_der()).as_bytes());
        path
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
    pub fn sign(&self, common_name: &str, names: &[&str], serial: u64) -> Files {
        let subject = Subject { common_name, names, serial, expired: false };
        self.sign_as(&format!("{common_name}{serial}"), subject)
    }

    /// Signs, and writes two files whose names begin with `file`; files of that name are replaced.
    pub fn sign_as(&self, file: &str, subject: Subject<'_>) -> Files {
        let names: Vec<String> = subject.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names are names");
        params.distinguished_name = DistinguishedName::new();
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
        let files = Files { cert: at(".pem"), key: at("-key.pem") };
        put(&files.key, pem("PRIVATE KEY", key.serialized_der()).as_bytes());
        put(&files.cert, pem("CERTIFICATE", certificate.der()).as_bytes());
        files
    }

    /// The file with the list of these revoked serial numbers and no others, in DER.
    pub fn revoke(&self, serials: &[u64]) -> PathBuf {
        let path = self.dir().join("revoked.crl");
        put(&path, &self.revoked(serials));
        path
    }

    /// The list of these revoked serial numbers, in DER.
    pub fn revoked(&self, serials: &[u64]) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            // The age of a list does not matter, to etcd neither.
            next_update: date_time_ymd(2024, 1, 2),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).expect("it can be signed").der().to_vec()
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

/// The text form of bytes in DER.
pub fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64.encode(der))
}
