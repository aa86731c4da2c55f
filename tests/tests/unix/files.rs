//! The files of sockets: those of servers that were killed, and what can't be listened on.

use std::fs;

use ferretcd_tests::{Ferretcd, Program};

use crate::member::{Home, dial, has_etcdctl, http, is_socket, sole};

pub(crate) async fn killed<P: Program>() {
    if !has_etcdctl().await {
        return;
    }
    let home = Home::new();
    let url = home.url("unix", "c");
    let flags = sole(std::slice::from_ref(&url), &url);
    let member = home.ready::<P>("sole", &flags).await;
    assert_eq!(home.etcdctl(&["--endpoints", &url, "put", "k", "v"]).await, "OK");
    member.kill9().await;
    assert!(is_socket(&home.path("c")) && is_socket(&home.path("peer:1")));
    let member = home.ready::<P>("sole", &flags).await;
    assert_eq!(home.etcdctl(&["--endpoints", &url, "get", "k", "--print-value-only"]).await, "v");
    member.stop().await;
    assert!(!home.path("c").exists() && !home.path("peer:1").exists());
}

/// etcd takes the path of a running server, and deletes files of other kinds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_that_cannot_be_bound_are_reported() {
    let home = Home::new();
    let url = home.url("unix", "c");
    let running = home.ready::<Ferretcd>("sole", &sole(std::slice::from_ref(&url), &url)).await;
    fs::write(home.path("file"), "precious").expect("there is room");
    let in_use = "bind: address already in use: a server listens there; stop it or choose another path";
    let no_socket = "bind: file exists and is no socket; remove it or choose another path";
    let no_directory = "bind: no such file or directory; make its directory first";
    let long = "n".repeat(108 - home.path("").as_os_str().len());
    let too_long =
        "bind: invalid argument: the path has 108 bytes, 107 are allowed; choose a shorter one".to_owned();
    for flag in ["client", "client-http", "metrics", "peer"] {
        check(&home, flag, "c", in_use).await;
    }
    check(&home, "client", "file", no_socket).await;
    check(&home, "client", "none/c", no_directory).await;
    check(&home, "client", &long, &too_long).await;
    assert_eq!(fs::read_to_string(home.path("file")).expect("it is there"), "precious");
    let health = http(dial(&home.path("c")).await, "/health", "").await;
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    running.stop().await;
}

/// A start with a path for one of the ports ends with status 1 and this error, and leaves no file of the others.
async fn check(home: &Home, flag: &str, name: &str, error: &str) {
    let mut flags = vec![
        "--listen-client-urls=unix://other.c".to_owned(),
        "--advertise-client-urls=unix://other.c".to_owned(),
        "--listen-peer-urls=unix://other.p".to_owned(),
        "--initial-advertise-peer-urls=unix://other.p".to_owned(),
        "--initial-cluster=other=unix://other.p".to_owned(),
    ];
    flags.push(format!("--listen-{flag}-urls={}", home.url("unix", name)));
    let mut member = home.start::<Ferretcd>("other", &flags).await;
    let status = member.ended().await;
    assert_eq!(status.code(), Some(1), "{flags:?}: {}", member.log);
    let expected = format!("listen unix {}: {error}", home.path(name).display());
    assert!(member.log.contains(&format!(r#""error":"{expected}""#)), "{expected}: {}", member.log);
    assert!(!home.path("other.c").exists() && !home.path("other.p").exists());
}
