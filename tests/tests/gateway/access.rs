//! Where the gateway is served, and to which clients.

use std::net::{Ipv4Addr, TcpListener};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Clients, Cluster, Metrics, Options, StartError, report};

use crate::support::{put, range, start, start_with};
use crate::web::{Connection, Head, Request, call};

on_both! {
    other_hosts_are_misdirected => hosts(),
    other_origins_are_not_allowed_to_read => origins(),
    without_the_gateway_its_paths_are_unknown => disabled(),
    an_address_of_its_own => own_address(),
    calls_are_counted => metrics(),
    calls_are_logged => logs(),
    a_connection_serves_many_calls => kept_alive(),
}

// etcd opens WebSockets for all pages.
ferretcd_tests::on_target! { ferretcd_alone: ferretcd_tests::Process<ferretcd_tests::Ferretcd>,
    websockets_of_other_origins_are_forbidden => sockets_of_origins(),
}

const PUT: &str = "/v3/kv/put";
const RANGE: &str = "/v3/kv/range";
const UPGRADE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Starts with another port when another process has taken this one.
const PORT_ATTEMPTS: usize = 5;

async fn hosts<C: Cluster>() {
    if !report::available::<C>("hosts") {
        return;
    }
    let server = start_with::<C>(&["--host-whitelist=good.example"]).await;
    let url = server.endpoint();
    let body = range("a");
    for (host, status) in [("good.example", 200), ("good.example:2379", 200), ("evil.example", 421)] {
        let response = call(&url, Request::post(RANGE, &body).with(&[("Host", host)])).await;
        assert_eq!(response.head.status, status, "{host}: {}", response.text());
        if status == 421 {
            assert!(response.text().contains("CVE-2018-5702"), "{}", response.text());
        }
    }
    let headers = [&[("Host", "evil.example")][..], &UPGRADE].concat();
    let response = call(&url, Request::get("/v3/watch").with(&headers)).await;
    assert_eq!(response.head.status, 421, "a WebSocket is no way around: {}", response.text());
}

async fn origins<C: Cluster>() {
    if !report::available::<C>("origins") {
        return;
    }
    let server = start_with::<C>(&["--cors=http://good.example:80"]).await;
    let url = server.endpoint();
    let body = range("a");
    let allowed = |head: &Head| head.get("access-control-allow-origin").map(str::to_owned);
    for (origin, expected) in
        [("http://good.example:80", Some("http://good.example:80")), ("http://evil.example:80", None)]
    {
        let headers = [("Origin", origin)];
        let response = call(&url, Request::post(RANGE, &body).with(&headers)).await;
        assert_eq!((response.head.status, allowed(&response.head).as_deref()), (200, expected), "{origin}");
        let preflight = Request { method: "OPTIONS", ..Request::get(RANGE).with(&headers) };
        let response = call(&url, preflight).await;
        assert_eq!((response.head.status, allowed(&response.head).as_deref()), (200, expected), "{origin}");
    }
}

async fn sockets_of_origins<C: Cluster>() {
    let server = start_with::<C>(&["--cors=http://good.example:80"]).await;
    for (origin, status) in [("http://good.example:80", 101), ("http://evil.example:80", 403)] {
        let headers = [&[("Origin", origin)][..], &UPGRADE].concat();
        let mut connection = Connection::to(&server.endpoint()).await;
        connection.send(Request::get("/v3/watch").with(&headers)).await;
        assert_eq!(connection.head("GET").await.expect("a response").status, status, "{origin}");
    }
}

async fn disabled<C: Cluster>() {
    if !report::available::<C>("the gateway disabled") {
        return;
    }
    let server = start_with::<C>(&["--enable-grpc-gateway=false"]).await;
    let url = server.endpoint();
    for path in [RANGE, "/v3/nope", "/v3/", "/v3beta/kv/range"] {
        let response = call(&url, Request::post(path, "{}")).await;
        assert_eq!((response.head.status, &*response.text()), (404, "404 page not found\n"), "{path}");
    }
    let response = call(&url, Request::get("/v3/watch").with(&UPGRADE)).await;
    assert_eq!(response.head.status, 404);
    assert_eq!(call(&url, Request::get("/health")).await.head.status, 200, "pages are served");
    puts(&mut Clients::connect(&server).await.expect("it serves")).await;
}

/// Puts a key by gRPC.
async fn puts(clients: &mut Clients) {
    let request = pb::PutRequest { key: "a".into(), value: "1".into(), ..Default::default() };
    clients.kv.put(request).await.expect("gRPC is served");
}

/// A server with a URL for everything but gRPC.
async fn with_http_url<C: Cluster>() -> (C, String) {
    for attempt in 1.. {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let url = format!("http://{}", free.expect("a free port"));
        match C::start(&Options { flags: vec![format!("--listen-client-http-urls={url}")] }).await {
            Ok(server) => return (server, url),
            Err(StartError::Exited { logs, .. })
                if logs.to_ascii_lowercase().contains("address already in use")
                    && attempt < PORT_ATTEMPTS => {}
            Err(error) => panic!("failed to {error}"),
        }
    }
    unreachable!("the last attempt returns")
}

async fn own_address<C: Cluster>() {
    if !report::available::<C>("the gateway on its own address") {
        return;
    }
    let (server, http_url) = with_http_url::<C>().await;
    puts(&mut Clients::connect(&server).await.expect("it serves")).await;
    let response = call(&http_url, Request::post(RANGE, &range("a"))).await;
    assert_eq!((response.head.status, &response.json()["count"]), (200, &"1".into()));

    // The other address knows nothing but gRPC, and closes a connection that speaks HTTP/1.1.
    let mut connection = Connection::to(&server.endpoint()).await;
    connection.send(Request::post(RANGE, &range("a"))).await;
    if let Ok(head) = connection.head("POST").await {
        assert_ne!(head.status, 200, "{head:?}");
    }
    let error = Clients::connect_to(&http_url).await.map(drop);
    let is_served = match error {
        Ok(()) => {
            let mut clients = Clients::connect_to(&http_url).await.expect("it did connect");
            clients.maintenance.status(pb::StatusRequest {}).await.is_ok()
        }
        Err(_) => false,
    };
    assert!(!is_served, "gRPC has its own address");
}

async fn metrics<C: Cluster>() {
    let Some(server) = start::<C>("metrics of the gateway").await else { return };
    let url = server.endpoint();
    let count = async |metric: &str, code: &str, method: &str, kind: &str| {
        let labels = format!(r#"grpc_method="{method}",grpc_service="etcdserverpb.{kind}""#);
        let code = if code.is_empty() { String::new() } else { format!(r#"grpc_code="{code}","#) };
        let stream = if method == "LeaseKeepAlive" { "bidi_stream" } else { "unary" };
        let name = format!(r#"grpc_server_{metric}_total{{{code}{labels},grpc_type="{stream}"}}"#);
        Metrics::of(&server).await.expect("it has metrics").get(&name).unwrap_or_default()
    };
    let (before, failed) =
        (count("handled", "OK", "Put", "KV").await, count("handled", "InvalidArgument", "Put", "KV").await);
    call(&url, Request::post(PUT, &put("a", "1"))).await;
    assert_eq!(count("handled", "OK", "Put", "KV").await, before + 1.0);
    assert_eq!(count("started", "", "Put", "KV").await, before + 1.0);
    call(&url, Request::post(PUT, "{}")).await;
    assert_eq!(count("handled", "OK", "Put", "KV").await, before + 1.0);
    assert_eq!(count("handled", "InvalidArgument", "Put", "KV").await, failed + 1.0);
    // What is no message is no call.
    call(&url, Request::post(PUT, "nope")).await;
    assert_eq!(count("started", "", "Put", "KV").await, before + 2.0);
    call(&url, Request::post("/v3/lease/keepalive", r#"{"ID":7}{"ID":8}"#)).await;
    // The end of the requests counts as one more.
    assert_eq!(count("msg_received", "", "LeaseKeepAlive", "Lease").await, 3.0);
    assert_eq!(count("msg_sent", "", "LeaseKeepAlive", "Lease").await, 2.0);
}

async fn logs<C: Cluster>() {
    if !report::available::<C>("logs of the gateway") {
        return;
    }
    let mut server = start_with::<C>(&["--log-level=debug"]).await;
    call(&server.endpoint(), Request::post(PUT, &put("logged", "1"))).await;
    server.stop().await.expect("it stops");
    let logs = server.logs();
    let line =
        logs.lines().find(|line| line.contains("request stats") && line.contains("/etcdserverpb.KV/Put"));
    let line = line.unwrap_or_else(|| panic!("no line of the call in {logs}"));
    assert!(line.contains(r#""remote":"127.0.0.1:"#), "{line}");
}

async fn kept_alive<C: Cluster>() {
    let Some(server) = start::<C>("connections that are kept").await else { return };
    let mut connection = Connection::to(&server.endpoint()).await;
    for n in 1..=20 {
        let response = connection.call(Request::post(PUT, &put("a", "1"))).await;
        assert_eq!(response.json()["header"]["revision"], (n + 1).to_string());
        let response = connection.call(Request::post(PUT, "nope")).await;
        assert_eq!(response.head.status, 400);
        let response = connection.call(Request::get(RANGE)).await;
        assert_eq!(response.head.status, 501);
    }
    // Requests that do not wait for responses.
    for n in 1..=20 {
        connection.send(Request::post(PUT, &put("b", &n.to_string()))).await;
    }
    for n in 1..=20 {
        assert_eq!(connection.head("POST").await.expect("a response").status, 200);
        let body = connection.body().await.expect("a body");
        let revision = format!(r#""revision":"{}""#, 21 + n);
        assert!(String::from_utf8_lossy(&body).replace(": ", ":").contains(&revision));
    }
}
