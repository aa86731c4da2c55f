//! Certificates without an authority.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P521_SHA512, SanType, date_time_ymd,
};
use rustls_pki_types::UnixTime;

use crate::error::Error;
use crate::files::KeyFiles;

/// Longer than that is as good as for ever, and dates have four digits.
const YEARS_MAX: u64 = 1000;
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
/// Bytes of base64 in a line of PEM.
const LINE_BYTES: usize = 64;

/// `cert.pem` and `key.pem` in `dir`, made if one of them is missing: a certificate that is its own authority, for
/// hosts that are names or addresses, good for so many years of 365 days, at most a thousand.
///
/// Files that are there are taken as they are, whatever they are for and however old. New ones are those of etcd's
/// `--auto-tls`: P-521, organisation `etcd`, the key readable for its owner alone, as is `dir` if it is made here.
///
/// # Errors
/// When files or directory can't be written, for no years, or when one of the hosts is neither name nor address.
pub fn self_signed(dir: &Path, hosts: &[String], years: u64) -> Result<KeyFiles, Error> {
    if years == 0 {
        return Err(Error::NoValidity);
    }
    let write_error = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(write_error(dir))?;
    let dir = dir.canonicalize().map_err(write_error(dir))?;
    let files = KeyFiles { cert: dir.join("cert.pem"), key: dir.join("key.pem") };
    if files.cert.exists() && files.key.exists() {
        return Ok(files);
    }
    tracing::warn!(years, "hosts[]" = ?hosts, "automatically generate certificates");
    let (cert, key) = make(hosts, years)
        .map_err(|error| Error::SelfSigned { hosts: hosts.to_vec(), fault: error.to_string() })?;
    // The key first: a reader that finds the certificate finds its key.
    write(&files.key, &pem("PRIVATE KEY", &key), 0o600).map_err(write_error(&files.key))?;
    tracing::info!(path = %files.key.display(), "created key file");
    write(&files.cert, &pem("CERTIFICATE", &cert), 0o644).map_err(write_error(&files.cert))?;
    tracing::info!(path = %files.cert.display(), "created cert file");
    Ok(files)
}

/// Certificate and key in DER.
fn make(hosts: &[String], years: u64) -> Result<(Vec<u8>, Vec<u8>), rcgen::Error> {
    let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(UnixTime::now().as_secs());
    let years = u32::try_from(years.min(YEARS_MAX)).expect("it is small");
    let mut params = CertificateParams::default();
    params.not_before = now;
    params.not_after = now + YEAR * years;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "etcd");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    for host in hosts.iter().filter(|host| !host.is_empty()) {
        params.subject_alt_names.push(match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.as_str().try_into()?),
        });
    }
    let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512)?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.der().to_vec(), key.serialize_der()))
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(LINE_BYTES) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

/// Writes a file as a whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let new: PathBuf = path.with_extension("tmp");
    // One that a crash has left could have another mode.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(new, path)
}
