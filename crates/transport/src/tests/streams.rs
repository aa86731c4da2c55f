use std::time::{Duration, Instant};

use ferretcd_api_proto::raftpb::Message;
use ferretcd_base::MemberId;
use ferretcd_engine::Peers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::harness::{
    Node, append, eventually, headers, heartbeat, listen, membership, unreachable, without,
};
use crate::PeerReport;

/// A connection with a stream of `node`.
async fn read_stream(node: &Node, reader: u64, kind: &str) -> TcpStream {
    let mut stream = node.dial().await;
    let request =
        format!("GET /raft/stream/{kind}/{reader:x} HTTP/1.1\r\n{}\r\n", headers(reader, node.id.0));
    stream.write_all(request.as_bytes()).await.expect("it is open");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("it responds"));
    }
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("chunked"), "{head}");
    assert!(head.contains("x-server-version: 3.7.1\r\n"), "{head}");
    stream
}

/// Member 1 with one peer, whose port the test serves itself.
async fn with_port_of_peer(id: u64) -> (Node, TcpListener) {
    let node = Node::start(1, listen().await);
    let other = listen().await;
    let address = other.local_addr().expect("it is bound");
    node.transport.set_members(&membership([(1, node.address), (id, address)]));
    (node, other)
}

#[tokio::test]
async fn messages_arrive_in_order_and_once() {
    let mut nodes = Node::cluster(3).await;
    let n = 500;
    for number in 1..=n {
        let (two, three) = (heartbeat(1, 2, number), heartbeat(1, 3, number));
        nodes[0].send(vec![append(1, 2, number, 100), two, three]);
    }
    let (mut beats, mut appends) = (Vec::new(), Vec::new());
    for _ in 0..2 * n {
        let message = nodes[1].received().await;
        if message.entries.is_empty() { beats.push(message.commit()) } else { appends.push(message) }
    }
    assert_eq!(beats, (1..=n).collect::<Vec<_>>());
    assert_eq!(appends, (1..=n).map(|number| append(1, 2, number, 100)).collect::<Vec<_>>());
    for number in 1..=n {
        assert_eq!(nodes[2].received().await, heartbeat(1, 3, number));
    }
    assert!(nodes.iter_mut().all(Node::has_received_all));
    assert!(nodes[0].transport.active_since(MemberId(2)).is_some());
    assert_eq!(nodes[0].transport.active_since(MemberId(9)), None);
}

#[tokio::test]
async fn large_entries_arrive_whole() {
    let mut nodes = Node::cluster(2).await;
    let messages: Vec<Message> = [1 << 20, 10, 3 << 20, 1]
        .into_iter()
        .zip(5..)
        .map(|(bytes, index)| append(1, 2, index, bytes))
        .collect();
    nodes[0].send(messages.clone());
    for message in messages {
        assert!(nodes[1].received().await == message, "entry {}", message.index());
    }
}

#[tokio::test]
async fn a_restarted_peer_is_connected_again() {
    let mut nodes = Node::cluster(2).await;
    let two = nodes.pop().expect("there are two");
    let mut one = nodes.pop().expect("there are two");
    let membership = membership([(1, one.address), (2, two.address)]);
    one.send(vec![heartbeat(1, 2, 1)]);
    let address = two.stop().await;
    one.reported(&unreachable(2)).await;
    eventually(|| one.transport.active_since(MemberId(2)).is_none()).await;
    let failures = |n| one.metric(r#"etcd_network_peer_sent_failures_total{To="2"}"#) == Some(n);
    eventually(|| failures(2.0)).await;
    // No message is kept for an unreachable peer.
    one.send(vec![heartbeat(1, 2, 2)]);
    eventually(|| failures(3.0)).await;

    let mut two = Node::start(2, TcpListener::bind(address).await.expect("the port is free again"));
    two.transport.set_members(&membership);
    one.is_read_by(2).await;
    two.is_read_by(1).await;
    for number in 3..100 {
        one.send(vec![heartbeat(1, 2, number)]);
        two.send(vec![heartbeat(2, 1, number)]);
    }
    for number in 3..100 {
        assert_eq!(two.received().await, heartbeat(1, 2, number));
        assert_eq!(one.received().await, heartbeat(2, 1, number));
    }
    assert!(one.transport.active_since(MemberId(2)).is_some());
}

#[tokio::test]
async fn a_peer_that_does_not_read_delays_no_other() {
    let mut nodes = Node::cluster(2).await;
    let mut two = nodes.pop().expect("there are two");
    let mut one = nodes.pop().expect("there are two");
    let deaf = listen().await;
    let address = deaf.local_addr().expect("it is bound");
    one.transport.set_members(&membership([(1, one.address), (2, two.address), (3, address)]));
    let _appends = read_stream(&one, 3, "msgapp").await;
    let mut messages = read_stream(&one, 3, "message").await;
    one.is_read_by(3).await;

    let begun = Instant::now();
    for index in 1..=200 {
        one.send(vec![append(1, 3, index, 1 << 20), heartbeat(1, 2, index)]);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "sending does not wait");
    one.reported(&unreachable(3)).await;
    for index in 1..=200 {
        assert_eq!(two.received().await.commit(), index);
    }
    // Appends that are stuck do not delay other messages.
    one.send(vec![heartbeat(1, 3, 7)]);
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"@\x07\r\n") {
        bytes.push(messages.read_u8().await.expect("the stream of messages is open"));
    }
    // The stream that makes no progress ends.
    eventually(|| !one.has_readers(3)).await;
}

#[tokio::test]
async fn a_newer_stream_replaces_the_older_one() {
    let (node, _other) = with_port_of_peer(2).await;
    let mut older = read_stream(&node, 2, "msgapp").await;
    let _messages = read_stream(&node, 2, "message").await;
    let mut newer = read_stream(&node, 2, "msgapp").await;
    let mut rest = Vec::new();
    while !rest.ends_with(b"0\r\n\r\n") {
        rest.push(older.read_u8().await.expect("the body ends in order"));
    }
    node.send(vec![append(1, 2, 9, 3), append(1, 2, 10, 3)]);
    // One chunk: the first message, and the entries of the second.
    let mut chunk = vec![0; 4];
    newer.read_exact(&mut chunk).await.expect("a chunk comes");
    assert_eq!(chunk, *b"44\r\n");
    let mut chunk = vec![0; 0x44];
    newer.read_exact(&mut chunk).await.expect("a chunk comes");
    assert_eq!((chunk[0], chunk[34]), (2, 1));
    assert_eq!(chunk[60..], 10_u64.to_be_bytes());
}

#[tokio::test]
async fn idle_streams_carry_heartbeats() {
    let (node, _other) = with_port_of_peer(2).await;
    let mut appends = read_stream(&node, 2, "msgapp").await;
    let mut messages = read_stream(&node, 2, "message").await;
    let mut heartbeat = [0; 6];
    appends.read_exact(&mut heartbeat).await.expect("it comes");
    assert_eq!(heartbeat, *b"1\r\n\0\r\n");
    let mut heartbeat = [0; 15];
    messages.read_exact(&mut heartbeat).await.expect("it comes");
    assert_eq!(heartbeat, *b"A\r\n\0\0\0\0\0\0\0\x02\x08\x08\r\n");
}

#[tokio::test]
async fn malformed_streams_are_dialled_again() {
    let (node, other) = with_port_of_peer(2).await;
    for nonsense in ["HTTP/1.1 200 OK\r\n\r\nno frame", "HTTP/1.1 500 Oh\r\n\r\n", "nothing"] {
        // Both streams are dialled, and again after each failure.
        for _ in 0..4 {
            let (mut stream, _) = other.accept().await.expect("it dials");
            stream.write_all(nonsense.as_bytes()).await.expect("it is open");
        }
    }
    drop(node);
}

#[tokio::test]
async fn a_removed_member_is_rejected_and_learns_of_it() {
    let mut nodes = Node::cluster(2).await;
    let mut two = nodes.pop().expect("there are two");
    let mut one = nodes.pop().expect("there are two");
    let both = membership([(1, one.address), (2, two.address)]);
    one.transport.set_members(&without(both, 2));
    two.reported(&PeerReport::Removed).await;
    assert_eq!(one.transport.active_since(MemberId(2)), None);
    // Without a stream the message is posted, and rejected.
    eventually(|| !two.has_readers(1)).await;
    two.send(vec![heartbeat(2, 1, 1)]);
    two.reported(&unreachable(1)).await;
    assert!(one.has_received_all());
    assert_eq!(one.metric(r#"etcd_network_known_peers{Local="1",Remote="2"}"#), Some(0.0));
}

#[tokio::test]
async fn a_member_that_is_behind_responds_to_unknown_members() {
    // Member 1 knows 2, but 2 does not know 1 yet.
    let mut one = Node::start(1, listen().await);
    let mut two = Node::start(2, listen().await);
    one.transport.set_members(&membership([(1, one.address), (2, two.address)]));
    one.send(vec![append(1, 2, 4, 10)]);
    assert_eq!(two.received().await, append(1, 2, 4, 10));
    two.send(vec![heartbeat(2, 1, 8)]);
    assert_eq!(one.received().await, heartbeat(2, 1, 8));
    // Once 2 has learned of 1, streams go both ways.
    two.transport.set_members(&membership([(1, one.address), (2, two.address)]));
    one.is_read_by(2).await;
    two.is_read_by(1).await;
}

#[tokio::test]
async fn traffic_and_peers_are_counted() {
    let mut nodes = Node::cluster(2).await;
    nodes[0].send(vec![append(1, 2, 9, 5000)]);
    nodes[1].received().await;
    let count =
        |node: &Node, series: &str| node.metric(&format!("etcd_network_{series}")).unwrap_or_default();
    assert!(count(&nodes[0], r#"peer_sent_bytes_total{To="2"}"#) > 5000.0);
    assert!(count(&nodes[1], r#"peer_received_bytes_total{From="1"}"#) > 5000.0);
    assert_eq!(count(&nodes[0], r#"active_peers{Local="1",Remote="2"}"#), 1.0);
    assert_eq!(count(&nodes[0], r#"known_peers{Local="1",Remote="2"}"#), 1.0);
    let probes = r#"etcd_network_peer_round_trip_time_seconds_count{To="2"}"#;
    eventually(|| nodes[0].metric(probes) > Some(0.0)).await;
    let two = nodes.pop().expect("there are two");
    two.stop().await;
    let lost = r#"etcd_network_disconnected_peers_total{Local="1",Remote="2"}"#;
    eventually(|| nodes[0].metric(lost) == Some(1.0)).await;
    assert_eq!(count(&nodes[0], r#"active_peers{Local="1",Remote="2"}"#), 0.0);
}

#[tokio::test]
async fn a_replaced_stream_reports_the_peer_as_unreachable() {
    let (mut node, _other) = with_port_of_peer(3).await;
    let _older = read_stream(&node, 3, "message").await;
    assert_eq!(node.reports(), []);
    let _newer = read_stream(&node, 3, "message").await;
    node.reported(&unreachable(3)).await;
}
