//! Chains of certificates of all kinds: ferretcd and etcd accept the same, and reject the others with the same words.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use ferretcd_testkit::certificates::{Authority, put};
use ferretcd_testkit::chains::{Case, certificates, clients};
use ferretcd_tests::{Cluster, Etcd37, Ferretcd, Killable, Process, report};
use ferretcd_tls::{ClientConfig, ClientTls, KeyFiles};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::secured::{DONE_WITHIN, Secured, try_start};

#[tokio::test]
async fn on_ferretcd() {
    chains_of_clients::<Process<Ferretcd>>(Case::rejection_here).await;
}

#[tokio::test]
async fn on_etcd() {
    chains_of_clients::<Process<Etcd37>>(|case| case.rejection).await;
}

async fn chains_of_clients<C: Killable>(expected: fn(&Case) -> Option<&'static str>) {
    if let Err(missing) = C::available() {
        // A missing ferretcd is a failure.
        assert!(C::KIND.reference, "failed to {missing}");
        report::skipped(C::KIND.name, &format!("failed to {missing}"));
        return;
    }
    let authority = Authority::new();
    let cases = clients();
    let trusted = authority.dir().join("authorities.pem");
    let all: Vec<_> = cases.iter().flat_map(|case| case.authorities.clone()).collect();
    put(&trusted, certificates(&all).as_bytes());
    let own = authority.sign("server", &["127.0.0.1"], 1);
    let trusted = format!("--trusted-ca-file={}", trusted.display());
    let flags = [&own.flags()[..], &[trusted, "--client-cert-auth".to_owned()]].concat();
    let started = try_start::<C>(&flags).await;
    let mut secured = started.unwrap_or_else(|error| panic!("failed to {error}"));

    let mut outcomes = Vec::new();
    for case in &cases {
        let config = ClientConfig {
            files: Some(files(authority.dir(), case)),
            trusted_ca: Some(authority.certificate()),
            ..ClientConfig::default()
        };
        outcomes.push(knock(&secured, ClientTls::load(config).expect(case.name)).await);
    }
    // By then everything is in the log.
    secured.server.stop().await.expect("it stops");
    let logs = secured.server.logs();
    let faults: Vec<_> = cases
        .iter()
        .zip(outcomes)
        .filter_map(|(case, (from, is_accepted))| fault(case, expected(case), from, is_accepted, &logs))
        .collect();
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// What is not as expected.
fn fault(
    case: &Case,
    expected: Option<&str>,
    from: SocketAddr,
    is_accepted: bool,
    logs: &str,
) -> Option<String> {
    let from = format!("\"remote-addr\":\"{from}\"");
    let is_rejection =
        |line: &&str| line.contains("rejected connection on client endpoint") && line.contains(&from);
    let found = logs.lines().rfind(is_rejection);
    let is_good = match (expected, found) {
        (Some(text), Some(line)) => {
            !is_accepted && line.contains(&format!("\"error\":\"{}", text.replace('"', "\\\"")))
        }
        (None, None) => is_accepted,
        _ => false,
    };
    (!is_good).then(|| {
        format!("{}:\n  expected {expected:?}\n  found    {found:?}, accepted: {is_accepted}", case.name)
    })
}

fn files(dir: &Path, case: &Case) -> KeyFiles {
    let files = KeyFiles { cert: dir.join("chain.pem"), key: dir.join("chain-key.pem") };
    let written =
        fs::write(&files.cert, case.chain_pem()).and_then(|()| fs::write(&files.key, case.key_pem()));
    written.expect("written");
    files
}

/// The address of the client, and whether it gets a page.
async fn knock<C: Cluster>(secured: &Secured<C>, client: ClientTls) -> (SocketAddr, bool) {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, secured.port)).await.expect("it listens");
    let from = socket.local_addr().expect("it has one");
    let page = async {
        let mut stream = client.connect("127.0.0.1", socket).await.ok()?;
        let request = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.ok()?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.ok()?;
        response.starts_with(b"HTTP/1.1 200").then_some(())
    };
    (from, timeout(DONE_WITHIN, page).await.expect("it responds").is_some())
}
