use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use ferretcd_base::MemberId;
use ferretcd_engine::Peers as _;
use http::{Method, StatusCode};

use tokio::time::{Duration, Instant};

use crate::TcpConnect;
use crate::client::{Client, request};
use crate::codec::Writer;

use super::harness::{Node, SNAPSHOT_PAUSE, Stored, announcement, eventually, mark};
use crate::PeerReport;

/// Bytes without a pattern of the size of a part.
fn image(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

#[tokio::test]
async fn a_state_arrives_whole_and_before_its_message() {
    let mut nodes = Node::cluster(2).await;
    for (len, index) in [(5 << 20, 10), (0, 30), (1, 40)] {
        nodes[0].notes.script.lock().image = Some((image(len), len as u64));
        nodes[0].send(vec![announcement(1, 2, index)]);
        nodes[0].reported(&PeerReport::Snapshot { to: MemberId(2), is_sent: true }).await;
        let message = nodes[1].received().await;
        let metadata = message.snapshot.and_then(|snapshot| snapshot.metadata).expect("it has been sent");
        // The state is newer than what was asked for, and the message says so.
        assert_eq!((metadata.index(), metadata.term()), (index + 5, 4));
        let conf_state = metadata.conf_state.expect("it has been sent");
        assert_eq!((conf_state.voters, conf_state.learners), (vec![1, 2], vec![3]));
        let stored = nodes[1].notes.stored.lock().pop().expect("it was stored before");
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
async fn what_fails_is_reported() {
    let mut nodes = Node::cluster(2).await;
    let failed = PeerReport::Snapshot { to: MemberId(2), is_sent: false };

    // There is no state to send.
    nodes[0].send(vec![announcement(1, 2, 10)]);
    nodes[0].reported(&failed).await;

    // The image ends early, or does not end.
    for said in [(3 << 20) + 1, (3 << 20) - 1] {
        nodes[0].notes.script.lock().image = Some((image(3 << 20), said));
        nodes[0].send(vec![announcement(1, 2, 10)]);
        nodes[0].reported(&failed).await;
    }

    // The other side cannot store it.
    nodes[1].notes.script.lock().is_disk_full = true;
    nodes[0].notes.script.lock().image = Some((image(3 << 20), 3 << 20));
    nodes[0].send(vec![announcement(1, 2, 10)]);
    nodes[0].reported(&failed).await;
    assert!(nodes[1].has_received_all());
    assert!(nodes[1].notes.stored.lock().is_empty());

    // After all of that one succeeds.
    nodes[1].notes.script.lock().is_disk_full = false;
    nodes[0].send(vec![announcement(1, 2, 10)]);
    nodes[0].reported(&PeerReport::Snapshot { to: MemberId(2), is_sent: true }).await;
    let failures = nodes[0].metric(r#"etcd_network_snapshot_send_failures{To="2"}"#);
    assert_eq!(failures, Some(4.0));
    let inflights = nodes[0].metric(r#"etcd_network_snapshot_send_inflights_total{To="2"}"#);
    assert_eq!(inflights, Some(0.0));
}

/// How long it takes until it is reported that a state could not be sent.
async fn failed_after(node: &mut Node) -> Duration {
    let begun = Instant::now();
    node.send(vec![announcement(1, 2, 10)]);
    node.reported(&PeerReport::Snapshot { to: MemberId(2), is_sent: false }).await;
    begun.elapsed()
}

#[tokio::test]
async fn failures_in_a_row_are_reported_later_and_later() {
    let mut nodes = Node::cluster(2).await;
    tokio::time::pause();
    for n in [1, 2, 4, 8, 16, 32, 32] {
        // There is no state to send.
        let after = failed_after(&mut nodes[0]).await;
        assert!((n * SNAPSHOT_PAUSE..(n + 1) * SNAPSHOT_PAUSE).contains(&after), "{n}: {after:?}");
    }
    tokio::time::resume();
    nodes[0].notes.script.lock().image = Some((image(100), 100));
    nodes[0].send(vec![announcement(1, 2, 10)]);
    nodes[0].reported(&PeerReport::Snapshot { to: MemberId(2), is_sent: true }).await;
    tokio::time::pause();
    nodes[0].notes.script.lock().image = None;
    let after = failed_after(&mut nodes[0]).await;
    assert!(after < 2 * SNAPSHOT_PAUSE, "{after:?}");
}

#[tokio::test]
async fn one_state_comes_in_at_a_time() {
    let mut nodes = Node::cluster(3).await;
    let (open, gate) = std::sync::mpsc::sync_channel(1);
    nodes[2].notes.script.lock().gate = Some(gate);
    for sender in &nodes[..2] {
        sender.notes.script.lock().image = Some((image(1 << 20), 1 << 20));
    }
    nodes[0].send(vec![announcement(1, 3, 10)]);
    let inflight = r#"etcd_network_snapshot_receive_inflights_total{From="1"}"#;
    super::harness::eventually(|| nodes[2].metric(inflight) == Some(1.0)).await;
    nodes[1].send(vec![announcement(2, 3, 10)]);
    nodes[1].reported(&PeerReport::Snapshot { to: MemberId(3), is_sent: false }).await;
    drop(open);
    nodes[0].reported(&PeerReport::Snapshot { to: MemberId(3), is_sent: true }).await;
    nodes[1].send(vec![announcement(2, 3, 10)]);
    nodes[1].reported(&PeerReport::Snapshot { to: MemberId(3), is_sent: true }).await;
    assert_eq!(nodes[2].notes.stored.lock().len(), 2);
}

#[tokio::test]
async fn a_state_for_nobody_is_reported_as_failed() {
    let mut nodes = Node::cluster(2).await;
    let two = nodes.pop().expect("there are two");
    nodes[0].notes.script.lock().image = Some((image(100), 100));
    two.stop().await;
    nodes[0].send(vec![announcement(1, 2, 10)]);
    nodes[0].reported(&PeerReport::Snapshot { to: MemberId(2), is_sent: false }).await;
    // The queue has room for one beside the one under way; whatever is announced is reported.
    nodes[0].send((0..5).map(|_| announcement(1, 2, 10)).collect());
    for _ in 0..5 {
        nodes[0].reported(&PeerReport::Snapshot { to: MemberId(2), is_sent: false }).await;
    }
}

#[tokio::test]
async fn a_state_for_somebody_unknown_is_reported_as_failed() {
    let mut nodes = Node::cluster(2).await;
    nodes[0].send(vec![announcement(1, 9, 7)]);
    nodes[0].reported(&PeerReport::Snapshot { to: MemberId(9), is_sent: false }).await;
}

#[tokio::test]
async fn a_member_that_cannot_store_a_state_is_there_all_the_same() {
    let mut nodes = Node::cluster(2).await;
    nodes[0].notes.script.lock().image = Some((image(10), 10));
    nodes[1].notes.script.lock().is_disk_full = true;
    nodes[0].send(vec![announcement(1, 2, 7)]);
    nodes[0].reported(&PeerReport::Snapshot { to: MemberId(2), is_sent: false }).await;
    // Its streams go on, and nothing is tried again that would show it.
    eventually(|| nodes[0].transport.active_since(MemberId(2)).is_some()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_a_state_reads_why_it_is_refused() {
    // More than fits into the buffers of both sockets, so that sending is still under way.
    const LEN: usize = 24 << 20;
    let nodes = Node::cluster(2).await;
    nodes[1].notes.script.lock().has_no_room = true;
    let patience = Duration::from_secs(5);
    let client = Client::for_calls(Arc::new(TcpConnect), patience, patience);
    let url = format!("http://{}", nodes[1].address).parse().expect("a URL");
    let identity = nodes[0].transport.local().expect("it is attached").identity.clone();
    let mut head = Writer::default();
    head.message(announcement(1, 2, 10));
    let mut head = head.finish();
    let mut body = head.copy_to_bytes(head.remaining()).to_vec();
    body.resize(body.len() + LEN, b'x');
    let body = Bytes::from(body);
    for n in 0..20 {
        let request = request(&url, Method::POST, "/raft/snapshot", &identity, body.clone());
        let reply =
            client.call(request, patience).await.unwrap_or_else(|error| panic!("{n}: failed to {error}"));
        assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(reply.text().starts_with("failed to save KV snapshot ("), "{}", reply.text());
    }
}
