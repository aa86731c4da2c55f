//! Clients that request much and read nothing.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::PutRequest;
use h2::client::Builder;

use crate::support::*;

/// Windows so large that only the socket itself holds the server back, or so small that frames do.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn client_that_does_not_read_delays_no_other_client() {
    const CALLS: usize = 150;
    const SIZE: usize = 300_000;
    let served = Served::start().await;
    let value = Bytes::from(vec![b'v'; SIZE]);
    served.put("big", value.clone()).await;
    for window in [1 << 30, 16_384] {
        let (socket, ear) = Deaf::connect(served.address).await;
        let mut builder = Builder::new();
        builder.initial_window_size(window).initial_connection_window_size(1 << 30);
        let deaf = Client::on(socket, &builder).await;
        assert_eq!(
            deaf.call(PUT, &PutRequest { key: "k".into(), ..PutRequest::default() }).await.outcome(),
            "0"
        );
        ear.set(false);
        let mut calls = Vec::new();
        for _ in 0..CALLS {
            calls.push(deaf.send(RANGE, &range("big")).await);
        }

        let other = served.client().await;
        for round in 0..CALLS {
            let put = PutRequest { key: format!("k{round}").into(), ..PutRequest::default() };
            assert_eq!(other.call(PUT, &put).await.outcome(), "0");
        }
        assert!(other.get("big").await == value);

        ear.set(true);
        for call in calls {
            let response = FullResponse::of(call).await;
            assert_eq!((response.outcome().as_str(), response.body.len() > SIZE), ("0", true));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn streams_that_are_not_read_cost_a_few_responses_each() {
    if !is_alone("slow::streams_that_are_not_read_cost_a_few_responses_each") {
        return;
    }
    const STREAMS: usize = 8;
    const VALUES: usize = 600;
    const SIZE: usize = 100_000;
    let served = Served::start().await;
    let value = Bytes::from(vec![b'v'; SIZE]);
    for index in 0..VALUES {
        served.put(&format!("k{index}"), value.clone()).await;
    }
    served.engine.maintenance().flush().await.expect("a commit");
    let reader = served.client().await;
    let read = async || {
        let response = reader.call(STREAM, &everything()).await;
        assert_eq!((response.outcome().as_str(), response.body.len() > VALUES * SIZE), ("0", true));
    };
    read().await;
    let before = resident();
    let mut deaf = Vec::new();
    for _ in 0..STREAMS {
        let (socket, ear) = Deaf::connect(served.address).await;
        let mut builder = Builder::new();
        builder.initial_window_size(1 << 30).initial_connection_window_size(1 << 30);
        let client = Client::on(socket, &builder).await;
        assert_eq!(client.call(RANGE, &range("k")).await.outcome(), "0");
        ear.set(false);
        let call = client.send(STREAM, &everything()).await;
        deaf.push((client, call));
    }
    // What the server would read for the deaf clients it has read after this.
    read().await;
    read().await;
    let grown = resident().saturating_sub(before);
    assert!(grown < STREAMS * VALUES * SIZE / 2, "{grown} bytes for {STREAMS} streams");
}
