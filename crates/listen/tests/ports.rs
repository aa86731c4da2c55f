//! Ports with services of a few lines, and clients that speak HTTP/1.1 by hand.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferretcd_listen::{
    Accepted, Closer, Config, Connection, ConnectionLimit, Drain, Endpoint, Listener, Socket, SocketOptions,
    bind, serve, serve_connections,
};
use ferretcd_tls::{ClientConfig, ClientTls, ServerConfig, ServerTls};
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
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
        Self::on(listener(tls), is_slow, drain_timeout)
    }

    fn on(listener: Listener, is_slow: bool, drain_timeout: Duration) -> Self {
        let address = listener.address().expect("it is bound").tcp().expect("a port");
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
            ping_interval_min: Duration::from_secs(5),
            keepalive_timeout: PATIENCE,
            drain_timeout,
        };
        let drain = Drain::new();
        let serving = tokio::spawn(serve(vec![Endpoint::new(listener, service)], config, drain.clone()));
        Self { address, drain, serving, arrived, released }
    }

    async fn dial(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the port accepts")
    }
}

fn listener(tls: Option<ServerTls>) -> Listener {
    match tls {
        Some(tls) => Listener::encrypted(socket(), tls),
        None => Listener::plain(socket()),
    }
}

fn socket() -> TcpListener {
    bind("127.0.0.1:0", SocketOptions::default()).expect("the loopback device has free ports")
}

/// Both ends of TLS with a certificate made for `localhost`.
fn tls() -> (ServerTls, ClientTls) {
    let dir = tempfile::tempdir().expect("a directory");
    let files = ferretcd_tls::self_signed(dir.path(), &["localhost".to_owned()], 1).expect("made");
    let trusted_ca = Some(files.cert.clone());
    let server = ServerTls::load(ServerConfig::new(files)).expect("the files are good");
    let client = ClientTls::load(ClientConfig { trusted_ca, ..ClientConfig::default() });
    (server, client.expect("the files are good"))
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
    let (tls, client) = tls();
    let port = Port::start(Some(tls), false, PATIENCE).await;
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
    let address = listener.address().expect("it is bound").tcp().expect("a port");
    let drain = Drain::new();
    let echo = |Accepted { mut stream, identity, .. }: Accepted<Socket>| async move {
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
    let address = listener.address().expect("it is bound").tcp().expect("a port");
    let drain = Drain::new();
    let service = Arc::new(());
    let held = Arc::clone(&service);
    let silent = move |mut accepted: Accepted<Socket>| {
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

/// Connections with TLS and without come to one port, whatever the pieces of their first bytes are.
#[tokio::test]
async fn the_first_byte_tells_tls_from_clear_text() {
    let (tls, client) = tls();
    let port = Port::on(Listener::either(socket(), tls), false, PATIENCE);
    // They hold up no other connection.
    let silent = port.dial().await;
    let gone = port.dial().await;
    drop(gone);
    for piece in [1, 2, LAST_REQUEST.len()] {
        let mut stream = port.dial().await;
        stream.set_nodelay(true).expect("it is open");
        for bytes in LAST_REQUEST.chunks(piece) {
            stream.write_all(bytes).await.expect("the port reads");
            tokio::task::yield_now().await;
        }
        let response = rest(stream).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");

        let stream =
            client.connect("localhost", port.dial().await).await.expect("the port has the certificate");
        let response = exchange(stream, LAST_REQUEST).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    }
    // The HTTP/2 preface, byte by byte; the response is the settings of the port.
    let mut stream = port.dial().await;
    for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0" {
        stream.write_all(&[*byte]).await.expect("the port reads");
    }
    let mut head = [0; 9];
    soon("the settings", stream.read_exact(&mut head)).await.expect("a frame");
    assert_eq!(head[3], 4, "SETTINGS");
    // What begins as TLS and is none ends; what begins as neither is clear text.
    assert!(!exchange(port.dial().await, b"\x16\x03\x01\0\0").await.contains("HTTP"));
    let response = exchange(port.dial().await, b"\x80\0\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");

    port.drain.begin();
    drop(stream);
    assert_eq!(rest(silent).await, "", "a connection that has sent nothing is closed");
    soon("the end of the port", port.serving).await.expect("no panic");
}

/// A connection above the limit is served when another has ended.
#[tokio::test]
async fn connections_have_a_limit() {
    let limit = ConnectionLimit::new(2);
    let port = Port::on(Listener::plain(socket()).limited(&limit), false, PATIENCE);
    let other = Port::on(Listener::plain(socket()).limited(&limit), false, PATIENCE);
    let mut held = [port.dial().await, other.dial().await];
    for stream in &mut held {
        stream.write_all(REQUEST).await.expect("the port reads");
        assert_eq!(soon("a response", stream.read_u8()).await.expect("the port writes"), b'H');
    }
    let waiting = tokio::spawn(exchange(port.dial().await, LAST_REQUEST));
    soon("the accepted ones", async {
        // Served by a port without a limit later than the waiting one would be.
        let third = Port::start(None, false, PATIENCE).await;
        assert!(exchange(third.dial().await, LAST_REQUEST).await.starts_with("HTTP/1.1 200 OK\r\n"));
    })
    .await;
    assert!(!waiting.is_finished(), "the limit is reached");
    drop(held);
    let response = waiting.await.expect("no panic");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
}

/// A port that nothing connects to keeps no connection from another one.
#[tokio::test]
async fn ports_that_are_idle_take_no_share_of_the_limit() {
    let limit = ConnectionLimit::new(1);
    let ports = [(); 3].map(|()| Port::on(Listener::plain(socket()).limited(&limit), false, PATIENCE));
    // Each twice in a row: a share that went round would be elsewhere then.
    for port in ports.iter().flat_map(|port| [port, port]) {
        let response = exchange(port.dial().await, LAST_REQUEST).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    }
    // Nor does a connection that waits for its share hold up the drain.
    let mut held = ports[0].dial().await;
    held.write_all(REQUEST).await.expect("the port reads");
    assert_eq!(soon("a response", held.read_u8()).await.expect("the port writes"), b'H');
    let [_held_port, port, _idle] = ports;
    let waiting = port.dial().await;
    port.drain.begin();
    soon("the end of the port", port.serving).await.expect("no panic");
    assert_eq!(rest(waiting).await, "");
}

/// A connection over IPv4 has an address of IPv4, also on a socket of both families.
#[tokio::test]
async fn every_address_is_reached_in_both_families() {
    let socket = bind("0.0.0.0:0", SocketOptions::default()).expect("a free port");
    let is_dual = socket.local_addr().expect("it is bound").is_ipv6();
    let port = Port::on(Listener::plain(socket), false, PATIENCE);
    for host in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let stream = match TcpStream::connect((host, port.address.port())).await {
            Ok(stream) => stream,
            Err(_) if host.is_ipv6() && !is_dual => continue,
            Err(error) => panic!("{host}: {error}"),
        };
        let own = stream.local_addr().expect("it is connected").to_string();
        let response = exchange(stream, LAST_REQUEST).await;
        assert!(response.ends_with(&own), "{own}: {response}");
    }
}

/// A response without an end, that counts its bytes as they are requested.
struct Endless(Arc<watch::Sender<usize>>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = Bytes::from_static(&[0; 4096]);
        self.0.send_modify(|n| *n += piece.len());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// A client of HTTP/2 that has requested an endless response and reads nothing.
struct Download {
    client: TcpStream,
    closer: Closer,
    /// Held by the service and the response as well.
    requested: Arc<watch::Sender<usize>>,
    address: SocketAddr,
    drain: Drain,
    serving: JoinHandle<()>,
}

impl Download {
    /// The client gives the response a window of so many bytes.
    async fn start(window: i32) -> Self {
        let listener = listener(None);
        let address = listener.address().expect("it is bound").tcp().expect("a port");
        let (requests, mut closers) = mpsc::channel(1);
        let requested = Arc::new(watch::Sender::new(0));
        let of_service = Arc::clone(&requested);
        let service = service_fn(move |request: Request<Incoming>| {
            let closer = Connection::closer(request.extensions()).expect("each request has a connection");
            let (requests, response) = (requests.clone(), Endless(Arc::clone(&of_service)));
            async move {
                requests.send(closer).await.expect("the test waits for it");
                Ok::<_, Infallible>(Response::new(response))
            }
        });
        let config = Config {
            concurrent_streams_max: 10,
            keepalive_interval: None,
            ping_interval_min: Duration::from_secs(5),
            keepalive_timeout: PATIENCE,
            drain_timeout: PATIENCE,
        };
        let drain = Drain::new();
        let serving = tokio::spawn(serve(vec![Endpoint::new(listener, service)], config, drain.clone()));

        let client = TcpSocket::new_v4().expect("a socket");
        client.set_recv_buffer_size(4096).expect("a size");
        let mut client = client.connect(address).await.expect("the port accepts");
        let window = window.to_be_bytes();
        let sent = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            // SETTINGS with the window of a stream, HEADERS, WINDOW_UPDATE of the connection.
            &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4][..],
            &window,
            b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01a",
            &[0, 0, 4, 8, 0, 0, 0, 0, 0, 0x10, 0, 0, 0],
        ];
        client.write_all(&sent.concat()).await.expect("the port reads");
        let closer = soon("a request", closers.recv()).await.expect("the port serves");
        Self { client, closer, requested, address, drain, serving }
    }

    /// Closes the connection from inside. Returns how it ends for the client, when nothing of the call is left.
    async fn close(mut self) -> io::Result<usize> {
        self.closer.close("its client takes nothing");
        self.closer.close("another reason");
        let end = soon("the end of a connection", self.client.read_to_end(&mut Vec::new())).await;
        self.drain.begin();
        soon("the end of the port", self.serving).await.expect("no panic");
        soon("the end of the call", async {
            while Arc::strong_count(&self.requested) > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.closer.close("too late");
        end
    }
}

#[tokio::test]
async fn calls_close_the_connection_of_a_client_that_opens_no_window() {
    let _ = Download::start(0).await.close().await;
}

#[tokio::test]
async fn what_the_system_holds_of_a_closed_connection_is_dropped() {
    let download = Download::start(1 << 20).await;
    // More than the buffers above the socket and the one of the client hold, so that an end would come behind it.
    let mut requested = download.requested.subscribe();
    soon("the response", requested.wait_for(|n| *n >= 320 << 10)).await.expect("the test has the other end");
    let end = download.close().await;
    assert_eq!(end.map_err(|error| error.kind()), Err(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_client_that_does_not_read_costs_its_buffers() {
    let download = Download::start(1 << 28).await;
    // Another connection has turns as long as the response goes on.
    let mut other = TcpStream::connect(download.address).await.expect("the port accepts");
    other.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("the port reads");
    let (mut n_requested, mut n_unchanged) = (0, 0);
    while n_unchanged < 20 {
        // Settings and their acknowledgement, in front of which those of the server may come. Pings are counted.
        other.write_all(b"\0\0\0\x04\0\0\0\0\0").await.expect("the port reads");
        soon("a response", other.read_exact(&mut [0; 9])).await.expect("the port writes");
        let n = *download.requested.borrow();
        n_unchanged = if n == n_requested { n_unchanged + 1 } else { 0 };
        n_requested = n;
    }
    assert!(n_requested < 1 << 20, "{n_requested} bytes wait for a client that does not read");
    drop(other);
    let _ = download.close().await;
}

/// A client that begins many calls at once has some of them served in each turn. When it is gone, so are its calls.
#[tokio::test]
async fn a_client_with_many_calls_holds_up_no_other_and_leaves_nothing() {
    const N_CALLS: usize = 4000;
    let listener = listener(None);
    let address = listener.address().expect("it is bound").tcp().expect("a port");
    // Each call over HTTP/2 stays open.
    let open = Arc::new(());
    let (of_calls, begun) = (Arc::clone(&open), Arc::new(watch::Sender::new(0)));
    let (of_service, mut n_begun) = (Arc::clone(&begun), begun.subscribe());
    let service = service_fn(move |request: Request<Incoming>| {
        let (open, begun) = (Arc::clone(&of_calls), Arc::clone(&of_service));
        async move {
            if request.version() == http::Version::HTTP_2 {
                begun.send_modify(|n| *n += 1);
                std::future::pending::<()>().await;
            }
            drop(open);
            Ok::<_, Infallible>(Response::new(String::new()))
        }
    });
    let config = Config {
        concurrent_streams_max: u32::MAX,
        keepalive_interval: None,
        ping_interval_min: Duration::from_secs(5),
        keepalive_timeout: PATIENCE,
        drain_timeout: PATIENCE,
    };
    let drain = Drain::new();
    let serving = tokio::spawn(serve(vec![Endpoint::new(listener, service)], config, drain.clone()));
    let mut other = TcpStream::connect(address).await.expect("the port accepts");
    other.write_all(REQUEST).await.expect("the port reads");
    soon("a response", other.readable()).await.expect("the port writes");
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = (Arc::strong_count(&open), metrics.num_alive_tasks());

    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    for stream in (1_u32..).step_by(2).take(N_CALLS) {
        let [a, b, c, d] = stream.to_be_bytes();
        sent.extend([0, 0, 6, 1, 5, a, b, c, d, 0x82, 0x84, 0x86, 0x41, 1, b'a']);
    }
    let mut busy = TcpStream::connect(address).await.expect("the port accepts");
    busy.write_all(&sent).await.expect("the port reads");
    let response = exchange(other, LAST_REQUEST).await;
    assert!(response.ends_with("\r\n\r\n") && response.matches("200 OK").count() == 2, "{response}");
    assert!(*begun.borrow() < N_CALLS, "all calls of one connection come before the request of another");
    soon("the calls", n_begun.wait_for(|n| *n == N_CALLS)).await.expect("the service has the other end");

    drop(busy);
    soon("the end of the calls", async {
        // One connection fewer than before, which held two services and had one task.
        while Arc::strong_count(&open) > before.0 || metrics.num_alive_tasks() > before.1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drain.begin();
    soon("the end of the port", serving).await.expect("no panic");
}
