//! Everything on one port, and less of it on others.

use std::net::SocketAddr;

use ferretcd_api_proto::etcdserverpb::{PutRequest, RangeResponse};
use ferretcd_grpc_server::Exposure;
use ferretcd_listen::{Listener, serve};
use h2::client::Builder;
use http::{Method, Request};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::*;

/// Sends bytes of HTTP/1.1 and returns all that comes back.
async fn http1(address: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.expect("the server accepts");
    socket.write_all(request.as_bytes()).await.expect("the server reads");
    socket.shutdown().await.expect("the request is complete");
    let mut response = Vec::new();
    soon("a response", socket.read_to_end(&mut response)).await.expect("the server responds");
    String::from_utf8_lossy(&response).into_owned()
}

const VERSION: &str = r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0","storage":"3.7.0"}"#;

/// Waits for the cluster's version, which the pages show.
async fn start() -> Served {
    let served = Served::start().await;
    while served.engine.member().versions().cluster.is_none() {
        // A read of a sole member is done at once; the task that decides the version needs a turn, too.
        tokio::task::yield_now().await;
    }
    served
}

#[tokio::test]
async fn one_port_speaks_everything() {
    let served = start().await;
    let get = "GET /version HTTP/1.1\r\nHost: server\r\n";
    let response = http1(served.address, &format!("{get}Connection: close\r\n\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with(&format!("\r\n\r\n{VERSION}")), "{response}");

    let pipelined = format!("{get}\r\n{get}\r\n{get}Connection: close\r\n\r\n");
    let responses = http1(served.address, &pipelined).await;
    assert_eq!(responses.matches(VERSION).count(), 3, "{responses}");

    let client = served.client().await;
    for _ in 0..2 {
        let page = client.page("/version").await;
        assert_eq!((page.head.status().as_u16(), &page.body[..]), (200, VERSION.as_bytes()));
        assert_eq!(client.call(RANGE, &range("a")).await.outcome(), "0");
    }
    assert_eq!(client.page("/nowhere").await.head.status(), 404);
    assert!(client.call("/nowhere", &range("a")).await.outcome().starts_with("12 malformed"));
}

#[tokio::test]
async fn connections_without_http_affect_no_other_client() {
    let served = start().await;
    let client = served.client().await;
    for noise in ["\r\n\r\n\r\n", "\u{16}\u{3}\u{1}hello", "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n", "GET\r\n\r\n"]
    {
        let response = http1(served.address, noise).await;
        assert!(response.is_empty() || response.starts_with("HTTP/1.1 400"), "{noise:?}: {response:?}");
        assert_eq!(client.call(RANGE, &range("a")).await.outcome(), "0", "after {noise:?}");
    }
}

/// A put by HTTP/1.1, as the script of a web page can send it.
fn put_by_http1(path: &str, host: &str, content_type: &str) -> String {
    let put = PutRequest { key: "page".into(), value: "1".into(), ..PutRequest::default() };
    let body = frame(&put);
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\nOrigin: http://page.example\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        body.len(),
        String::from_utf8(body.to_vec()).expect("short lengths are ASCII"),
    )
}

#[tokio::test]
async fn http1_reaches_no_service() {
    let pages = ferretcd_http_pages::Config {
        cors: vec![],
        host_whitelist: vec!["server".into()],
        read_timeout: PATIENCE,
        debug: Default::default(),
    };
    let served = Served::start_with_pages(config(), port_config(), pages).await;
    let grpc_only = served.also_exposing(Exposure::Grpc).await;
    for address in [served.address, grpc_only] {
        for path in [PUT, "/etcdserverpb.Maintenance/Defragment", "//etcdserverpb.KV/Put", "/nowhere"] {
            for content_type in
                ["application/grpc", "application/grpc+proto", "APPLICATION/GRPC", "text/plain"]
            {
                let status = async |host| {
                    let response = http1(address, &put_by_http1(path, host, content_type)).await;
                    response.split_whitespace().nth(1).map(str::to_owned)
                };
                assert_eq!(status("page.example").await.as_deref(), Some("421"), "{path} {content_type}");
                let found = if path.starts_with("//") { "307" } else { "404" };
                assert_eq!(status("server:2379").await.as_deref(), Some(found), "{path} {content_type}");
            }
        }
    }
    let client = served.client().await;
    let response = client.call(RANGE, &range("page")).await;
    assert_eq!(response.outcome(), "0", "calls may name any host");
    assert_eq!(RangeResponse::decode(response.message()).expect("a range response").count, 0);
    assert_eq!(client.page("/version").await.head.status(), 200);
}

#[tokio::test]
async fn calls_are_posts_with_the_content_type_of_grpc() {
    let served = Served::start().await;
    let client = served.client().await;
    let status = async |method: Method, content_type: &str| {
        let mut calls = client.calls.clone().ready().await.expect("an open connection");
        let request = Request::builder().method(method).uri(format!("http://server{RANGE}"));
        let request = request.header("content-type", content_type).header("te", "trailers").body(());
        let (response, mut body) =
            calls.send_request(request.expect("a request"), false).expect("the connection takes calls");
        body.send_data(frame(&range("a")), true).expect("the call is open");
        let response = FullResponse::of(response).await;
        (response.head.status().as_u16(), response.outcome())
    };
    for content_type in ["application/grpc", "application/grpc+proto", "application/grpc;v=1"] {
        assert_eq!(status(Method::POST, content_type).await, (200, "0".to_owned()), "{content_type}");
    }
    let text = "13 Received%20a%20HEADERS%20frame%20with%20:method%20%22PUT%22%20which%20should%20be%20POST";
    assert_eq!(status(Method::PUT, "application/grpc").await, (405, text.to_owned()));
    for content_type in ["application/grpc-web", "application/json"] {
        assert_eq!(status(Method::POST, content_type).await.0, 404, "{content_type}");
    }
}

#[tokio::test]
async fn each_port_serves_its_exposure_alone() {
    let served = start().await;
    let exposures = [Exposure::Grpc, Exposure::Http, Exposure::Metrics, Exposure::Peers];
    let (mut endpoints, mut addresses) = (Vec::new(), Vec::new());
    for exposure in exposures {
        let listener = listen().await;
        addresses.push(listener.local_addr().expect("it is bound"));
        endpoints.push(served.server.exposing(exposure).endpoint(Listener::plain(listener)));
    }
    let drain = served.server.drain();
    let serving = tokio::spawn(serve(endpoints, port_config(), drain.clone()));
    for (exposure, address) in exposures.into_iter().zip(addresses) {
        let client = Client::connect(address, &Builder::new()).await;
        let mut shown = Vec::new();
        for path in ["/version", "/metrics", "/health"] {
            shown.extend((client.page(path).await.head.status() != 404).then_some(path));
        }
        let is_served = client.call(RANGE, &range("a")).await.outcome() == "0";
        shown.extend(is_served.then_some(RANGE));
        let expected: &[&str] = match exposure {
            Exposure::Grpc => &[RANGE],
            Exposure::Http => &["/version", "/metrics", "/health"],
            Exposure::Metrics => &["/metrics", "/health"],
            // Besides what belongs to the transport.
            Exposure::Peers => &["/version"],
            Exposure::All => unreachable!("it is the port of the other tests"),
        };
        assert_eq!(shown, expected, "{exposure:?}");
    }
    drain.begin();
    soon("the end of the listeners", serving).await.expect("no panic");
}
