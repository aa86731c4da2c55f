use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use ferretcd_base::MemberId;
use ferretcd_engine::Peers as _;
use http::{Method, StatusCode};
use http_body_util::Full;

use tokio::time::{Duration, Instant};

use crate::PlainConnect;
use crate::client::{Client, request};
use crate::codec::Writer;

use super::harness::{
    Node, SNAPSHOT_PAUSE, Stored, eventually, mark, snapshot_failed, snapshot_message, snapshot_sent,
};

/// Bytes without a pattern as long as a chunk.
fn image(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[tokio::test]
async fn a_snapshot_arrives_complete_and_before_its_message() {
    let mut nodes = Node::cluster(2).await;
    for (len, index) in [(5 << 20, 10), (0, 30), (1, 40)] {
        nodes[0].recorder.script.lock().image = Some((image(len), len as u64));
        nodes[0].send(vec![snapshot_message(1, 2, index)]);
        nodes[0].reported(&snapshot_sent(2)).await;
        let message = nodes[1].received().await;
        let metadata = message.snapshot.and_then(|snapshot| snapshot.metadata).expect("it has been sent");
        // The snapshot is newer than the requested index, and the message carries its index.
        assert_eq!((metadata.index(), metadata.term()), (index + 5, 4));
        let conf_state = metadata.conf_state.expect("it has been sent");
        assert_eq!((conf_state.voters, conf_state.learners), (vec![1, 2], vec![3]));
        let stored = nodes[1].recorder.stored.lock().pop().expect("it was stored before");
        let expected =
            Stored { mark: mark(index + 5), sender: MemberId(1), len: Some(len as u64), image: image(len) };
        assert!(stored == expected);
    }
    let success = nodes[0].metric(r#"etcd_network_snapshot_send_success{To="2"}"#);
    assert_eq!(success, Some(3.0));
    let success = nodes[1].metric(r#"etcd_network_snapshot_receive_success{From="1"}"#);
    assert_eq!(success, Some(3.0));
}

#[tokio::test]
async fn failed_snapshots_are_reported() {
    let mut nodes = Node::cluster(2).await;
    let failed = snapshot_failed(2);

    // There is no snapshot to send.
    nodes[0].send(vec![snapshot_message(1, 2, 10)]);
    nodes[0].reported(&failed).await;

    // The image is shorter or longer than announced.
    for announced in [(3 << 20) + 1, (3 << 20) - 1] {
        nodes[0].recorder.script.lock().image = Some((image(3 << 20), announced));
        nodes[0].send(vec![snapshot_message(1, 2, 10)]);
        nodes[0].reported(&failed).await;
    }

    // The peer cannot store it.
    nodes[1].recorder.script.lock().is_disk_full = true;
    nodes[0].recorder.script.lock().image = Some((image(3 << 20), 3 << 20));
    nodes[0].send(vec![snapshot_message(1, 2, 10)]);
    nodes[0].reported(&failed).await;
    assert!(nodes[1].has_received_all());
    assert!(nodes[1].recorder.stored.lock().is_empty());

    // The next one succeeds.
    nodes[1].recorder.script.lock().is_disk_full = false;
    nodes[0].send(vec![snapshot_message(1, 2, 10)]);
    nodes[0].reported(&snapshot_sent(2)).await;
    let failures = nodes[0].metric(r#"etcd_network_snapshot_send_failures{To="2"}"#);
    assert_eq!(failures, Some(4.0));
    let inflights = nodes[0].metric(r#"etcd_network_snapshot_send_inflights_total{To="2"}"#);
    assert_eq!(inflights, Some(0.0));
}

/// The time from the announcement of a snapshot to the report of its failure.
async fn failed_after(node: &mut Node) -> Duration {
    let begun = Instant::now();
    node.send(vec![snapshot_message(1, 2, 10)]);
    node.reported(&snapshot_failed(2)).await;
    begun.elapsed()
}

#[tokio::test]
async fn reports_of_repeated_failures_are_delayed_longer() {
    let mut nodes = Node::cluster(2).await;
    tokio::time::pause();
    for n in [1, 2, 4, 8, 16, 32, 32] {
        // There is no snapshot to send.
        let after = failed_after(&mut nodes[0]).await;
        assert!((n * SNAPSHOT_PAUSE..(n + 1) * SNAPSHOT_PAUSE).contains(&after), "{n}: {after:?}");
    }
    tokio::time::resume();
    nodes[0].recorder.script.lock().image = Some((image(100), 100));
    nodes[0].send(vec![snapshot_message(1, 2, 10)]);
    nodes[0].reported(&snapshot_sent(2)).await;
    tokio::time::pause();
    nodes[0].recorder.script.lock().image = None;
    let after = failed_after(&mut nodes[0]).await;
    assert!(after < 2 * SNAPSHOT_PAUSE, "{after:?}");
}

#[tokio::test]
async fn one_snapshot_is_received_at_a_time() {
    let mut nodes = Node::cluster(3).await;
    let (open, gate) = std::sync::mpsc::sync_channel(1);
    nodes[2].recorder.script.lock().gate = Some(gate);
    for sender in &nodes[..2] {
        sender.recorder.script.lock().image = Some((image(1 << 20), 1 << 20));
    }
    nodes[0].send(vec![snapshot_message(1, 3, 10)]);
    let inflight = r#"etcd_network_snapshot_receive_inflights_total{From="1"}"#;
    super::harness::eventually(|| nodes[2].metric(inflight) == Some(1.0)).await;
    nodes[1].send(vec![snapshot_message(2, 3, 10)]);
    nodes[1].reported(&snapshot_failed(3)).await;
    drop(open);
    nodes[0].reported(&snapshot_sent(3)).await;
    nodes[1].send(vec![snapshot_message(2, 3, 10)]);
    nodes[1].reported(&snapshot_sent(3)).await;
    assert_eq!(nodes[2].recorder.stored.lock().len(), 2);
}

#[tokio::test]
async fn a_snapshot_to_a_stopped_peer_is_reported_as_failed() {
    let mut nodes = Node::cluster(2).await;
    let two = nodes.pop().expect("there are two");
    nodes[0].recorder.script.lock().image = Some((image(100), 100));
    two.stop().await;
    nodes[0].send(vec![snapshot_message(1, 2, 10)]);
    nodes[0].reported(&snapshot_failed(2)).await;
    // The queue has room for one beside the one in flight. Each announcement is reported.
    nodes[0].send((0..5).map(|_| snapshot_message(1, 2, 10)).collect());
    for _ in 0..5 {
        nodes[0].reported(&snapshot_failed(2)).await;
    }
}

#[tokio::test]
async fn a_snapshot_to_an_unknown_member_is_reported_as_failed() {
    let mut nodes = Node::cluster(2).await;
    nodes[0].send(vec![snapshot_message(1, 9, 7)]);
    nodes[0].reported(&snapshot_failed(9)).await;
}

#[tokio::test]
async fn a_peer_that_cannot_store_a_snapshot_stays_active() {
    let mut nodes = Node::cluster(2).await;
    nodes[0].recorder.script.lock().image = Some((image(10), 10));
    nodes[1].recorder.script.lock().is_disk_full = true;
    nodes[0].send(vec![snapshot_message(1, 2, 7)]);
    nodes[0].reported(&snapshot_failed(2)).await;
    // Its streams continue, and no new connection shows that it is active.
    eventually(|| nodes[0].transport.active_since(MemberId(2)).is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sender_of_a_rejected_snapshot_reads_the_reason() {
    // More than fits into the buffers of both sockets, so that sending is still under way.
    const LEN: usize = 24 << 20;
    let nodes = Node::cluster(2).await;
    nodes[1].recorder.script.lock().has_no_room = true;
    let timeout = Duration::from_secs(5);
    let client = Client::for_rpcs(Arc::new(PlainConnect::default()), timeout, timeout);
    let url = format!("http://{}", nodes[1].address).parse().expect("a URL");
    let identity = nodes[0].transport.table().local().expect("it is attached").identity.clone();
    let mut head = Writer::default();
    head.message(snapshot_message(1, 2, 10));
    let mut head = head.finish();
    let mut body = head.copy_to_bytes(head.remaining()).to_vec();
    body.resize(body.len() + LEN, b'x');
    let body = Full::new(Bytes::from(body));
    for n in 0..20 {
        let request = request(&url, Method::POST, "/raft/snapshot", &identity, body.clone());
        let response =
            client.call(request, timeout).await.unwrap_or_else(|error| panic!("{n}: failed to {error}"));
        assert_eq!(response.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(response.text().starts_with("failed to save KV snapshot ("), "{}", response.text());
    }
}
