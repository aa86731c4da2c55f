//! Which clients a server accepts.

use ferretcd_testkit::certificates::{Authority, Subject, pem, put};
use ferretcd_tls::{Allowed, ClientConfig, KeyFiles, PeerIdentity, Protocol, ServerConfig, Version};

use crate::support::{accept, alice, client, client_as, mutual_server, objection, rejection, server, sign};

fn only(version: Version) -> Protocol {
    Protocol::new(Some(version), Some(version), &[]).expect("a version is something")
}

#[tokio::test]
async fn identity_has_the_names_in_the_certificate() {
    let authority = Authority::named("ca");
    let names = ["a.example", "*.b.example", "192.0.2.7", "::1"];
    let subject = Subject { names: &names, ..alice() };
    let expected = PeerIdentity {
        common_name: "alice".into(),
        dns_names: ["a.example", "*.b.example"].map(str::to_owned).into(),
        ip_addresses: vec!["192.0.2.7".parse().expect("an address"), "::1".parse().expect("an address")],
    };
    for version in [Version::Tls12, Version::Tls13] {
        let server = ServerConfig { protocol: only(version), ..mutual_server(&authority) };
        let identity = accept(server, client_as(&authority, subject)).await.expect("accepted");
        assert_eq!(identity.as_deref(), Some(&expected), "{version:?}");
    }
}

#[tokio::test]
async fn clients_without_certificates_have_no_identity() {
    let authority = Authority::named("ca");
    let identity = accept(server(&authority), client_as(&authority, alice())).await.expect("accepted");
    assert_eq!(identity, None);
}

#[tokio::test]
async fn either_setting_requires_a_certificate() {
    let authority = Authority::named("ca");
    let asking = ServerConfig { client_cert_auth: false, ..mutual_server(&authority) };
    for version in [Version::Tls12, Version::Tls13] {
        let server = ServerConfig { protocol: only(version), ..asking.clone() };
        let rejection = rejection(server, client(&authority)).await;
        assert_eq!(rejection, "tls: client didn't provide a certificate", "{version:?}");
    }
}

#[tokio::test]
async fn certificates_of_other_authorities_are_rejected() {
    let (authority, other) = (Authority::named("ca"), Authority::named("ca"));
    let stranger = ClientConfig { files: Some(sign(&other, "client", alice())), ..client(&authority) };
    let rejection = rejection(mutual_server(&authority), stranger).await;
    let expected = "tls: failed to verify certificate: x509: certificate signed by unknown authority (possibly because \
                    of \"x509: ECDSA verification failure\" while trying to verify candidate authority certificate \"ca\")";
    assert_eq!(rejection, expected);
}

#[tokio::test]
async fn expired_certificates_are_rejected() {
    let authority = Authority::named("ca");
    let expired = client_as(&authority, Subject { expired: true, ..alice() });
    let rejection = rejection(mutual_server(&authority), expired).await;
    let expected =
        "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time ";
    assert!(rejection.starts_with(expected), "{rejection}");
    assert!(rejection.ends_with(" is after 2000-01-01T00:00:00Z"), "{rejection}");
}

#[tokio::test]
async fn revoked_certificates_are_rejected() {
    let authority = Authority::named("ca");
    let bob = Subject { common_name: "bob", serial: 0xb0b, ..Subject::default() };
    let server = ServerConfig {
        revoked: Some(authority.revoke(&[0x1, 0xa11ce, 0xffff_ffff_ffff])),
        ..mutual_server(&authority)
    };
    let text = "transport: certificate serial 0a11ce revoked";
    assert_eq!(rejection(server.clone(), client_as(&authority, alice())).await, text);
    accept(server.clone(), client_as(&authority, bob)).await.expect("bob is not on the list");

    let path = server.revoked.as_deref().expect("set above");
    put(path, pem("X509 CRL", &authority.revoked(&[0xa11ce])).as_bytes());
    assert_eq!(rejection(server, client_as(&authority, alice())).await, text, "in PEM");
}

/// What a client is told, which is what its log has.
#[tokio::test]
async fn rejected_clients_get_the_alerts_of_go() {
    async fn check(server: &ServerConfig, client: ClientConfig, expected: &str) {
        // With TLS 1.3 a client takes itself for accepted first.
        let server = ServerConfig { protocol: only(Version::Tls12), ..server.clone() };
        let told = objection(server, client).await;
        assert_eq!(told, format!("shake hands with localhost: remote error: tls: {expected}"));
    }
    let (authority, other) = (Authority::named("ca"), Authority::named("other"));
    let server = mutual_server(&authority);
    let stranger = ClientConfig { files: Some(sign(&other, "stranger", alice())), ..client(&authority) };
    check(&server, stranger, "unknown certificate authority").await;
    let expired = client_as(&authority, Subject { expired: true, ..alice() });
    check(&server, expired, "expired certificate").await;
    check(&server, client(&authority), "certificate required").await;
    let allowed = Allowed::CommonNames(vec!["bob".to_owned()]);
    let choosy = ServerConfig { allowed, ..server.clone() };
    check(&choosy, client_as(&authority, alice()), "bad certificate").await;
    let revoking = ServerConfig { revoked: Some(authority.revoke(&[0xa11ce])), ..server.clone() };
    check(&revoking, client_as(&authority, alice()), "bad certificate").await;
}

/// What a server is told by a client that does not trust it.
#[tokio::test]
async fn rejected_servers_get_the_alert_of_go() {
    let (authority, other) = (Authority::named("ca"), Authority::named("other"));
    let expired = Subject { names: &["localhost"], expired: true, ..Subject::default() };
    let elsewhere = Subject { names: &["a.example"], ..Subject::default() };
    let allowed = Allowed::CommonNames(vec!["alice".to_owned()]);
    let choosy = ClientConfig { allowed, ..client(&authority) };
    for (server, client) in [
        (server(&authority), client(&other)),
        (ServerConfig::new(sign(&authority, "expired", expired)), client(&authority)),
        (ServerConfig::new(sign(&authority, "elsewhere", elsewhere)), client(&authority)),
        (server(&authority), choosy),
    ] {
        assert_eq!(rejection(server, client).await, "remote error: tls: bad certificate");
    }
}

#[tokio::test]
async fn only_allowed_names_are_accepted() {
    async fn check(authority: &Authority, allowed: Allowed, is_allowed: bool) {
        let subject = Subject { names: &["a.example", "192.0.2.7"], ..alice() };
        let server = ServerConfig { allowed: allowed.clone(), ..mutual_server(authority) };
        match accept(server, client_as(authority, subject)).await {
            Ok(_) => assert!(is_allowed, "{allowed:?}"),
            Err(rejected) => {
                assert!(!is_allowed, "{allowed:?}");
                assert_eq!(rejected.reason.to_string(), "client certificate authentication failed");
                assert_eq!(rejected.server_name, "localhost");
                let identity = rejected.identity.expect("the certificate was genuine");
                assert_eq!(&*identity.common_name, "alice");
            }
        }
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let authority = Authority::named("ca");
    check(&authority, Allowed::CommonNames(names(&["bob", "alice"])), true).await;
    check(&authority, Allowed::CommonNames(names(&["bob", "Alice"])), false).await;
    check(&authority, Allowed::Hostnames(names(&["x.example", "A.example"])), true).await;
    check(&authority, Allowed::Hostnames(names(&["192.0.2.7"])), true).await;
    check(&authority, Allowed::Hostnames(names(&["alice"])), false).await;
}

#[tokio::test]
async fn remote_address_is_checked_if_configured() {
    async fn check(authority: &Authority, names: &[&str], expected: Option<&str>) {
        let server = ServerConfig { check_remote: true, ..mutual_server(authority) };
        let client = client_as(authority, Subject { names, ..alice() });
        let rejected = accept(server, client).await.err().map(|rejected| rejected.reason.to_string());
        assert_eq!(rejected.as_deref(), expected, "{names:?}");
    }
    let authority = Authority::named("ca");
    check(&authority, &[], None).await;
    check(&authority, &["192.0.2.1"], None).await;
    let expected = "x509: certificate is valid for 192.0.2.2, not 192.0.2.1";
    check(&authority, &["192.0.2.2"], Some(expected)).await;
}

#[tokio::test]
async fn certificate_of_an_authority_is_accepted() {
    let authority = Authority::named("ca");
    let alone = Authority::named("alone");
    // One certificate for everything, as `openssl req -x509` makes it.
    let files = ferretcd_tls::self_signed(alone.dir(), &["localhost".to_owned()], 1).expect("made");
    let trusting = |ca: &KeyFiles| ServerConfig { trusted_ca: Some(ca.cert.clone()), ..server(&authority) };
    let client = ClientConfig { files: Some(files.clone()), ..client(&authority) };
    // That one is for servers alone.
    let rejection = rejection(trusting(&files), client).await;
    let expected = "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage";
    assert_eq!(rejection, expected);

    let ca = authority.certificate();
    let own = authority.own_key();
    let client =
        ClientConfig { files: Some(KeyFiles { cert: ca, key: own }), ..crate::support::client(&authority) };
    let identity = accept(mutual_server(&authority), client)
        .await
        .expect("accepted")
        .expect("the client has a certificate");
    assert_eq!(&*identity.common_name, "ca");
}
