//! Which clients get the page, and what with.

use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};

use ferretcd_testkit::certificates::Authority;
use ferretcd_tests::{Browser, Cluster as _, Options, StartError, report, start_secured};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::support::{Server, start};

/// Starts with another port when another process has taken this one.
const PORT_ATTEMPTS: usize = 5;

/// The response to a request, head and body.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, host: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.expect("it ends the connection in order");
    String::from_utf8_lossy(&response).into_owned()
}

async fn get(server: &Server, host: &str, path: &str) -> String {
    let address = server.endpoint().trim_start_matches("http://").to_owned();
    exchange(TcpStream::connect(address).await.expect("it listens"), host, path).await
}

fn check(response: &str, status: u16, part: &str) {
    assert!(response.starts_with(&format!("HTTP/1.1 {status} ")) && response.contains(part), "{response}");
}

/// A server that listens on all addresses of this machine, and its port.
async fn on_all_addresses(flags: &[&str]) -> (Server, u16) {
    for attempt in 1.. {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let mut all = vec![
            format!("--listen-client-urls=http://0.0.0.0:{port}"),
            format!("--advertise-client-urls=http://127.0.0.1:{port}"),
        ];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        match Server::start(&Options { flags: all }).await {
            Ok(server) => return (server, port),
            Err(StartError::Exited { logs, .. })
                if logs.contains("address already in use") && attempt < PORT_ATTEMPTS => {}
            Err(error) => panic!("failed to {error}"),
        }
    }
    unreachable!("the last attempt returns")
}

/// An address of this machine that others may reach; `None` without a network, which is reported.
fn own_address() -> Option<IpAddr> {
    // Nothing is sent: the system looks up the way.
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let found = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    let address = found.ok().map(|found| found.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    if address.is_none() {
        report::skipped(
            "the page on another address than loopback",
            "failed to find one; it needs a network",
        );
    }
    address
}

#[tokio::test]
async fn by_default_the_page_stays_on_this_machine() {
    let (server, port) = on_all_addresses(&[]).await;
    let loopback = async |host: &str| {
        exchange(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("it listens"), host, "/ui/")
            .await
    };
    check(&loopback("localhost").await, 200, "<title>ferretcd</title>");
    check(&loopback("127.0.0.1:2379").await, 200, "<title>ferretcd</title>");
    // The name of a site that points to this machine, or that a proxy on it serves.
    check(&loopback("site.example").await, 403, "--ui=all");
    let Some(address) = own_address() else { return };
    for host in ["localhost", &address.to_string()] {
        let stream = TcpStream::connect((address, port)).await.expect("it listens");
        check(&exchange(stream, host, "/ui/").await, 403, "--ui=all");
    }
    let stream = TcpStream::connect((address, port)).await.expect("it listens");
    check(&exchange(stream, "localhost", "/health").await, 200, "true");
    drop(server);
}

#[tokio::test]
async fn the_flag_opens_the_page_to_all() {
    let (server, port) = on_all_addresses(&["--ui=all", "--host-whitelist=good.example"]).await;
    let address = own_address().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let from = async |host: &str| {
        exchange(TcpStream::connect((address, port)).await.expect("it listens"), host, "/ui/main.js").await
    };
    check(&from("good.example").await, 200, "Content-Type: text/javascript");
    // The whitelist holds as for every other page.
    check(&from("evil.example").await, 421, "CVE-2018-5702");
    drop(server);
}

#[tokio::test]
async fn the_flag_takes_the_page_away() {
    let server = start(&["--ui=none"]).await;
    for path in ["/ui/", "/ui", "/ui/main.js"] {
        check(&get(&server, "localhost", path).await, 404, "404 page not found\n");
    }
}

#[tokio::test]
async fn other_paths_stay_as_they_are() {
    let server = start(&[]).await;
    for path in ["/", "/u", "/uix", "/ui/nope"] {
        check(&get(&server, "localhost", path).await, 404, "404 page not found\n");
    }
    check(&get(&server, "localhost", "/ui").await, 307, "Location: /ui/\r\n");
    check(&get(&server, "localhost", "/ui/../health").await, 307, "Location: /health\r\n");
    check(&get(&server, "localhost", "/v3/../ui/").await, 307, "Location: /ui/\r\n");
    check(&get(&server, "", "/ui/").await, 403, "--ui=all");
}

#[tokio::test]
async fn other_ports_have_no_page() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name);
    let url = |name: &str| format!("unix://{}", path(name).display());
    let server = start(&[
        &format!("--listen-metrics-urls={}", url("metrics")),
        &format!("--listen-client-http-urls={}", url("http")),
    ])
    .await;
    let through = async |name: &str| {
        let stream = UnixStream::connect(path(name)).await.expect("it listens");
        exchange(stream, "localhost", "/ui/").await
    };
    // A Unix socket is within this machine.
    check(&through("http").await, 200, "<title>ferretcd</title>");
    check(&through("metrics").await, 404, "404 page not found\n");
    check(&get(&server, "localhost", "/ui/").await, 404, "404 page not found\n");
}

#[tokio::test]
async fn the_page_works_over_tls() {
    let Some(mut browser) = Browser::start("the page over TLS", &["--ignore-certificate-errors"]).await
    else {
        return;
    };
    let authority = Authority::new();
    let flags = authority.sign("server", &["127.0.0.1", "localhost"], 1).flags();
    let (_server, port) =
        start_secured::<Server>(&flags).await.unwrap_or_else(|error| panic!("failed to {error}"));
    browser.open(&format!("https://localhost:{port}/ui/")).await;
    browser.until_shown("healthy").await;
    browser.value("location.hash = 'watch?prefix='").await;
    browser.until_shown("Watching all keys").await;
    assert!(browser.complaints().is_empty(), "{:?}", browser.complaints());
}
