//! The client port with TLS, as users set it up: files, flags, stock etcdctl. The same tests run on real etcd.

mod chains;
mod listeners;
mod rejections;
mod secured;

use std::fs;

use ferretcd_testkit::certificates::{Authority, Files};
use ferretcd_tests::{Killable, on_every_process};
use ferretcd_tls::{ClientConfig, KeyFiles};

use crate::secured::Secured;

on_every_process! {
    with_certificates_on_both_sides => with_certificates_on_both_sides(),
    revoked_certificates => revoked_certificates(),
    hosts_of_certificates => hosts_of_certificates(),
    exchanged_certificates => exchanged_certificates(),
    certificates_of_its_own => certificates_of_its_own(),
}

async fn with_certificates_on_both_sides<C: Killable>() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.sign("server", &["localhost", "127.0.0.1"], 1);
    let flags = [&server.flags()[..], &authority.trusted(), &["--client-cert-auth".to_owned()]].concat();
    let Some(mut secured) = Secured::<C>::start(&flags).await else { return };

    let alice = authority.sign("alice", &[], 2);
    let as_alice = secured.as_client(&authority, Some(&alice));
    as_alice.succeeds(&["put", "a", "1"], "OK\n").await;
    as_alice.succeeds(&["get", "a"], "a\n1\n").await;
    // Requests to one endpoint have a URL in place of the host.
    let status = as_alice.stdout_of(&["endpoint", "status"]).await;
    assert!(status.starts_with("https://127.0.0.1:"), "{status}");
    secured.as_client(&authority, None).fails(&["get", "a"]).await;
    let unknown = other.sign("unknown", &[], 2);
    secured.as_client(&authority, Some(&unknown)).fails(&["get", "a"]).await;
    secured.as_client(&other, Some(&alice)).fails(&["get", "a"]).await;
    secured.in_the_clear().fails(&["get", "a"]).await;

    let client = ClientConfig {
        files: Some(KeyFiles { cert: alice.cert.clone(), key: alice.key.clone() }),
        trusted_ca: Some(authority.certificate()),
        ..ClientConfig::default()
    };
    let page = secured.page(client.clone(), "/health").await;
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains(r#""health":"true""#), "{page}");
    let page = secured.page(client, "/metrics").await;
    assert!(page.contains("etcd_server_has_leader 1"), "{page}");

    secured.server.stop().await.expect("it stops");
    let logs = secured.server.logs();
    assert!(logs.contains("rejected connection"), "{logs}");
    if !C::KIND.reference {
        assert!(logs.contains("serving client traffic securely"), "{logs}");
        assert!(logs.contains("tls: client didn't provide a certificate"), "{logs}");
        assert!(logs.contains("tls: first record does not look like a TLS handshake"), "{logs}");
    }
}

async fn revoked_certificates<C: Killable>() {
    let authority = Authority::new();
    let server = authority.sign("server", &["127.0.0.1"], 1);
    let list = authority.revoke(&[2]);
    let crl = format!("--client-crl-file={}", list.display());
    let flags = [&server.flags()[..], &authority.trusted(), &["--client-cert-auth".to_owned(), crl]].concat();
    let Some(secured) = Secured::<C>::start(&flags).await else { return };
    let (alice, bob) = (authority.sign("alice", &[], 2), authority.sign("bob", &[], 3));
    secured.as_client(&authority, Some(&alice)).fails(&["get", "a"]).await;
    secured.as_client(&authority, Some(&bob)).succeeds(&["get", "a"], "").await;
    authority.revoke(&[3]);
    secured.as_client(&authority, Some(&alice)).succeeds(&["get", "a"], "").await;
    secured.as_client(&authority, Some(&bob)).fails(&["get", "a"]).await;
}

async fn hosts_of_certificates<C: Killable>() {
    let authority = Authority::new();
    let server = authority.sign("server", &["127.0.0.1"], 1);
    let hosts = "--client-cert-allowed-hostname=a.example".to_owned();
    let flags = [&server.flags()[..], &authority.trusted(), &[hosts]].concat();
    let Some(secured) = Secured::<C>::start(&flags).await else { return };
    let welcome = authority.sign("welcome", &["x.example", "a.example"], 2);
    secured.as_client(&authority, Some(&welcome)).succeeds(&["get", "a"], "").await;
    let other = authority.sign("other", &["b.example"], 3);
    secured.as_client(&authority, Some(&other)).fails(&["get", "a"]).await;
}

async fn exchanged_certificates<C: Killable>() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = first.sign("server", &["127.0.0.1"], 1);
    let Some(secured) = Secured::<C>::start(&server.flags()).await else { return };
    secured.as_client(&first, None).succeeds(&["put", "a", "1"], "OK\n").await;
    second.sign("server", &["127.0.0.1"], 1).replace(&server);
    secured.as_client(&second, None).succeeds(&["get", "a"], "a\n1\n").await;
    secured.as_client(&first, None).fails(&["get", "a"]).await;
}

async fn certificates_of_its_own<C: Killable>() {
    let Some(mut secured) = Secured::<C>::start(&["--auto-tls".to_owned()]).await else { return };
    secured.without_verification().succeeds(&["put", "a", "1"], "OK\n").await;
    let made = secured.server.data_dir().join("fixtures/client");
    let files = Files { cert: made.join("cert.pem"), key: made.join("key.pem") };
    let read = || (fs::read(&files.cert).expect("it is there"), fs::read(&files.key).expect("it is there"));
    let first = read();
    secured.server.stop().await.expect("it stops");
    secured.server.restart().await.expect("it starts again");
    secured.without_verification().succeeds(&["get", "a"], "a\n1\n").await;
    assert_eq!(read(), first);
}
