//! Shutting down in order.

use std::io::ErrorKind;
use std::time::Duration;

use ferretcd_api_proto::etcdserverpb::PutRequest;
use ferretcd_listen::Config;
use h2::{Reason, RecvStream};
use prost::Message as _;
use tokio::net::TcpStream;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::support::*;

/// Waits until the server has sent GOAWAY on this connection.
async fn goes_away(client: &Client) -> h2::Error {
    soon("GOAWAY", async {
        loop {
            match client.calls.clone().ready().await {
                Ok(_) => tokio::task::yield_now().await,
                Err(error) => return error,
            }
        }
    })
    .await
}

#[tokio::test]
async fn running_call_is_finished() {
    let served = Served::start().await;
    let (engine, address) = (served.engine.clone(), served.address);
    let (busy, idle) = (served.client().await, served.client().await);
    assert_eq!(idle.call(RANGE, &range("a")).await.outcome(), "0");
    // The server has the first half of a put.
    let put =
        frame(&PutRequest { key: "a".into(), value: vec![b'v'; 10_000].into(), ..PutRequest::default() });
    let (response, mut request) = busy.begin(PUT).await;
    request.send_data(put.slice(..5000), false).expect("the call is open");
    assert_eq!(busy.call(RANGE, &range("a")).await.outcome(), "0");

    let drained = served.drain();
    for client in [&busy, &idle] {
        let error = goes_away(client).await;
        assert!(error.is_go_away() && error.is_remote(), "{error}");
        assert_eq!(error.reason(), Some(Reason::NO_ERROR));
    }
    soon("the end of an idle connection", idle.connection).await.expect("no panic").expect("an end in order");
    let error = TcpStream::connect(address).await.expect_err("the listener is closed");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(!drained.is_finished(), "a call is still running");

    request.send_data(put.slice(5000..), true).expect("the call is open");
    assert_eq!(FullResponse::of(response).await.outcome(), "0");
    assert_eq!(engine.kv().reader().revision(), 2, "the put was carried out");
    soon("the end of the server", drained).await.expect("no panic");
    soon("the end of the connection", busy.connection).await.expect("no panic").expect("an end in order");
}

#[tokio::test]
async fn calls_that_do_not_end_are_closed_at_the_drain_timeout() {
    let port = Config { drain_timeout: Duration::from_millis(50), ..port_config() };
    let served = Served::start_with(config(), port).await;
    let client = served.client().await;
    let (response, _request) = client.begin(PUT).await;
    assert_eq!(client.call(RANGE, &range("a")).await.outcome(), "0");
    soon("the end of the server", served.drain()).await.expect("no panic");
    assert!(soon("the end of the call", response).await.is_err());
    let _ = soon("the end of the connection", client.connection).await.expect("no panic");
}

#[tokio::test]
async fn health_service_reports_the_drain_first() {
    async fn next(watch: &mut RecvStream) -> ServingStatus {
        let part = soon("a message", watch.data()).await.expect("an open stream").expect("an unbroken one");
        HealthCheckResponse::decode(part.slice(5..)).expect("a health message").status()
    }
    let served = Served::start().await;
    let client = served.client().await;
    let response = client.send("/grpc.health.v1.Health/Watch", &HealthCheckRequest::default()).await;
    let mut watch = soon("a response", response).await.expect("a stream").into_body();
    assert_eq!(next(&mut watch).await, ServingStatus::Serving);
    // The server as a whole has no name and serves (1).
    let list = client.call("/grpc.health.v1.Health/List", &HealthCheckRequest::default()).await;
    assert_eq!((list.outcome().as_str(), &list.message()[..]), ("0", &b"\x0a\x04\x12\x02\x08\x01"[..]));
    let drained = served.drain();
    assert_eq!(next(&mut watch).await, ServingStatus::NotServing);
    // The watch is a running call.
    drop((watch, client));
    soon("the end of the server", drained).await.expect("no panic");
}
