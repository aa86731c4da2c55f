use std::io::{self, Read};
use std::sync::Arc;

use ferretcd_base::MemberId;
use ferretcd_engine::{PeerError, PeerSnapshot, Peers};

use super::harness::{Node, eventually, headers, listen};

const TO: MemberId = MemberId(2);

/// Reads a state to its end, where that may block.
async fn read(mut state: PeerSnapshot) -> io::Result<Vec<u8>> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut image = Vec::new();
        state.body.read_to_end(&mut image).map(|_| image)
    });
    reading.await.expect("no panic")
}

#[tokio::test]
async fn a_state_is_fetched() {
    let nodes = Node::cluster(2).await;
    let image: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    nodes[1].notes.script.lock().image = Some((image.clone(), image.len() as u64));
    let state = nodes[0].transport.fetch_snapshot(TO, 7).await.expect("it has one");
    assert_eq!((state.index, state.term, state.len), (12, 4, Some(1_000_000)));
    assert_eq!(read(state).await.expect("it is whole"), image);
    // One that is not read to its end is in nobody's way.
    drop(nodes[0].transport.fetch_snapshot(TO, 7).await.expect("it has one"));
    let again = nodes[0].transport.fetch_snapshot(TO, 8).await.expect("it has one");
    assert_eq!(again.index, 13);
}

#[tokio::test]
async fn a_state_that_breaks_off_is_no_state() {
    let nodes = Node::cluster(2).await;
    nodes[1].notes.script.lock().image = Some((vec![1; 300_000], 300_001));
    // The connection may be gone before its first bytes are read.
    if let Ok(state) = nodes[0].transport.fetch_snapshot(TO, 1).await {
        read(state).await.expect_err("it is too short");
    }
}

#[tokio::test]
async fn who_has_no_state_says_so() {
    let nodes = Node::cluster(2).await;
    let refused = nodes[0].transport.fetch_snapshot(TO, 1).await.expect_err("there is none");
    assert_eq!(refused, PeerError::Rejected("503 Service Unavailable: nothing to send".to_owned()));
    let unknown = nodes[0].transport.fetch_snapshot(MemberId(9), 1).await.expect_err("nobody");
    assert!(matches!(unknown, PeerError::Unreachable(_)), "{unknown:?}");
}

#[tokio::test]
async fn states_are_for_members() {
    let node = Node::start(1, listen().await);
    let status = async |head: &str| {
        let answer = node.answer(&format!("{head}connection: close\r\n\r\n"), b"").await;
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let (of_stranger, line) = (headers(7, 1), "/ferretcd/state?at-least=1 HTTP/1.1\r\n");
    assert_eq!(status(&format!("GET {line}{of_stranger}")).await, "HTTP/1.1 403 Forbidden");
    assert_eq!(status(&format!("POST {line}{of_stranger}")).await, "HTTP/1.1 405 Method Not Allowed");
    let foreign = of_stranger.replace("x-etcd-cluster-id: ", "x-etcd-cluster-id: f");
    assert_eq!(status(&format!("GET {line}{foreign}")).await, "HTTP/1.1 412 Precondition Failed");
}

#[tokio::test]
async fn only_some_states_are_sent_at_once() {
    let nodes = Node::cluster(2).await;
    let turns = Arc::clone(nodes[1].transport.asked_for());
    let all = turns.available_permits();
    nodes[1].notes.script.lock().image = Some((vec![1; 10 << 20], 10 << 20));
    let held = Arc::clone(&turns).acquire_many_owned(all as u32).await.expect("nobody closes it");
    let refused = nodes[0].transport.fetch_snapshot(TO, 1).await.expect_err("others have all turns");
    let expected = "503 Service Unavailable: other members are being sent the state";
    assert_eq!(refused, PeerError::Rejected(expected.to_owned()));
    drop(held);
    let state = nodes[0].transport.fetch_snapshot(TO, 1).await.expect("it has one");
    assert_eq!(turns.available_permits(), all - 1, "as long as it is sent");
    drop(state);
    eventually(|| turns.available_permits() == all).await;
}
