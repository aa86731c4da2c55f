//! Ports in the file system: the file of a socket, and what is spoken there.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener as StdListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferretcd_listen::{Accepted, Socket};
use ferretcd_listen::{
    Address, BindUnixError, Config, Connection, ConnectionLimit, Drain, Endpoint, Listener, bind_unix, serve,
    serve_connections,
};
use ferretcd_tls::{ClientConfig, ClientTls, ServerConfig, ServerTls};
use http::{Request, Response};
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::service_fn;

/// Long enough for any machine; reached only by a port that hangs.
const PATIENCE: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A directory with a short path, and the path of a socket in it.
fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::Builder::new().prefix("fl-").tempdir().expect("a directory");
    let path = dir.path().join("s");
    (dir, path)
}

/// Both ends of TLS with a certificate made for `s`, the name of the file.
fn tls(dir: &Path) -> (ServerTls, ClientTls) {
    let files = ferretcd_tls::self_signed(dir, &["s".to_owned()], 1).expect("made");
    let trusted_ca = Some(files.cert.clone());
    let server = ServerTls::load(ServerConfig { check_remote: true, ..ServerConfig::new(files) });
    let client = ClientTls::load(ClientConfig { trusted_ca, ..ClientConfig::default() });
    (server.expect("the files are good"), client.expect("the files are good"))
}

/// Serves a listener until the drain begins. Responses tell the remote address.
fn serving(listener: Listener, drain: &Drain) -> JoinHandle<()> {
    let service = service_fn(|request: Request<Incoming>| async move {
        let remote = Connection::remote(request.extensions());
        Ok::<_, Infallible>(Response::new(format!("{remote:?}")))
    });
    let config = Config {
        concurrent_streams_max: 10,
        keepalive_interval: None,
        ping_interval_min: Duration::from_secs(5),
        keepalive_timeout: PATIENCE,
        drain_timeout: PATIENCE,
    };
    tokio::spawn(serve(vec![Endpoint::new(listener, service)], config, drain.clone()))
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// Sends a request and returns everything that comes back until the end.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    stream.write_all(REQUEST).await.expect("the port reads");
    let mut response = Vec::new();
    let _ = soon("the end of a connection", stream.read_to_end(&mut response)).await;
    String::from_utf8(response).expect("a text")
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

async fn dial(path: &Path) -> UnixStream {
    UnixStream::connect(path).await.expect("the port accepts")
}

#[tokio::test]
async fn draining_takes_the_file_away() {
    let (_dir, path) = place();
    let listener = Listener::plain(bind_unix(&path).expect("nothing is there"));
    assert_eq!(listener.address().expect("it is bound"), Address::Unix(path.clone()));
    let drain = Drain::new();
    let port = serving(listener, &drain);
    let response = exchange(dial(&path).await).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nNone"), "{response}");
    let idle = dial(&path).await;
    drain.begin();
    soon("the end of the port", port).await.expect("no panic");
    assert!(!path.exists());
    assert_eq!(exchange_or_end(idle).await, "");
}

/// As [`exchange`] on a connection that may be closed.
async fn exchange_or_end(mut stream: UnixStream) -> String {
    let _ = stream.write_all(REQUEST).await;
    let mut response = Vec::new();
    let _ = soon("the end of a connection", stream.read_to_end(&mut response)).await;
    String::from_utf8(response).expect("a text")
}

/// The first byte tells one from the other, as it does over TCP. A socket without an address passes the check of it.
#[tokio::test]
async fn tls_and_clear_text_share_a_path() {
    let (dir, path) = place();
    let (tls, client) = tls(dir.path());
    let drain = Drain::new();
    let port = serving(Listener::either(bind_unix(&path).expect("nothing is there"), tls), &drain);
    let silent = dial(&path).await;
    for _ in 0..2 {
        let response = exchange(dial(&path).await).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        let stream = client.connect_at(&path, dial(&path).await).await.expect("the name of the file");
        let response = exchange(stream).await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    }
    let other = client.connect_at(Path::new("/other:1"), dial(&path).await).await;
    assert!(other.is_err(), "the certificate is for another name");
    drain.begin();
    soon("the end of the port", port).await.expect("no panic");
    assert_eq!(exchange_or_end(silent).await, "");
}

/// Neither the socket of a running server nor a file of another kind is taken away.
#[tokio::test]
async fn paths_in_use_are_rejected() {
    let (dir, path) = place();
    let check = |path: &Path, expected: &str| {
        let error = bind_unix(path).expect_err(expected).to_string();
        assert_eq!(error, format!("listen unix {}: {expected}", path.display()));
    };
    let in_use = "bind: address already in use: a server listens there; stop it or choose another path";
    let bound = bind_unix(&path).expect("nothing is there");
    check(&path, in_use);
    drop(bound);
    // Not accepted from, and with a queue that is full.
    let listener = StdListener::bind(&path).expect("the file is gone");
    let listening = socket2::SockRef::from(&listener).listen(0);
    listening.expect("it listens");
    let queued = fill(&path);
    check(&path, in_use);
    drop((listener, queued));
    fs::remove_file(&path).expect("it has been left");
    let datagrams = UnixDatagram::bind(&path).expect("nothing is there");
    check(&path, in_use);
    drop(datagrams);

    let no_socket = "bind: file exists and is no socket; remove it or choose another path";
    let file = dir.path().join("file");
    fs::write(&file, "precious").expect("there is room");
    let link = dir.path().join("link");
    symlink(&path, &link).expect("there is room");
    for path in [&file, &link, dir.path()] as [&Path; 3] {
        check(path, no_socket);
    }
    assert_eq!(fs::read_to_string(&file).expect("it is there"), "precious");
    check(&dir.path().join("none/s"), "bind: no such file or directory; make its directory first");
    let long = dir.path().join("s".repeat(108 - dir.path().as_os_str().len() - 1));
    check(&long, "bind: invalid argument: the path has 108 bytes, 107 are allowed; choose a shorter one");
    let longest = long.with_file_name("s".repeat(107 - dir.path().as_os_str().len() - 1));
    bind_unix(&longest).expect("nothing is there");
    assert!(matches!(bind_unix(""), Err(BindUnixError::NoDirectory(_))));
}

/// Connections to a path until its queue is full.
fn fill(path: &Path) -> Vec<socket2::Socket> {
    let mut queued = Vec::new();
    loop {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let socket = socket.expect("a socket");
        socket.set_nonblocking(true).expect("it is open");
        let address = socket2::SockAddr::unix(path).expect("a path");
        match socket.connect(&address) {
            Ok(()) => queued.push(socket),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return queued,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn what_a_dead_server_left_is_replaced() {
    let (_dir, path) = place();
    // The standard library leaves the file.
    drop(StdListener::bind(&path).expect("nothing is there"));
    assert!(is_socket(&path));
    let drain = Drain::new();
    let port = serving(Listener::plain(bind_unix(&path).expect("the server is dead")), &drain);
    assert!(exchange(dial(&path).await).await.contains("200 OK"));
    drain.begin();
    soon("the end of the port", port).await.expect("no panic");
}

/// A file that has been put in the place of the socket's is not its own.
#[tokio::test]
async fn the_file_of_another_server_stays() {
    let (_dir, path) = place();
    let first = bind_unix(&path).expect("nothing is there");
    fs::remove_file(&path).expect("it is there");
    let second = bind_unix(&path).expect("nothing is there");
    drop(first);
    assert!(is_socket(&path));
    drop(second);
    assert!(!path.exists());
    fs::write(&path, "text").expect("there is room");
    assert!(bind_unix(&path).is_err() && path.exists());
}

/// Of servers that start at the same moment over a dead one's socket, one gets the path.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_gets_the_path() {
    let (_dir, path) = place();
    for _ in 0..50 {
        drop(StdListener::bind(&path).expect("nothing is there"));
        let starts = [(); 4].map(|()| {
            let path = path.clone();
            tokio::spawn(async move { bind_unix(path) })
        });
        let mut bound = Vec::new();
        for start in starts {
            bound.extend(start.await.expect("no panic").ok());
        }
        assert_eq!(bound.len(), 1);
        drop(bound);
        assert!(!path.exists());
    }
}

/// The limit of connections and other protocols are as over TCP.
#[tokio::test]
async fn limits_and_other_protocols_work() {
    let (_dir, path) = place();
    let limit = ConnectionLimit::new(1);
    let listener = Listener::plain(bind_unix(&path).expect("nothing is there")).limited(&limit);
    let drain = Drain::new();
    let echo = |Accepted { mut stream, remote, .. }: Accepted<Socket>| async move {
        assert_eq!(remote, None);
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await.expect("the client sends");
        stream.write_all(&text).await.expect("the client reads");
    };
    let port = tokio::spawn(serve_connections(vec![listener], echo, drain.clone()));
    let mut first = dial(&path).await;
    first.write_all(b"hel").await.expect("the port reads");
    let second = dial(&path).await;
    let waiting = tokio::spawn(exchange_half(second));
    first.write_all(b"lo").await.expect("the port reads");
    assert!(!waiting.is_finished(), "the limit is reached");
    first.shutdown().await.expect("it is open");
    let mut text = String::new();
    soon("the echo", first.read_to_string(&mut text)).await.expect("a text");
    assert_eq!(text, "hello");
    assert_eq!(waiting.await.expect("no panic"), "x");
    drain.begin();
    soon("the end of the port", port).await.expect("no panic");
}

async fn exchange_half(mut stream: UnixStream) -> String {
    stream.write_all(b"x").await.expect("the port reads");
    stream.shutdown().await.expect("it is open");
    let mut text = String::new();
    soon("the echo", stream.read_to_string(&mut text)).await.expect("a text");
    text
}
