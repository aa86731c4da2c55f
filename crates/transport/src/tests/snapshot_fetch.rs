use std::io::{self, Read};
use std::sync::Arc;

use ferretcd_base::{LogPosition, MemberId};
use ferretcd_engine::{PeerError, PeerSnapshot, Peers};

use super::harness::{Node, eventually, headers, listen};

const TO: MemberId = MemberId(2);

/// Reads a snapshot to its end, on a thread that may block.
async fn read(mut snapshot: PeerSnapshot) -> io::Result<Vec<u8>> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut image = Vec::new();
        snapshot.body.read_to_end(&mut image).map(|_| image)
    });
    reading.await.expect("no panic")
}

#[tokio::test]
async fn a_snapshot_is_fetched() {
    let nodes = Node::cluster(2).await;
    let image: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    nodes[1].recorder.script.lock().image = Some((image.clone(), image.len() as u64));
    let snapshot = nodes[0].transport.fetch_snapshot(TO, 7).await.expect("it has one");
    assert_eq!((snapshot.position, snapshot.len), (LogPosition::new(12, 4), Some(1_000_000)));
    assert_eq!(read(snapshot).await.expect("it is whole"), image);
    // A snapshot that is not read to its end does not block the next one.
    drop(nodes[0].transport.fetch_snapshot(TO, 7).await.expect("it has one"));
    let again = nodes[0].transport.fetch_snapshot(TO, 8).await.expect("it has one");
    assert_eq!(again.position.index, 13);
}

#[tokio::test]
async fn a_snapshot_that_breaks_off_is_an_error() {
    let nodes = Node::cluster(2).await;
    nodes[1].recorder.script.lock().image = Some((vec![1; 300_000], 300_001));
    // The connection may be gone before its first bytes are read.
    if let Ok(snapshot) = nodes[0].transport.fetch_snapshot(TO, 1).await {
        read(snapshot).await.expect_err("it is too short");
    }
}

#[tokio::test]
async fn a_peer_without_a_snapshot_rejects_the_request() {
    let nodes = Node::cluster(2).await;
    let rejected = nodes[0].transport.fetch_snapshot(TO, 1).await.expect_err("there is none");
    assert_eq!(rejected, PeerError::Rejected("503 Service Unavailable: nothing to send".to_owned()));
    let unknown = nodes[0].transport.fetch_snapshot(MemberId(9), 1).await.expect_err("it is no member");
    assert!(matches!(unknown, PeerError::Unreachable(_)), "{unknown:?}");
}

#[tokio::test]
async fn snapshots_are_sent_to_members_only() {
    let node = Node::start(1, listen().await);
    let status = async |head: &str| {
        let response = node.respond(&format!("{head}connection: close\r\n\r\n"), b"").await;
        response.lines().next().unwrap_or_default().to_owned()
    };
    let (of_remote, line) = (headers(7, 1), "/ferretcd/state?at-least=1 HTTP/1.1\r\n");
    assert_eq!(status(&format!("GET {line}{of_remote}")).await, "HTTP/1.1 403 Forbidden");
    assert_eq!(status(&format!("POST {line}{of_remote}")).await, "HTTP/1.1 405 Method Not Allowed");
    let foreign = of_remote.replace("x-etcd-cluster-id: ", "x-etcd-cluster-id: f");
    assert_eq!(status(&format!("GET {line}{foreign}")).await, "HTTP/1.1 412 Precondition Failed");
}

#[tokio::test]
async fn only_some_snapshots_are_sent_at_once() {
    let nodes = Node::cluster(2).await;
    let turns = Arc::clone(&nodes[1].transport.table().local().expect("it is attached").fetches);
    let all = turns.available_permits();
    nodes[1].recorder.script.lock().image = Some((vec![1; 10 << 20], 10 << 20));
    let held = Arc::clone(&turns).acquire_many_owned(all as u32).await.expect("it is never closed");
    let rejected = nodes[0].transport.fetch_snapshot(TO, 1).await.expect_err("others have all turns");
    let expected = "503 Service Unavailable: other members are being sent the state";
    assert_eq!(rejected, PeerError::Rejected(expected.to_owned()));
    drop(held);
    let snapshot = nodes[0].transport.fetch_snapshot(TO, 1).await.expect("it has one");
    assert_eq!(turns.available_permits(), all - 1, "as long as it is sent");
    drop(snapshot);
    eventually(|| turns.available_permits() == all).await;
}
