//! Both ends with a certificate of the other's authority, and without its key.

use std::sync::Arc;

use ferretcd_testkit::certificates::{Authority, Subject};
use ferretcd_tls::{ClientTls, Protocol, ServerConfig, ServerTls, Version};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, SignatureScheme};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{client, mutual_server, remote, sign};

/// A genuine certificate with the key of another.
#[derive(Debug)]
struct Stolen(Arc<CertifiedKey>);

impl Stolen {
    fn of(authority: &Authority) -> Arc<Self> {
        let subject = Subject { common_name: "alice", names: &["localhost"], ..Subject::default() };
        let genuine = sign(authority, "genuine", subject);
        let other = sign(authority, "other", subject);
        let chain = vec![CertificateDer::from_pem_file(genuine.cert).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(other.key).expect("a key");
        let key = default_provider().key_provider.load_private_key(key).expect("it is known");
        Arc::new(Self(Arc::new(CertifiedKey::new(chain, key))))
    }
}

impl ResolvesClientCert for Stolen {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Stolen {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn both_versions() -> [Protocol; 2] {
    [Version::Tls12, Version::Tls13]
        .map(|version| Protocol::new(Some(version), Some(version), &[]).expect("a version"))
}

#[tokio::test]
async fn clients_without_the_key_are_rejected() {
    let authority = Authority::named("ca");
    let ca = CertificateDer::from_pem_file(authority.certificate()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(ca).expect("it is one");
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("it has some");
    let library = builder.with_root_certificates(roots).with_client_cert_resolver(Stolen::of(&authority));
    let connector = TlsConnector::from(Arc::new(library));
    for protocol in both_versions() {
        let server = ServerConfig { protocol, ..mutual_server(&authority) };
        let server = ServerTls::load(server).expect("good files");
        let (near, far) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from("localhost").expect("a name");
        let (accepted, _) = tokio::join!(server.accept(far, remote()), connector.connect(name, near));
        let rejected = accepted.map(drop).expect_err("it has not the key").reason.to_string();
        assert_eq!(rejected, "tls: invalid signature by the client certificate: ECDSA verification failure");
    }
}

#[tokio::test]
async fn servers_without_the_key_are_rejected() {
    let authority = Authority::named("ca");
    let builder = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("it has some");
    let library = builder.with_no_client_auth().with_cert_resolver(Stolen::of(&authority));
    let acceptor = TlsAcceptor::from(Arc::new(library));
    for protocol in both_versions() {
        let client = ferretcd_tls::ClientConfig { protocol, ..client(&authority) };
        let client = ClientTls::load(client).expect("good files");
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (accepted, connected) = tokio::join!(acceptor.accept(far), client.connect("localhost", near));
        let objected = connected.map(drop).expect_err("it has not the key").to_string();
        let expected = "shake hands with localhost: tls: invalid signature by the server certificate: ECDSA \
                        verification failure";
        assert_eq!(objected, expected);
        let told = accepted.map(drop).expect_err("it is told").to_string();
        assert!(told.contains("DecryptError"), "{told}");
    }
}
