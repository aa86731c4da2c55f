//! Certificates that the libraries of tests can't make: `openssl ca` has, with keys and signatures as their names say, good
//! from 2020 to 2120.

use data_encoding::BASE64;

use super::{Case, Table};

macro_rules! fixture {
    ($name:literal, $end:literal) => {
        include_str!(concat!("../../data/", $name, "-", $end, ".pem"))
    };
}

macro_rules! case {
    ($title:literal, $name:literal, $rejection:expr, $here:expr) => {
        Case {
            name: $title,
            authorities: vec![der(fixture!($name, "ca"))],
            chain: vec![der(fixture!($name, "leaf"))],
            key: der(fixture!($name, "key")),
            rejection: $rejection,
            here: $here,
        }
    };
}

const UNIMPLEMENTED: &str = "tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly \
                             because of \"x509: cannot verify signature: algorithm unimplemented\" while";

pub(super) fn add(table: &mut Table) {
    let sha1 = "tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of \
                \"x509: cannot verify signature: insecure algorithm SHA1-RSA\" while trying to verify candidate \
                authority certificate \"sha1\")";
    let short = "tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because of \
                 \"crypto/rsa: 512-bit keys are insecure";
    table.0.extend([
        case!("RSA-PSS, with a salt of the hash's length", "pss", None, None),
        case!("RSA-PSS, with another salt", "pssmax", Some(UNIMPLEMENTED), None),
        case!("SHA-1", "sha1", Some(sha1), None),
        case!("an authority with RSA of 512 bits", "rsa512", Some(short), None),
        case!("an authority with RSA of 1024 bits, SHA-256", "rsa1024", None, None),
        case!("an authority with RSA of 1024 bits, SHA-384", "rsa1024sha384", None, Some(UNIMPLEMENTED)),
        case!("an authority on the curve P-224", "p224", None, Some(UNIMPLEMENTED)),
    ]);
}

fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with("---")).collect();
    BASE64.decode(body.as_bytes()).expect("base64")
}
