//! Chains of certificates of all kinds, at both ends.

use std::fs;
use std::path::Path;

use ferretcd_testkit::certificates::{Authority, put};
use ferretcd_testkit::chains::{Case, certificates, clients, servers};
use ferretcd_tls::{ClientConfig, ClientTls, KeyFiles, ServerConfig, ServerTls};

use crate::support::{client, server, shake};

/// One file for the authorities of all cases: each has to find its own.
fn trusted(dir: &Path, cases: &[Case]) -> std::path::PathBuf {
    let all: Vec<_> = cases.iter().flat_map(|case| case.authorities.clone()).collect();
    let path = dir.join("authorities.pem");
    put(&path, certificates(&all).as_bytes());
    path
}

fn files(dir: &Path, case: &Case) -> KeyFiles {
    let files = KeyFiles { cert: dir.join("chain.pem"), key: dir.join("chain-key.pem") };
    fs::write(&files.cert, case.chain_pem())
        .and_then(|()| fs::write(&files.key, case.key_pem()))
        .expect("written");
    files
}

/// Compares the reason for a rejection, if there was one.
fn compare(case: &Case, found: Option<&str>, faults: &mut Vec<String>) {
    let expected = case.rejection_here();
    let is_equal = match (expected, found) {
        (Some(expected), Some(found)) => found.starts_with(expected),
        (expected, found) => expected == found,
    };
    if !is_equal {
        faults.push(format!("{}:\n  expected {expected:?}\n  found    {found:?}", case.name));
    }
}

#[tokio::test]
async fn chains_of_clients() {
    let authority = Authority::named("ca");
    let cases = clients();
    assert!(cases.len() > 90, "{} cases", cases.len());
    let trusted_ca = Some(trusted(authority.dir(), &cases));
    let server = ServerTls::load(ServerConfig { trusted_ca, ..server(&authority) }).expect("good files");
    let mut faults = Vec::new();
    for case in &cases {
        let files = Some(files(authority.dir(), case));
        let client = ClientTls::load(ClientConfig { files, ..client(&authority) }).expect(case.name);
        let rejected = shake(&server, &client).await.0.err().map(|rejected| rejected.reason.to_string());
        compare(case, rejected.as_deref(), &mut faults);
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn chains_of_servers() {
    let authority = Authority::named("ca");
    let cases = servers();
    let trusted_ca = Some(trusted(authority.dir(), &cases));
    let client = ClientTls::load(ClientConfig { trusted_ca, ..ClientConfig::default() }).expect("good files");
    let mut faults = Vec::new();
    for case in &cases {
        let server = ServerTls::load(ServerConfig::new(files(authority.dir(), case))).expect(case.name);
        let objected = shake(&server, &client).await.1.err().map(|error| error.to_string());
        let objected = objected.map(|text| text.replace("shake hands with localhost: ", ""));
        compare(case, objected.as_deref(), &mut faults);
    }
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}
