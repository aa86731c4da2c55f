//! Files that are exchanged under a running server.

use std::fs;

use ferretcd_testkit::certificates::{Authority, Subject, put};
use ferretcd_tls::{ClientTls, ServerConfig, ServerTls};

use crate::support::{alice, client, client_as, mutual_server, server, shake, sign};

/// The certificate that the server shows.
async fn shown(server: &ServerTls, client: &ClientTls) -> Vec<u8> {
    let stream = shake(server, client).await.1.expect("connected");
    stream.get_ref().1.peer_certificates().expect("it has shown some")[0].to_vec()
}

#[tokio::test]
async fn certificates_are_exchanged() {
    let authority = Authority::named("ca");
    let config = server(&authority);
    let files = config.files.clone();
    let server = ServerTls::load(config).expect("good files");
    let client = ClientTls::load(client(&authority)).expect("good files");
    let first = shown(&server, &client).await;
    assert_eq!(shown(&server, &client).await, first);

    let subject = Subject { common_name: "server", names: &["localhost"], ..Subject::default() };
    assert_eq!(sign(&authority, "server", subject), files, "the same names");
    let second = shown(&server, &client).await;
    assert_ne!(second, first);

    // A key alone is no use until its certificate comes.
    let next = sign(&authority, "next", subject);
    put(&files.key, &fs::read(&next.key).expect("read"));
    assert_eq!(shown(&server, &client).await, second);
    put(&files.cert, &fs::read(&next.cert).expect("read"));
    let third = shown(&server, &client).await;
    assert_ne!(third, second);

    put(&files.cert, b"damaged");
    assert_eq!(shown(&server, &client).await, third);
    fs::remove_file(&files.cert).expect("removed");
    assert_eq!(shown(&server, &client).await, third);
}

#[tokio::test]
async fn certificates_of_clients_are_exchanged() {
    let authority = Authority::named("ca");
    let server = ServerTls::load(mutual_server(&authority)).expect("good files");
    let client = ClientTls::load(client_as(&authority, alice())).expect("good files");
    let name = async || {
        let accepted = shake(&server, &client).await.0.expect("accepted");
        accepted.identity.expect("the client has a certificate").common_name.clone()
    };
    assert_eq!(&*name().await, "alice");
    sign(&authority, "client", Subject { common_name: "bob", ..alice() });
    assert_eq!(&*name().await, "bob");
}

#[tokio::test]
async fn certificates_are_revoked() {
    let authority = Authority::named("ca");
    let path = authority.revoke(&[]);
    let config = ServerConfig { revoked: Some(path.clone()), ..mutual_server(&authority) };
    let server = ServerTls::load(config).expect("good files");
    let client = ClientTls::load(client_as(&authority, alice())).expect("good files");
    let is_accepted = async || shake(&server, &client).await.0.is_ok();
    assert!(is_accepted().await);
    authority.revoke(&[0xa11ce]);
    assert!(!is_accepted().await);
    fs::remove_file(&path).expect("removed");
    assert!(!is_accepted().await, "the last list stays in force");
    authority.revoke(&[0xb0b]);
    assert!(is_accepted().await);
}
