//! The errors for files that can't be used.

use std::fs;
use std::path::PathBuf;

use ferretcd_testkit::certificates::{Authority, Subject};
use ferretcd_tls::{ClientConfig, ClientTls, KeyFiles, ServerConfig, ServerTls};

use crate::support::{mutual_server, server, sign};

struct Files {
    authority: Authority,
    good: KeyFiles,
}

impl Files {
    fn new() -> Self {
        let authority = Authority::named("ca");
        let good = sign(&authority, "good", Subject::default());
        Self { authority, good }
    }

    fn put(&self, name: &str, content: &str) -> PathBuf {
        let path = self.authority.dir().join(name);
        fs::write(&path, content).expect("written");
        path
    }

    /// The error text with `DIR` for the directory.
    fn error(&self, config: ServerConfig) -> String {
        let error = ServerTls::load(config).expect_err("rejected").to_string();
        error.replace(self.authority.dir().to_str().expect("a plain path"), "DIR")
    }

    fn check(&self, files: KeyFiles, expected: &str) {
        assert_eq!(self.error(ServerConfig::new(files)), expected);
    }

    fn check_cert(&self, content: &str, expected: &str) {
        self.check(KeyFiles { cert: self.put("x.pem", content), ..self.good.clone() }, expected);
    }

    fn check_key(&self, content: &str, expected: &str) {
        self.check(KeyFiles { key: self.put("x.pem", content), ..self.good.clone() }, expected);
    }
}

#[test]
fn certificates_and_keys() {
    let files = Files::new();
    let other = sign(&files.authority, "other", Subject::default());
    files.check(
        KeyFiles { cert: "/nowhere/a.pem".into(), ..files.good.clone() },
        "read \"/nowhere/a.pem\": No such file or directory (os error 2)",
    );
    files.check(
        KeyFiles { key: other.key, ..files.good.clone() },
        "use certificate \"DIR/good.pem\" with key \"DIR/other-key.pem\": the key is that of another certificate",
    );
    files.check_cert("", "find a certificate in \"DIR/x.pem\": it needs a PEM section CERTIFICATE");
    for damaged in
        ["-----BEGIN CERTIFICATE-----\nAAAA\n", "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n"]
    {
        files.check_cert(damaged, "find a certificate in \"DIR/x.pem\": it needs a PEM section CERTIFICATE");
    }
    let good = fs::read_to_string(&files.good.cert).expect("read");
    let cut = good.replace("-----BEGIN CERTIFICATE-----\nMI", "-----BEGIN CERTIFICATE-----\nMM");
    files.check_cert(&cut, "use the certificate in \"DIR/x.pem\": x509: malformed certificate");
    let no_key = "find a private key in \"DIR/x.pem\": it needs a PEM section PRIVATE KEY, EC PRIVATE KEY or RSA \
                  PRIVATE KEY";
    files.check_key("", no_key);
    files.check_key(
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        "use the private key in \"DIR/x.pem\": it is encrypted; store it without a password",
    );
    let damaged = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let files_of = KeyFiles { key: files.put("y.pem", damaged), ..files.good.clone() };
    let error = files.error(ServerConfig::new(files_of));
    assert!(error.starts_with("use the private key in \"DIR/y.pem\": "), "{error}");
}

/// What etcd accepts and rejects of certificates and keys, in whichever dress.
#[test]
fn dresses_of_certificates_and_keys() {
    let files = Files::new();
    let read = |path| fs::read_to_string(path).expect("read");
    let (cert, key) = (read(&files.good.cert), read(&files.good.key));
    let other = read(&sign(&files.authority, "other", Subject::default()).cert);
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let starts = |cert: &str, key: &str| {
        let files = KeyFiles { cert: files.put("c.pem", cert), key: files.put("k.pem", key) };
        ServerTls::load(ServerConfig::new(files)).is_ok()
    };
    for (what, cert, is_good) in [
        ("line ends of other systems", cert.replace('\n', "\r\n"), true),
        ("text around", format!("text\n{cert}text"), true),
        ("no last line end", cert.trim_end().to_owned(), true),
        ("blanks", cert.replace('\n', " \t\n"), true),
        ("a header", cert.replacen('\n', "\nKey: value\n\n", 1), true),
        ("the key in front", format!("{key}{cert}"), true),
        ("a damaged certificate behind", format!("{cert}{damaged}"), true),
        ("a section that does not end in front", format!("-----BEGIN CERTIFICATE-----\n{cert}"), true),
        ("a byte order mark on a line of its own", format!("\u{feff}\n{cert}"), true),
        ("a byte order mark", format!("\u{feff}{cert}"), false),
        ("another label", cert.replace("CERTIFICATE", "X509 CERTIFICATE"), false),
        ("another certificate in front", format!("{other}{cert}"), false),
        ("a damaged certificate in front", format!("{damaged}{cert}"), false),
        ("blanks in front of lines", cert.replace("-----BEGIN", " -----BEGIN"), false),
        ("line ends of very old systems", cert.replace('\n', "\r"), false),
    ] {
        assert_eq!(starts(&cert, &key), is_good, "{what}");
    }
    for (what, key, is_good) in [
        ("another label", key.replace("PRIVATE", "EC PRIVATE"), true),
        ("a label of its own", key.replace("PRIVATE", "MY PRIVATE"), true),
        ("a certificate in front", format!("{cert}{key}"), true),
        ("line ends of other systems", key.replace('\n', "\r\n"), true),
        ("a byte order mark", format!("\u{feff}{key}"), false),
        ("a certificate alone", cert.clone(), false),
    ] {
        assert_eq!(starts(&cert, &key), is_good, "{what}");
    }
}

/// Every section of a file of authorities has to be a certificate, whatever it is called; damaged ones are none.
#[test]
fn dresses_of_authorities() {
    let files = Files::new();
    let read = |path| fs::read_to_string(path).expect("read");
    let (ca, key) = (read(&files.authority.certificate()), read(&files.good.key));
    for (what, file, is_good) in [
        ("as it is", ca.clone(), true),
        ("twice", format!("{ca}{ca}"), true),
        ("text around", format!("text\n{ca}text"), true),
        ("another label", ca.replace("CERTIFICATE", "ANYTHING"), true),
        ("a section that is not in base64", format!("{ca}-----BEGIN A-----\n%\n-----END A-----\n"), true),
        ("the first one hidden by a byte order mark", format!("\u{feff}{ca}{ca}"), true),
        ("the only one hidden by a byte order mark", format!("\u{feff}{ca}"), false),
        ("a key beside it", format!("{ca}{key}"), false),
        (
            "a section that is no certificate",
            format!("{ca}-----BEGIN A-----\nAAAA\n-----END A-----\n"),
            false,
        ),
    ] {
        let trusted_ca = Some(files.put("ca.pem", &file));
        let config = ServerConfig { trusted_ca, ..server(&files.authority) };
        assert_eq!(ServerTls::load(config).is_ok(), is_good, "{what}");
    }
}

#[test]
fn authorities_and_lists() {
    let files = Files::new();
    let trusting = |path| ServerConfig { trusted_ca: Some(path), ..server(&files.authority) };
    let expected = "find a trusted authority in \"DIR/x.pem\": it needs a PEM section CERTIFICATE";
    assert_eq!(files.error(trusting(files.put("x.pem", ""))), expected);
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let error = files.error(trusting(files.put("y.pem", damaged)));
    assert!(error.starts_with("use the certificate in \"DIR/y.pem\": "), "{error}");

    let revoking = |path| ServerConfig { revoked: Some(path), ..mutual_server(&files.authority) };
    let error = files.error(revoking(files.put("z.crl", "")));
    assert!(error.starts_with("read the list of revoked certificates \"DIR/z.crl\": "), "{error}");
    let certificate = fs::read_to_string(files.authority.certificate()).expect("read");
    let error = files.error(revoking(files.put("z.crl", &certificate)));
    assert!(error.contains("no section is X509 CRL"), "{error}");
    let list = files.authority.revoked(&[1]);
    fs::write(files.authority.dir().join("z.crl"), &list[..list.len() - 1]).expect("written");
    let error = files.error(revoking(files.authority.dir().join("z.crl")));
    assert!(error.contains("x509: malformed crl"), "{error}");
}

#[test]
fn clients_read_their_files_at_once() {
    let nowhere = KeyFiles { cert: "/nowhere/a.pem".into(), key: "/nowhere/b.pem".into() };
    let config = ClientConfig { files: Some(nowhere), insecure_skip_verify: true, ..ClientConfig::default() };
    let error = ClientTls::load(config).expect_err("rejected").to_string();
    assert_eq!(error, "read \"/nowhere/a.pem\": No such file or directory (os error 2)");
}
