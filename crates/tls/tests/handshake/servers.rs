//! Which servers a client accepts, and which protocols the two speak.

use std::time::Duration;

use ferretcd_testkit::certificates::{Authority, Subject};
use ferretcd_tls::{Allowed, ClientConfig, ClientTls, Protocol, ServerConfig, ServerTls, Version};
use tokio::io::AsyncWriteExt;

use crate::support::{accept, client, objection, remote, server, shake, sign};

#[tokio::test]
async fn server_proves_its_name() {
    let (authority, other) = (Authority::named("ca"), Authority::named("other"));
    shake_well(server(&authority), client(&authority)).await;
    let objected = objection(server(&authority), client(&other)).await;
    let expected = "shake hands with localhost: tls: failed to verify certificate: x509: certificate signed by unknown \
                    authority";
    assert_eq!(objected, expected);

    let elsewhere = ClientConfig { server_name: Some("example.com".to_owned()), ..client(&authority) };
    let objected = objection(server(&authority), elsewhere).await;
    assert!(objected.contains("x509: certificate is valid for localhost, not example.com"), "{objected}");

    let careless = ClientConfig { insecure_skip_verify: true, ..ClientConfig::default() };
    shake_well(server(&authority), careless).await;
    let system = objection(server(&authority), ClientConfig::default()).await;
    assert!(system.contains("x509: certificate signed by unknown authority"), "{system}");
}

#[tokio::test]
async fn only_allowed_servers_are_accepted() {
    let authority = Authority::named("ca");
    let asking = |name: &str| ClientConfig {
        allowed: Allowed::CommonNames(vec![name.to_owned()]),
        ..client(&authority)
    };
    shake_well(server(&authority), asking("server")).await;
    let objected = objection(server(&authority), asking("alice")).await;
    assert_eq!(objected, "shake hands with localhost: client certificate authentication failed");
    // A name that no authority vouches for proves nothing.
    let careless = ClientConfig { insecure_skip_verify: true, ..asking("server") };
    let objected = objection(server(&authority), careless).await;
    assert_eq!(objected, "shake hands with localhost: client certificate authentication failed");
}

#[tokio::test]
async fn impossible_hosts_are_errors() {
    let authority = Authority::named("ca");
    let client = ClientTls::load(client(&authority)).expect("good files");
    let (near, _far) = tokio::io::duplex(64);
    let error = client.connect("no host", near).await.map(drop).expect_err("rejected").to_string();
    assert_eq!(error, "prove the name of \"no host\": it is neither a host name nor an address");
}

#[tokio::test]
async fn versions_and_suites() {
    async fn speak(server_speaks: Protocol, client_speaks: Protocol) -> Option<String> {
        let authority = Authority::named("ca");
        let server = ServerConfig { protocol: server_speaks, ..server(&authority) };
        let client = ClientConfig { protocol: client_speaks, ..client(&authority) };
        let (server, client) = (ServerTls::load(server).ok()?, ClientTls::load(client).ok()?);
        let stream = shake(&server, &client).await.1.ok()?;
        let suite = stream.get_ref().1.negotiated_cipher_suite()?;
        Some(format!("{:?}", suite.suite()))
    }
    let only = |version| Protocol::new(Some(version), Some(version), &[]).expect("something is left");
    let suites = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        Protocol::new(None, None, &names).expect("something is left")
    };
    let any = Protocol::default;
    assert!(speak(any(), any()).await.expect("spoken").starts_with("TLS13_"));
    assert!(speak(any(), only(Version::Tls12)).await.expect("spoken").starts_with("TLS_ECDHE_"));
    assert_eq!(speak(only(Version::Tls12), only(Version::Tls13)).await, None);
    assert_eq!(speak(only(Version::Tls13), only(Version::Tls12)).await, None);

    let chacha = suites(&["TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_RSA_WITH_RC4_128_SHA"]);
    let spoken = speak(chacha.clone(), only(Version::Tls12)).await;
    assert_eq!(spoken.as_deref(), Some("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"));
    assert!(speak(chacha, any()).await.expect("spoken").starts_with("TLS13_"), "those can't be chosen");
    // The server's certificate is ECDSA.
    let rsa = suites(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]);
    assert_eq!(speak(rsa, only(Version::Tls12)).await, None);
}

#[tokio::test]
async fn http_is_agreed_on() {
    async fn agreed(offered: &[&str]) -> Result<Option<Vec<u8>>, String> {
        let authority = Authority::named("ca");
        let alpn = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let server = ServerTls::load(server(&authority)).expect("good files");
        let client = ClientTls::load(ClientConfig { alpn, ..client(&authority) }).expect("good files");
        let accepted = shake(&server, &client).await.0.map_err(|rejected| rejected.reason.to_string())?;
        Ok(accepted.stream.get_ref().1.alpn_protocol().map(Vec::from))
    }
    assert_eq!(agreed(&["http/1.1", "h2"]).await, Ok(Some(b"h2".to_vec())));
    assert_eq!(agreed(&["http/1.1"]).await, Ok(Some(b"http/1.1".to_vec())));
    assert_eq!(agreed(&[]).await, Ok(None));
    agreed(&["h3"]).await.expect_err("nothing in common");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_not_tls_are_rejected() {
    async fn check(said: &[u8], hangs_up: bool, expected: &str) {
        let authority = Authority::named("ca");
        let config = ServerConfig { handshake_timeout: Duration::from_secs(3), ..server(&authority) };
        let server = ServerTls::load(config).expect("good files");
        let (mut near, far) = tokio::io::duplex(64 * 1024);
        near.write_all(said).await.expect("there is room");
        let near = (!hangs_up).then_some(near);
        let rejected = server.accept(far, remote()).await.map(drop).expect_err("that is no client");
        assert_eq!(rejected.reason.to_string(), expected);
        assert_eq!(rejected.to_string(), format!("accept the TLS connection of 192.0.2.1:40000: {expected}"));
        rejected.log();
        drop(near);
    }
    check(
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        false,
        "tls: first record does not look like a TLS handshake",
    )
    .await;
    check(b"", true, "EOF").await;
    check(b"\x16\x03", true, "EOF").await;
    check(b"\x16\x03", false, "i/o timeout").await;
}

#[tokio::test]
async fn silent_clients_take_no_permit() {
    let authority = Authority::named("ca");
    let config = ServerConfig { handshakes_max: 1, ..server(&authority) };
    let server = ServerTls::load(config).expect("good files");
    let client = ClientTls::load(client(&authority)).expect("good files");
    let (_silent, far) = tokio::io::duplex(64);
    let waiting = server.accept(far, remote());
    tokio::select! {
        biased;
        _ = waiting => panic!("nothing was said"),
        (accepted, _) = shake(&server, &client) => drop(accepted.expect("accepted")),
    }
}

#[tokio::test]
async fn expired_certificate_is_presented() {
    let authority = Authority::named("ca");
    let subject = Subject { names: &["localhost"], expired: true, ..Subject::default() };
    let config = ServerConfig::new(sign(&authority, "old", subject));
    let objected = objection(config.clone(), client(&authority)).await;
    assert!(objected.contains("expired"), "{objected}");
    shake_well(config, ClientConfig { insecure_skip_verify: true, ..ClientConfig::default() }).await;
}

async fn shake_well(server: ServerConfig, client: ClientConfig) {
    accept(server, client).await.expect("accepted");
}
