//! Ports for clients.

use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeRequest};
use ferretcd_client::{Client, Config};
use ferretcd_testkit::certificates::Authority;
use ferretcd_tests::Program;
use ferretcd_tls::{ClientConfig, ClientTls};

use crate::member::{Home, dial, has_etcdctl, http, is_socket, mode, sole};

/// Absolute and relative paths, with an escape and with a colon. Stopping the server takes their files away.
pub(crate) async fn kinds_of_paths<P: Program>() {
    if !has_etcdctl().await {
        return;
    }
    let home = Home::new();
    let urls = [
        home.url("unix", "c"),
        "unix://localhost:12".to_owned(),
        home.url("unix", "with%20blank"),
        format!("unix:{}", home.path("one").display()),
    ];
    let member = home.ready::<P>("sole", &sole(&urls, &urls[0])).await;
    let names = ["c", "localhost:12", "with blank", "one"];
    let endpoints = [
        &urls[0],
        &urls[1],
        &format!("unix://{}", home.path("with blank").display()),
        &home.url("unix", "one"),
    ];
    let usual = home.usual_mode();
    for (name, endpoint) in names.into_iter().zip(endpoints) {
        assert!(is_socket(&home.path(name)), "{name}\n{}", member.log);
        assert_eq!(mode(&home.path(name)), usual, "{name}");
        assert_eq!(home.etcdctl(&["--endpoints", endpoint, "put", "k", name]).await, "OK");
        let found = home.etcdctl(&["--endpoints", endpoint, "get", "k", "--print-value-only"]).await;
        assert_eq!(found, name, "{endpoint}");

        let client = Client::new(Config::new([home.url("unix", name)])).expect("an endpoint");
        let request = RangeRequest { key: "k".into(), ..RangeRequest::default() };
        let response = client.call(request).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.kvs[0].decode().expect("a row").value, name);

        let health = http(dial(&home.path(name)).await, "/health", "").await;
        assert!(health.starts_with("HTTP/1.1 200 ") && health.contains(r#""health":"true""#), "{health}");
        let range = http(dial(&home.path(name)).await, "/v3/kv/range", r#"{"key":"aw=="}"#).await;
        assert!(range.starts_with("HTTP/1.1 200 ") && range.contains(r#""key":"aw==""#), "{range}");
    }
    let members = home.etcdctl(&["--endpoints", &urls[0], "member", "list"]).await;
    assert!(members.contains(&format!("unix://peer:1, {}", urls[0])), "{members}");
    let mut member = member;
    member.says(&format!(r#""address":"{}""#, home.path("with blank").display())).await;
    member.stop().await;
    for name in names.into_iter().chain(["peer:1"]) {
        assert!(!home.path(name).exists(), "{name}");
    }
}

/// TLS and clear text on one path; the certificate is for the name of the file up to a colon.
pub(crate) async fn both_schemes<P: Program>() {
    if !has_etcdctl().await {
        return;
    }
    let home = Home::new();
    let authority = Authority::new();
    let files = authority.sign("server", &["localhost"], 1);
    let urls = ["unix", "unixs"].map(|scheme| format!("{scheme}://localhost:12"));
    let alone = home.url("unixs", "localhost");
    let listened = [urls[0].clone(), urls[1].clone(), alone.clone()];
    let member = home.ready::<P>("sole", &[&sole(&listened, &alone)[..], &files.flags()].concat()).await;

    assert_eq!(home.etcdctl(&["--endpoints", &urls[0], "put", "k", "clear"]).await, "OK");
    let ca = authority.certificate().display().to_string();
    let encrypted = ["--endpoints", &urls[1], "--cacert", &ca, "get", "k", "--print-value-only"];
    assert_eq!(home.etcdctl(&encrypted).await, "clear");
    let config = ClientConfig { trusted_ca: Some(authority.certificate()), ..ClientConfig::default() };
    let tls = ClientTls::load(config.clone()).expect("the files are good");
    for name in ["localhost:12", "localhost"] {
        let path = home.path(name);
        let stream = tls.connect_at(&path, dial(&path).await).await;
        let stream = stream.unwrap_or_else(|error| panic!("{name}: {error}\n{}", member.log));
        let health = http(stream, "/health", "").await;
        assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    }
    let tls =
        ClientTls::load(ClientConfig { alpn: vec![b"h2".to_vec()], ..config }).expect("the files are good");
    let config = Config { tls: Some(tls), ..Config::new([home.url("unixs", "localhost:12"), alone]) };
    let client = Client::new(config).expect("endpoints");
    let request = PutRequest { key: "k".into(), value: "v".into(), ..PutRequest::default() };
    client.call(request).await.unwrap_or_else(|error| panic!("{error}\n{}", member.log));
    member.stop().await;
}

pub(crate) async fn http_and_metrics<P: Program>() {
    if !has_etcdctl().await {
        return;
    }
    let home = Home::new();
    let grpc = home.url("unix", "grpc");
    let mut flags = sole(std::slice::from_ref(&grpc), &grpc);
    flags.push(format!("--listen-client-http-urls={}", home.url("unix", "http")));
    // etcd has no file for an absolute path here.
    flags.push("--listen-metrics-urls=unix://metrics:1".to_owned());
    let member = home.ready::<P>("sole", &flags).await;
    assert_eq!(home.etcdctl(&["--endpoints", &grpc, "put", "k", "v"]).await, "OK");
    for name in ["http", "metrics:1"] {
        let health = http(dial(&home.path(name)).await, "/health", "").await;
        assert!(health.starts_with("HTTP/1.1 200 "), "{name}: {health}");
    }
    member.stop().await;
    assert!(!home.path("http").exists() && !home.path("metrics:1").exists());
}
