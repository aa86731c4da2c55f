//! Ports with services of a few lines, and clients that speak HTTP/1.1 by hand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferretcd_listen::{
    Accepted, Config, Connection, Drain, Endpoint, Listener, SocketOptions, bind, serve, serve_connections,
};
use ferretcd_tls::{ClientConfig, ClientTls, ServerConfig, ServerTls};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::service_fn;

/// Long enough for any machine; reached only by a port that hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
const LAST_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A port that serves until it drains.
struct Port {
    address: SocketAddr,
    drain: Drain,
    serving: JoinHandle<()>,
    /// A request has arrived.
    arrived: Arc<Notify>,
    /// Lets a request go on.
    released: Arc<Notify>,
}

impl Port {
    /// Responses tell the remote address, and wait for their release if `is_slow`.
    async fn start(tls: Option<ServerTls>, is_slow: bool, drain_timeout: Duration) -> Self {
        let listener = listener(tls);
        let address = listener.local_addr().expect("it is bound");
        let (arrived, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let notes = (Arc::clone(&arrived), Arc::clone(&released));
        let service = service_fn(move |request: Request<Incoming>| {
            let (arrived, released) = notes.clone();
            async move {
                arrived.notify_one();
                if is_slow {
                    released.notified().await;
                }
                let remote = Connection::remote(request.extensions()).expect("each request has a connection");
                Ok::<_, Infallible>(Response::new(remote.to_string()))
            }
        });
        let config = Config {
            concurrent_streams_max: 10,
            keepalive_interval: None,
            keepalive_timeout: PATIENCE,
            drain_timeout,
        };
        let drain = Drain::new();
        let serving = tokio::spawn(serve(vec![Endpoint { listener, service }], config, drain.clone()));
        Self { address, drain, serving, arrived, released }
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the port accepts")
    }
}

fn listener(tls: Option<ServerTls>) -> Listener {
    let socket = bind("127.0.0.1:0", SocketOptions::default()).expect("the loopback device has free ports");
    match tls {
        Some(tls) => Listener::encrypted(socket, tls),
        None => Listener::plain(socket),
    }
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// Sends a request and returns everything that comes back until the end.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &[u8]) -> String {
    stream.write_all(request).await.expect("the port reads");
    rest(stream).await
}

async fn rest(mut stream: impl AsyncRead + Unpin) -> String {
    let mut response = Vec::new();
    let _ = soon("the end of a connection", stream.read_to_end(&mut response)).await;
    String::from_utf8(response).expect("a text")
}

#[tokio::test]
async fn requests_carry_the_remote_address() {
    let port = Port::start(None, false, PATIENCE).await;
    let socket = port.dial().await;
    let own = socket.local_addr().expect("it is connected").to_string();
    let response = exchange(socket, LAST_REQUEST).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with(&own), "{response}");
}

#[tokio::test]
async fn draining_finishes_running_requests_and_accepts_no_connection() {
    let port = Port::start(None, true, PATIENCE).await;
    let idle = port.dial().await;
    let mut busy = port.dial().await;
    busy.write_all(REQUEST).await.expect("the port reads");
    soon("a request", port.arrived.notified()).await;
    port.drain.begin();
    assert_eq!(rest(idle).await, "", "an idle connection is closed");
    assert!(!port.serving.is_finished(), "a request is running");
    port.released.notify_one();
    let response = rest(busy).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    soon("the end of the port", port.serving).await.expect("no panic");
    assert!(TcpStream::connect(port.address).await.is_err());
}

#[tokio::test]
async fn requests_that_do_not_end_are_closed_at_the_drain_timeout() {
    let port = Port::start(None, true, Duration::from_millis(50)).await;
    let mut busy = port.dial().await;
    busy.write_all(REQUEST).await.expect("the port reads");
    soon("a request", port.arrived.notified()).await;
    port.drain.begin();
    assert_eq!(rest(busy).await, "");
    soon("the end of the port", port.serving).await.expect("no panic");
}

#[tokio::test]
async fn encrypted_ports_serve_and_drain_during_a_handshake() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = ferretcd_tls::self_signed(dir.path(), &["localhost".to_owned()], 1).expect("made");
    let trusted_ca = Some(files.cert.clone());
    let tls = ServerTls::load(ServerConfig::new(files)).expect("the files are good");
    let client = ClientTls::load(ClientConfig { trusted_ca, ..ClientConfig::default() });
    let client = client.expect("the files are good");
    let port = Port::start(Some(tls.clone()), false, PATIENCE).await;
    let stream = client.connect("localhost", port.dial().await).await.expect("the port has the certificate");
    let response = exchange(stream, LAST_REQUEST).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");

    let silent = port.dial().await;
    // When a later connection has its handshake, the silent one is accepted as well.
    drop(client.connect("localhost", port.dial().await).await.expect("the port has the certificate"));
    port.drain.begin();
    soon("the end of the port", port.serving).await.expect("no panic");
    assert_eq!(rest(silent).await, "");
}

#[tokio::test]
async fn other_protocols_get_accepted_connections_and_are_waited_for() {
    let listener = listener(None);
    let address = listener.local_addr().expect("it is bound");
    let drain = Drain::new();
    let echo = |Accepted { mut stream, identity, .. }: Accepted<TcpStream>| async move {
        assert!(identity.is_none(), "the port requests no certificate");
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.expect("the client sends");
        stream.write_all(&text).await.expect("the client reads");
    };
    let serving = tokio::spawn(serve_connections(vec![listener], echo, drain.clone()));
    let mut socket = TcpStream::connect(address).await.expect("the port accepts");
    socket.write_all(b"hel").await.expect("the port reads");
    // Accepted in order: when the second connection is served, the first is open.
    let mut second = TcpStream::connect(address).await.expect("the port accepts");
    second.shutdown().await.expect("it is open");
    assert_eq!(rest(second).await, "");
    drain.begin();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!serving.is_finished(), "a connection is open");
    socket.write_all(b"lo").await.expect("the port reads");
    socket.shutdown().await.expect("it is open");
    assert_eq!(rest(socket).await, "hello");
    soon("the end of the port", serving).await.expect("no panic");
}

#[tokio::test]
async fn closing_ends_connections_of_other_protocols() {
    let listener = listener(None);
    let address = listener.local_addr().expect("it is bound");
    let drain = Drain::new();
    let service = Arc::new(());
    let held = Arc::clone(&service);
    let silent = move |mut accepted: Accepted<TcpStream>| {
        let held = Arc::clone(&held);
        async move {
            accepted.stream.write_all(b"x").await.expect("the client reads");
            std::future::pending::<()>().await;
            drop(held);
        }
    };
    let serving = tokio::spawn(serve_connections(vec![listener], silent, drain.clone()));
    let mut socket = TcpStream::connect(address).await.expect("the port accepts");
    assert_eq!(socket.read_u8().await.expect("the port writes"), b'x');
    drain.close();
    soon("the end of the port", serving).await.expect("no panic");
    assert_eq!(Arc::strong_count(&service), 1);
}
