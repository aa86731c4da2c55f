//! Certificates that are made here.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ferretcd_tls::{ClientConfig, KeyFiles, ServerConfig, self_signed};

use crate::support::{accept, objection};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn made_once_and_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let fixtures = dir.path().join("fixtures/client");
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let files = self_signed(&fixtures, &hosts, 1).expect("made");
    assert_eq!((mode(&fixtures), mode(&files.key)), (0o700, 0o600));
    let first = fs::read(&files.cert).expect("read");

    assert_eq!(self_signed(&fixtures, &[], 7).expect("found"), files);
    assert_eq!(fs::read(&files.cert).expect("read"), first);

    let believing =
        |files: &KeyFiles| ClientConfig { trusted_ca: Some(files.cert.clone()), ..Default::default() };
    accept(ServerConfig::new(files.clone()), believing(&files)).await.expect("it is its own authority");

    fs::remove_file(&files.key).expect("removed");
    self_signed(&fixtures, &["other.example".to_owned()], 1).expect("made again");
    assert_ne!(fs::read(&files.cert).expect("read"), first);
    let objected = objection(ServerConfig::new(files.clone()), believing(&files)).await;
    assert!(objected.contains("x509: certificate is valid for other.example, not localhost"), "{objected}");
}

#[test]
fn impossible_certificates_are_errors() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = self_signed(dir.path(), &[], 0).expect_err("no time at all").to_string();
    assert_eq!(error, "selfSignedCertValidity is invalid,it should be greater than 0");
    let error = self_signed(dir.path(), &["hé".to_owned()], 1).expect_err("no name").to_string();
    assert!(error.starts_with("make a certificate for [\"hé\"]: "), "{error}");
    self_signed(dir.path(), &[], u64::MAX).expect("for as good as ever");
    fs::write(dir.path().join("file"), "").expect("written");
    let error = self_signed(&dir.path().join("file/below"), &[], 1).expect_err("no directory").to_string();
    assert!(error.starts_with("write "), "{error}");
}

/// The files that etcd 3.4.23 wrote with `--auto-tls`: P-521, the key in SEC 1.
#[tokio::test]
async fn certificates_of_etcd_are_used() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let files = KeyFiles { cert: data.join("etcd-cert.pem"), key: data.join("etcd-key.pem") };
    // They expire some day, which this client does not check.
    let careless = ClientConfig { insecure_skip_verify: true, ..ClientConfig::default() };
    accept(ServerConfig::new(files), careless).await.expect("accepted");
}
