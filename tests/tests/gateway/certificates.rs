//! The gateway behind TLS.

use std::net::Ipv4Addr;

use ferretcd_testkit::certificates::{Authority, Files};
use ferretcd_tests::{Cluster, report, start_secured};
use ferretcd_tls::{ClientConfig, ClientStream, ClientTls, KeyFiles};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::{b64, put, range};
use crate::web::{Connection, Request, Response};

on_both! {
    calls_over_tls_with_both_versions_of_http => versions(),
    a_certificate_is_no_user => common_names(),
}

/// A server with TLS.
struct Secured<C> {
    _server: C,
    port: u16,
    authority: Authority,
}

impl<C: Cluster> Secured<C> {
    async fn start(what: &str, flags: &[&str]) -> Option<Self> {
        if !report::available::<C>(what) {
            return None;
        }
        let authority = Authority::new();
        let server = authority.sign("server", &["127.0.0.1"], 1);
        let mut flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        if !flags.is_empty() {
            flags.extend(authority.trusted());
        }
        let flags = [&server.flags()[..], &flags].concat();
        let (server, port) = start_secured(&flags).await.unwrap_or_else(|error| panic!("failed to {error}"));
        Some(Self { _server: server, port, authority })
    }

    /// A connection with this protocol, and a certificate of this common name if there is one.
    async fn connect(&self, protocol: &str, common_name: Option<&str>) -> ClientStream<TcpStream> {
        let files = common_name.map(|name| {
            let Files { cert, key } = self.authority.sign(name, &[], 2);
            KeyFiles { cert, key }
        });
        let config = ClientConfig {
            files,
            trusted_ca: Some(self.authority.certificate()),
            alpn: vec![protocol.as_bytes().to_vec()],
            ..ClientConfig::default()
        };
        let tls = ClientTls::load(config).expect("the files are good");
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.expect("it listens");
        tls.connect("127.0.0.1", socket).await.expect("it is the server")
    }

    async fn call(&self, common_name: Option<&str>, path: &str, body: &str) -> Response {
        let stream = self.connect("http/1.1", common_name).await;
        Connection::over(stream).call(Request::post(path, body)).await
    }
}

async fn versions<C: Cluster>() {
    let Some(server) = Secured::<C>::start("TLS", &[]).await else { return };
    let response = server.call(None, "/v3/kv/put", &put("a", "1")).await;
    assert_eq!((response.head.status, &response.json()["header"]["revision"]), (200, &"2".into()));

    let stream = server.connect("h2", None).await;
    let (mut client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    let driver = tokio::spawn(connection);
    let request = http::Request::post(format!("https://127.0.0.1:{}/v3/kv/range", server.port))
        .header("content-type", "application/json")
        .body(())
        .expect("a request");
    let (response, mut sender) = client.send_request(request, false).expect("it is sent");
    sender.send_data(range("a").into(), true).expect("it is sent");
    let response = response.await.expect("a response");
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let (mut stream, mut body) = (response.into_body(), Vec::new());
    while let Some(piece) = stream.data().await {
        let piece = piece.expect("it does not break off");
        stream.flow_control().release_capacity(piece.len()).expect("it was counted");
        body.extend_from_slice(&piece);
    }
    let json: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(json["kvs"][0]["value"], b64("1"), "{json}");
    driver.abort();
}

/// gRPC would take the name for the user's.
async fn common_names<C: Cluster>() {
    let flags = ["--client-cert-auth", "--bcrypt-cost=4"];
    let Some(server) = Secured::<C>::start("common names", &flags).await else { return };
    let root = Some("root");
    for (path, body) in [
        ("/v3/auth/user/add", r#"{"name":"root","password":"root"}"#),
        ("/v3/auth/role/add", r#"{"name":"root"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/enable", "{}"),
    ] {
        let response = server.call(root, path, body).await;
        assert_eq!(response.head.status, 200, "{path}: {}", response.text());
    }
    for (path, body) in
        [("/v3/kv/range", range("a")), ("/v3/auth/status", "{}".to_owned()), ("/v3/nope", String::new())]
    {
        let response = server.call(root, path, &body).await;
        let expected = "CommonName of client sending a request against gateway will be ignored and not used as expected\n";
        assert_eq!((response.head.status, &*response.text()), (400, expected), "{path}");
    }
    // A certificate without a name leaves it to the token.
    let request = r#"{"name":"root","password":"root"}"#;
    let response = server.call(Some(""), "/v3/auth/authenticate", request).await.json();
    let token = response["token"].as_str().unwrap_or_else(|| panic!("no token: {response}"));
    let mut connection = Connection::over(server.connect("http/1.1", Some("")).await);
    let body = range("a");
    let headers = [("Authorization", token)];
    let response = connection.call(Request::post("/v3/kv/range", &body).with(&headers)).await;
    assert_eq!(response.head.status, 200, "{}", response.text());
}
