//! The port behind TLS.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ferretcd_grpc_server::{RequestBody, Server};
use ferretcd_listen::{Drain, Listener, serve};
use ferretcd_testkit::certificates::{Authority, Files};
use ferretcd_tls::{ClientConfig, ClientTls, KeyFiles, PeerIdentity, ServerConfig, ServerTls};
use h2::client::Builder;
use http::Request;
use prometheus::Registry;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tower::util::MapRequestLayer;

use crate::support::*;

/// A listener with TLS in front of a server.
struct Encrypted {
    address: SocketAddr,
    drain: Drain,
    serving: tokio::task::JoinHandle<()>,
}

impl Encrypted {
    async fn start(server: &Server, config: ServerConfig) -> Self {
        let listener = listen().await;
        let address = listener.local_addr().expect("it is bound");
        let tls = ServerTls::load(config).expect("the files are good");
        let endpoints = vec![server.endpoint(Listener::encrypted(listener, tls))];
        let drain = server.drain();
        let serving = tokio::spawn(serve(endpoints, port_config(), drain.clone()));
        Self { address, drain, serving }
    }

    async fn client(&self, config: ClientConfig) -> Client {
        let tls = ClientTls::load(config).expect("the files are good");
        let socket = TcpStream::connect(self.address).await.expect("the server accepts");
        socket.set_nodelay(true).expect("it is a TCP socket");
        let stream = soon("a handshake", tls.connect("localhost", socket)).await.expect("it is the server");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut builder = Builder::new();
        Client::on(stream, builder.initial_window_size(4 << 20).initial_connection_window_size(64 << 20))
            .await
    }
}

/// A server's certificate that is its own authority, and a client that trusts it.
fn self_signed(dir: &Path) -> (ServerConfig, ClientConfig) {
    let files = ferretcd_tls::self_signed(dir, &["localhost".to_owned()], 1).expect("made");
    let trusted_ca = Some(files.cert.clone());
    (
        ServerConfig::new(files),
        ClientConfig { trusted_ca, alpn: vec![b"h2".to_vec()], ..ClientConfig::default() },
    )
}

/// Two certificates of one authority, the second with a common name.
fn mutual(authority: &Authority, common_name: &str) -> (ServerConfig, ClientConfig) {
    let sign = |common_name, serial| {
        let Files { cert, key } = authority.sign(common_name, &["localhost"], serial);
        KeyFiles { cert, key }
    };
    let trusted_ca = Some(authority.certificate());
    let server = ServerConfig { trusted_ca: trusted_ca.clone(), ..ServerConfig::new(sign("server", 1)) };
    let files = Some(sign(common_name, 2));
    (server, ClientConfig { files, trusted_ca, alpn: vec![b"h2".to_vec()], ..ClientConfig::default() })
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[tokio::test]
async fn calls_and_pages() {
    let (served, dir) = (Served::start().await, directory());
    let (server, client) = self_signed(dir.path());
    let encrypted = Encrypted::start(&served.server, server).await;
    let client = encrypted.client(client).await;
    for n in 0..16 {
        served.put(&format!("big{n}"), vec![b'x'; 1 << 20]).await;
    }
    // More than the buffers on the way hold, with small responses among them.
    let calls = (0..200).map(|n| {
        let (client, key) =
            (&client, if n % 10 == 0 { format!("big{}", n / 10 % 16) } else { "none".to_owned() });
        async move { client.call(RANGE, &range(&key)).await.outcome() }
    });
    for outcome in soon("the responses", all(calls)).await {
        assert_eq!(outcome, "0");
    }
    assert_eq!(client.get("big3").await.len(), 1 << 20);
    assert_eq!(client.page("/health").await.head.status(), 200);
}

/// Polls all of them until all are done.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in futures.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(value) = future.as_mut().poll(cx) {
                *done = Some(value);
            }
        }
        match futures.iter().all(|(_, done)| done.is_some()) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    futures.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test]
async fn requests_carry_the_identity_of_the_client() {
    let (served, dir) = (Served::start().await, directory());
    let seen = Arc::new(Mutex::new(None));
    let note = Arc::clone(&seen);
    let server = served.server.layer(&MapRequestLayer::new(move |request: Request<RequestBody>| {
        *note.lock().expect("no holder panics") = request.extensions().get::<Arc<PeerIdentity>>().cloned();
        request
    }));
    let authority = Authority::new();
    let (mutual, client) = mutual(&authority, "alice");
    let encrypted = Encrypted::start(&server, mutual).await;
    let client = encrypted.client(client).await;
    assert_eq!(client.call(RANGE, &range("a")).await.outcome(), "0");
    let identity = seen.lock().expect("no holder panics").take().expect("it has a certificate");
    assert_eq!((&*identity.common_name, &identity.dns_names[..]), ("alice", &["localhost".to_owned()][..]));

    let (server, client) = self_signed(dir.path());
    let open = Encrypted::start(&served.server, server).await;
    assert_eq!(open.client(client).await.call(RANGE, &range("a")).await.outcome(), "0");
    assert_eq!(*seen.lock().expect("no holder panics"), None, "the server requests no certificate");
}

#[tokio::test]
async fn any_host_may_be_named() {
    let (served, dir) = (Served::start().await, directory());
    let hosts = ferretcd_http_pages::Config {
        cors: vec![],
        host_whitelist: vec!["elsewhere".to_owned()],
        read_timeout: PATIENCE,
        debug: Default::default(),
    };
    let server = Server::new(&served.engine, config(), hosts, &Registry::new()).expect("an empty registry");
    let (config, client) = self_signed(dir.path());
    let encrypted = Encrypted::start(&server, config).await;
    assert_eq!(encrypted.client(client).await.page("/version").await.head.status(), 200);
    let listener = listen().await;
    let address = listener.local_addr().expect("it is bound");
    let endpoints = vec![server.endpoint(Listener::plain(listener))];
    tokio::spawn(serve(endpoints, port_config(), server.drain()));
    let plain = Client::connect(address, &Builder::new()).await;
    assert_eq!(plain.page("/version").await.head.status(), 421);
}

#[tokio::test]
async fn silent_handshakes_delay_no_other_client() {
    let (served, dir) = (Served::start().await, directory());
    let (config, client) = self_signed(dir.path());
    let encrypted = Encrypted::start(&served.server, config).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(encrypted.address).await.expect("the server accepts"));
    }
    let client = encrypted.client(client).await;
    assert_eq!(client.call(RANGE, &range("a")).await.outcome(), "0");
    encrypted.drain.begin();
    drop(client);
    soon("the end", encrypted.serving).await.expect("serving does not panic");
    drop(silent);
}
