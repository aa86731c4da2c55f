//! Sockets: which addresses they are reached at, and what is said when they can't be bound.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use ferretcd_tests::Program;

use crate::started::{READY, Started, directory, health};

/// A start with these flags ends with status 1 and this error.
async fn check<P: Program>(flags: &[String], error: &str) {
    let dir = directory();
    let mut process = Started::sole::<P>(&dir.path().join("data"), flags).await;
    let status = process.ended().await;
    assert_eq!(status.code(), Some(1), "{flags:?}: {}", process.log);
    let line = process.log.lines().find(|line| line.contains(r#""level":"fatal""#)).unwrap_or_default();
    assert!(line.contains(&format!(r#""error":"{error}""#)), "{flags:?}: {}", process.log);
}

pub(crate) async fn errors<P: Program>() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let in_use = format!("listen tcp {address}: bind: address already in use");
    for flag in ["listen-client-urls", "listen-client-http-urls", "listen-peer-urls", "listen-metrics-urls"] {
        check::<P>(&[format!("--{flag}=http://{address}")], &in_use).await;
    }
    // Another spelling of an address is another socket.
    let spelled = format!("--listen-client-urls=http://localhost:{}", address.port());
    check::<P>(&[spelled], &in_use).await;
    let port = address.port();
    let every = format!("listen tcp 0.0.0.0:{port}: bind: address already in use");
    for host in ["0.0.0.0", "[::]"] {
        check::<P>(&[format!("--listen-client-urls=http://{host}:{port}")], &every).await;
    }
    check::<P>(
        &["--listen-client-urls=http://192.0.2.1:1".to_owned()],
        "listen tcp 192.0.2.1:1: bind: cannot assign requested address",
    )
    .await;
    drop(taken);
    let same = format!("http://{address}");
    check::<P>(
        &[format!("--listen-client-urls={same}"), format!("--listen-client-http-urls={same}")],
        &format!(
            "cannot bind both --listen-client-urls and --listen-client-http-urls on the same url {same}"
        ),
    )
    .await;
}

pub(crate) async fn families<P: Program>() {
    let is_dual = TcpListener::bind("[::1]:0").is_ok();
    for host in ["0.0.0.0", "[::]"] {
        let dir = directory();
        let flags = [format!("--listen-client-urls=http://{host}:0")];
        let mut process = Started::sole::<P>(&dir.path().join("data"), &flags).await;
        process.says(READY).await;
        let address = process.serves().await;
        assert_eq!(address.ip().is_ipv6(), is_dual, "{address}");
        let reached =
            [Some(IpAddr::from(Ipv4Addr::LOCALHOST)), is_dual.then_some(Ipv6Addr::LOCALHOST.into())];
        for ip in reached.into_iter().flatten() {
            let response = health(SocketAddr::new(ip, address.port())).await;
            let response = response.unwrap_or_else(|error| panic!("{host} at {ip}: {error}"));
            assert!(response.starts_with("HTTP/1.1 200 "), "{host} at {ip}: {response}");
        }
    }
}
