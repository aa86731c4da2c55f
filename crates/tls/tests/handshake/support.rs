//! The two ends of a handshake and their outcomes.

use std::net::SocketAddr;
use std::sync::Arc;

use ferretcd_testkit::certificates::{Authority, Files, Subject};
use ferretcd_tls::{
    Accepted, ClientConfig, ClientStream, ClientTls, ConnectError, KeyFiles, PeerIdentity, Rejected,
    ServerConfig, ServerTls,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The remote address of all connections.
pub(crate) const REMOTE: ([u8; 4], u16) = ([192, 0, 2, 1], 40000);

pub(crate) fn remote() -> SocketAddr {
    REMOTE.into()
}

/// A server for `localhost`, with a certificate of this authority.
pub(crate) fn server(authority: &Authority) -> ServerConfig {
    let subject = Subject { common_name: "server", names: &["localhost"], ..Subject::default() };
    ServerConfig::new(sign(authority, "server", subject))
}

/// The same, for clients with a certificate of the same authority.
pub(crate) fn mutual_server(authority: &Authority) -> ServerConfig {
    ServerConfig { trusted_ca: Some(authority.certificate()), client_cert_auth: true, ..server(authority) }
}

/// Signs, and writes two files whose names begin with `file`.
pub(crate) fn sign(authority: &Authority, file: &str, subject: Subject<'_>) -> KeyFiles {
    let Files { cert, key } = authority.sign_as(file, subject);
    KeyFiles { cert, key }
}

/// A client that trusts this authority.
pub(crate) fn client(authority: &Authority) -> ClientConfig {
    ClientConfig { trusted_ca: Some(authority.certificate()), ..ClientConfig::default() }
}

/// The same, with a certificate.
pub(crate) fn client_as(authority: &Authority, subject: Subject<'_>) -> ClientConfig {
    ClientConfig { files: Some(sign(authority, "client", subject)), ..client(authority) }
}

pub(crate) fn alice() -> Subject<'static> {
    Subject { common_name: "alice", serial: 0xa11ce, ..Subject::default() }
}

pub(crate) type Shaken =
    (Result<Accepted<DuplexStream>, Rejected>, Result<ClientStream<DuplexStream>, ConnectError>);

/// Does a handshake, and sends something on the connection if there is one: with TLS 1.3 a client learns only then that
/// it was rejected.
pub(crate) async fn shake(server: &ServerTls, client: &ClientTls) -> Shaken {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let serve = async {
        let mut accepted = server.accept(far, remote()).await?;
        let mut word = [0; 4];
        accepted.stream.read_exact(&mut word).await.expect("the client says something");
        assert_eq!(&word, b"ping");
        Ok(accepted)
    };
    let connect = async {
        let mut stream = client.connect("localhost", near).await?;
        // One that is rejected finds the stream closed.
        if stream.write_all(b"ping").await.is_ok() {
            let _ = stream.flush().await;
        }
        Ok(stream)
    };
    tokio::join!(serve, connect)
}

/// Shakes hands with configurations. Returns the identity of an accepted client.
pub(crate) async fn accept(
    server: ServerConfig,
    client: ClientConfig,
) -> Result<Option<Arc<PeerIdentity>>, Rejected> {
    let server = ServerTls::load(server).expect("the server's files are good");
    let client = ClientTls::load(client).expect("the client's files are good");
    shake(&server, &client).await.0.map(|accepted| accepted.identity)
}

/// Why the server ends the connection.
pub(crate) async fn rejection(server: ServerConfig, client: ClientConfig) -> String {
    accept(server, client).await.expect_err("it is to be rejected").reason.to_string()
}

/// Why the client ends the connection.
pub(crate) async fn objection(server: ServerConfig, client: ClientConfig) -> String {
    let server = ServerTls::load(server).expect("the server's files are good");
    let client = ClientTls::load(client).expect("the client's files are good");
    shake(&server, &client).await.1.map(drop).expect_err("it is to be rejected").to_string()
}
