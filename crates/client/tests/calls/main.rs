//! Calls to small servers that count what they receive.

mod server;

use std::time::Duration;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::kv_client::KvClient;
use ferretcd_client::{Client, Config, Credentials, Error};
use tokio::net::TcpListener;
use tonic::Code;

use self::server::{Behaviour, Server};

fn client(servers: &[&Server]) -> Client {
    Client::new(config(servers)).unwrap()
}

fn config(servers: &[&Server]) -> Config {
    Config::new(servers.iter().map(|server| server.address.to_string()))
}

fn range() -> pb::RangeRequest {
    pb::RangeRequest { key: "k".into(), ..Default::default() }
}

fn put() -> pb::PutRequest {
    pb::PutRequest { key: "k".into(), ..Default::default() }
}

/// An address at which no server listens.
async fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn the_first_endpoint_that_can_be_reached_serves() {
    let server = Server::start(Behaviour::default()).await;
    let config = Config::new([nowhere().await, server.address.to_string()]);
    let response = Client::new(config).unwrap().call(put()).await.unwrap();
    assert_eq!(response.header.unwrap().revision, 7);
    assert_eq!(server.n_received(), 1);
}

#[tokio::test]
async fn an_unreachable_cluster_is_an_error_of_the_connection() {
    let address = nowhere().await;
    let client = Client::new(Config::new([address.clone()])).unwrap();
    let error = client.call(range()).await.unwrap_err();
    let begin = format!("connect to http://{address}: ");
    assert!(error.to_string().starts_with(&begin), "{error}");

    let status = KvClient::new(client.channel()).range(range()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(status.message().starts_with(&begin), "{status}");
}

#[tokio::test]
async fn reads_go_on_to_the_next_endpoint_and_writes_do_not() {
    let sick = Server::start(Behaviour { rejects_with: Some(Code::Unavailable), ..Default::default() }).await;
    let healthy = Server::start(Behaviour::default()).await;
    let client = client(&[&sick, &healthy]);
    client.call(range()).await.unwrap();
    assert_eq!((sick.n_received(), healthy.n_received()), (1, 1));
    // The client stays where it was served.
    client.call(put()).await.unwrap();
    assert_eq!((sick.n_received(), healthy.n_received()), (1, 2));

    let client = self::client(&[&sick, &healthy]);
    let error = client.call(put()).await.unwrap_err();
    assert!(matches!(error, Error::Status { code: 14, .. }), "{error}");
    assert_eq!((sick.n_received(), healthy.n_received()), (2, 2));
}

#[tokio::test]
async fn a_read_is_sent_once_to_each_endpoint() {
    let sick = || Server::start(Behaviour { rejects_with: Some(Code::Unavailable), ..Default::default() });
    let servers = [sick().await, sick().await, sick().await];
    let servers: Vec<&Server> = servers.iter().collect();
    client(&servers).call(range()).await.unwrap_err();
    assert_eq!(servers.iter().map(|server| server.n_received()).collect::<Vec<_>>(), [1, 1, 1]);

    let once = Client::new(Config { retry_reads: false, ..config(&servers) }).unwrap();
    once.call(range()).await.unwrap_err();
    assert_eq!(servers.iter().map(|server| server.n_received()).collect::<Vec<_>>(), [2, 1, 1]);
}

#[tokio::test]
async fn rejections_are_not_retried() {
    let server =
        Server::start(Behaviour { rejects_with: Some(Code::OutOfRange), ..Default::default() }).await;
    let error = client(&[&server, &server]).call(range()).await.unwrap_err();
    assert_eq!(error.to_string(), "rpc error: code = 11 desc = as the test wants");
    assert_eq!(server.n_received(), 1);
}

#[tokio::test]
async fn slow_servers_run_into_the_limit() {
    let server = Server::start(Behaviour { is_silent: true, ..Default::default() }).await;
    let config = Config { request_timeout: Some(Duration::from_millis(50)), ..config(&[&server]) };
    let client = Client::new(config).unwrap();
    assert_eq!(client.call(range()).await.unwrap_err().to_string(), "context deadline exceeded");
    let status = KvClient::new(client.channel()).range(range()).await.unwrap_err();
    assert_eq!(status.message(), "Timeout expired");
}

#[tokio::test]
async fn requests_have_the_users_token() {
    let server = Server::start(Behaviour { password: Some("right"), ..Default::default() }).await;
    let credentials = |password: &str| Credentials { user: "u".to_owned(), password: password.to_owned() };
    let with = |password| Config { credentials: Some(credentials(password)), ..config(&[&server]) };

    let client = Client::new(with("right")).unwrap();
    client.call(put()).await.unwrap();
    KvClient::new(client.channel()).put(put()).await.unwrap();
    assert_eq!(server.tokens(), ["token of u", "token of u"]);

    let error = Client::new(with("wrong")).unwrap().connect().await.unwrap_err();
    assert_eq!(error.to_string(), "authenticate u: rpc error: code = 3 desc = wrong password");
}

#[tokio::test]
async fn servers_without_authentication_need_no_token() {
    let server = Server::start(Behaviour::default()).await;
    let credentials = Some(Credentials { user: "u".to_owned(), password: "any".to_owned() });
    Client::new(Config { credentials, ..config(&[&server]) }).unwrap().call(put()).await.unwrap();
    assert!(server.tokens().is_empty());
}

#[tokio::test]
async fn a_server_of_another_protocol_is_an_error_of_the_exchange() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // It closes the connection instead of speaking HTTP/2.
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(socket);
        }
    });
    let error = Client::new(Config::new([address.to_string()])).unwrap().call(put()).await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. } | Error::Connect { .. }), "{error}");
}

#[tokio::test]
async fn a_page_is_no_response() {
    let server = Server::start(Behaviour::default()).await;
    // The server has no such method, and says so as web servers do.
    let error = client(&[&server]).call(pb::StatusRequest {}).await.unwrap_err();
    let expected =
        "call /etcdserverpb.Maintenance/Status: the answer is no gRPC, but HTTP status 404 Not Found";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn malformed_responses_are_errors_of_the_exchange() {
    async fn check(body: &'static [u8], hides_status: bool, reason: &str) {
        let server =
            Server::start(Behaviour { body: Some(body), hides_status, ..Behaviour::default() }).await;
        let config = Config { response_bytes_max: 100, ..config(&[&server]) };
        let error = Client::new(config).unwrap().call(put()).await.unwrap_err();
        assert!(matches!(error, Error::Exchange { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&format!("call /etcdserverpb.KV/Put: {reason}")), "{text}");
    }
    check(b"", false, "the answer has no message").await;
    check(&[0, 0, 0, 0, 2, 8], false, "the answer has no message").await;
    check(&[1, 0, 0, 0, 0], false, "the answer is not one plain message").await;
    check(&[7, 0, 0, 0, 0], false, "the answer is not one plain message").await;
    check(&[0, 0, 0, 0, 1, 7], false, "failed to decode Protobuf message: ").await;
    check(&[0, 0, 0, 0, 101], false, "length limit exceeded").await;
    check(&[0, 0, 0, 0, 0], true, "the answer is no gRPC, but HTTP status 200 OK").await;
}

#[tokio::test]
async fn a_disconnected_client_starts_again_at_the_first_endpoint() {
    let late = nowhere().await;
    let second = Server::start(Behaviour { password: Some("right"), ..Default::default() }).await;
    let credentials = Credentials { user: "u".to_owned(), password: "right".to_owned() };
    let endpoints = [late.clone(), second.address.to_string()];
    let config = Config { credentials: Some(credentials), ..Config::new(endpoints) };
    let client = Client::new(config).unwrap();
    client.call(put()).await.unwrap();

    let behaviour = Behaviour { password: Some("right"), ..Default::default() };
    let first = Server::start_on(TcpListener::bind(late).await.unwrap(), behaviour);
    client.call(put()).await.unwrap();
    assert_eq!((first.n_received(), second.n_received()), (0, 2));
    client.disconnect();
    client.call(put()).await.unwrap();
    assert_eq!((first.n_received(), second.n_received()), (1, 2));
    assert_eq!(first.tokens(), ["token of u"]);
}

#[test]
fn a_client_needs_endpoints() {
    assert!(matches!(Client::new(Config::new([""; 0])), Err(Error::NoEndpoints)));
}
