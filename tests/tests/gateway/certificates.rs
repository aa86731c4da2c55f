//! The gateway behind TLS.

use std::net::Ipv4Addr;

use ferretcd_tests::{Cluster, Secured};
use ferretcd_tls::ClientStream;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::{b64, put, range};
use crate::web::{Connection, Request, Response};

on_both! {
    calls_over_tls_with_both_versions_of_http => versions(),
    a_certificate_is_no_user => common_names(),
}

async fn connect<C: Cluster>(
    server: &Secured<C>,
    protocol: &str,
    common_name: Option<&str>,
) -> ClientStream<TcpStream> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).await.expect("it listens");
    server.tls(protocol, common_name).connect("127.0.0.1", socket).await.expect("it is the server")
}

async fn call<C: Cluster>(
    server: &Secured<C>,
    common_name: Option<&str>,
    path: &str,
    body: &str,
) -> Response {
    let stream = connect(server, "http/1.1", common_name).await;
    Connection::over(stream).call(Request::post(path, body)).await
}

async fn versions<C: Cluster>() {
    let Some(server) = Secured::<C>::start("TLS", &[]).await else { return };
    let response = call(&server, None, "/v3/kv/put", &put("a", "1")).await;
    assert_eq!((response.head.status, &response.json()["header"]["revision"]), (200, &"2".into()));

    let stream = connect(&server, "h2", None).await;
    let (mut client, connection) = h2::client::handshake(stream).await.expect("it speaks HTTP/2");
    let driver = tokio::spawn(connection);
    let request = http::Request::post(format!("https://127.0.0.1:{}/v3/kv/range", server.port()))
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
    let Some(server) = Secured::<C>::start_trusting("common names", &flags).await else { return };
    let root = Some("root");
    for (path, body) in [
        ("/v3/auth/user/add", r#"{"name":"root","password":"root"}"#),
        ("/v3/auth/role/add", r#"{"name":"root"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/enable", "{}"),
    ] {
        let response = call(&server, root, path, body).await;
        assert_eq!(response.head.status, 200, "{path}: {}", response.text());
    }
    for (path, body) in
        [("/v3/kv/range", range("a")), ("/v3/auth/status", "{}".to_owned()), ("/v3/nope", String::new())]
    {
        let response = call(&server, root, path, &body).await;
        let expected = "CommonName of client sending a request against gateway will be ignored and not used as expected\n";
        assert_eq!((response.head.status, &*response.text()), (400, expected), "{path}");
    }
    // A certificate without a name leaves it to the token.
    let request = r#"{"name":"root","password":"root"}"#;
    let response = call(&server, Some(""), "/v3/auth/authenticate", request).await.json();
    let token = response["token"].as_str().unwrap_or_else(|| panic!("no token: {response}"));
    let mut connection = Connection::over(connect(&server, "http/1.1", Some("")).await);
    let body = range("a");
    let headers = [("Authorization", token)];
    let response = connection.call(Request::post("/v3/kv/range", &body).with(&headers)).await;
    assert_eq!(response.head.status, 200, "{}", response.text());
}
