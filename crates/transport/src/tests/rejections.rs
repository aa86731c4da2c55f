use ferretcd_api_proto::raftpb::Message;
use ferretcd_engine::Peers as _;
use prost::Message as _;

use super::harness::{Node, append, headers, heartbeat, listen, membership, snapshot_message, without};

/// Member 1, with peer 2 and the removed member 3.
async fn node() -> Node {
    let node = Node::start(1, listen().await);
    let [two, three] = [listen().await, listen().await].map(|other| other.local_addr().expect("it is bound"));
    node.transport.set_members(&without(membership([(1, node.address), (2, two), (3, three)]), 3));
    node
}

async fn send(node: &Node, method: &str, path: &str, headers: &str, body: &[u8]) -> String {
    let length = body.len();
    let request =
        format!("{method} {path} HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
    node.respond(&request, body).await
}

/// Sends a request and checks the status line and the body of the response.
async fn check(node: &Node, request: (&str, &str, &str, &[u8]), expected: (u16, &str)) {
    let (method, path, headers, body) = request;
    let response = send(node, method, path, headers, body).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or_default();
    assert!(head.starts_with(&format!("HTTP/1.1 {} ", expected.0)), "{method} {path}: {response}");
    assert_eq!(body, expected.1, "{method} {path}");
}

#[tokio::test]
async fn streams_of_other_clusters_and_versions_are_rejected() {
    let node = node().await;
    let fits = headers(2, 1);
    let other_cluster = fits.replace("-cluster-id: c1", "-cluster-id: c2");
    let old = fits.replace("3.7.1", "2.3.0");
    let new = fits.replace("3.0.0", "3.9.0");
    for (path, headers, expected) in [
        ("/raft/stream/message/2", &other_cluster, (412, "cluster ID mismatch\n")),
        ("/raft/stream/message/2", &old, (412, "incompatible version\n")),
        ("/raft/stream/message/2", &new, (412, "incompatible version\n")),
        ("/raft/stream/message/2", &"host: h\r\n".to_owned(), (412, "incompatible version\n")),
        ("/raft/stream/message/2", &self::headers(2, 9), (412, "to field mismatch\n")),
        ("/raft/stream/message/3", &fits, (410, "removed member\n")),
        ("/raft/stream/message/7", &fits, (404, "error sender not found\n")),
        ("/raft/stream/message/q", &fits, (404, "invalid from\n")),
        ("/raft/stream/msgapp2/2", &fits, (404, "invalid path\n")),
    ] {
        check(&node, ("GET", path, headers, b""), expected).await;
    }
    check(&node, ("POST", "/raft/stream/message/2", &fits, b""), (405, "Method Not Allowed\n")).await;
    let response = send(&node, "GET", "/raft/stream/message/3", &fits, b"").await;
    assert!(response.contains("\r\nx-etcd-cluster-id: c1\r\n"), "{response}");
}

#[tokio::test]
async fn posted_messages_of_other_clusters_and_members_are_rejected() {
    let mut node = node().await;
    let fits = headers(2, 1);
    let encoded = |message: Message| message.encode_to_vec();
    let good = encoded(heartbeat(2, 1, 5));
    let mismatch = r#"{"message":"cannot process message to mismatch member"}"#;
    let removed = r#"{"message":"cannot process message from removed member"}"#;
    let hup = encoded(Message { r#type: Some(0), to: Some(1), ..Message::default() });
    for (body, expected) in [
        (&good, (204, "")),
        (&encoded(heartbeat(2, 9, 5)), (403, mismatch)),
        (&encoded(heartbeat(3, 1, 5)), (403, removed)),
        (&b"nonsense".to_vec(), (400, "error unmarshalling raft message\n")),
        (&hup, (500, "error processing raft message\n")),
        // The snapshot must arrive in the same request.
        (&encoded(snapshot_message(2, 1, 7)), (500, "error processing raft message\n")),
    ] {
        check(&node, ("POST", "/raft", &fits, body), expected).await;
    }
    let other_cluster = fits.replace("-cluster-id: c1", "-cluster-id: c2");
    check(&node, ("POST", "/raft", &other_cluster, &good), (412, "cluster ID mismatch\n")).await;
    check(&node, ("PUT", "/raft", &fits, &good), (405, "Method Not Allowed\n")).await;
    assert_eq!(node.received().await, heartbeat(2, 1, 5));
    assert!(node.has_received_all());
    // Senders that are no members have no series of their own: they could invent any number of ids.
    let bytes =
        |from: &str| node.metric(&format!(r#"etcd_network_peer_received_bytes_total{{From="{from}"}}"#));
    let before = bytes("0").unwrap_or_default();
    let remote = encoded(heartbeat(0x77, 1, 5));
    check(&node, ("POST", "/raft", &headers(0x77, 1), &remote), (204, "")).await;
    assert_eq!((bytes("77"), bytes("0")), (None, Some(before + remote.len() as f64)));
}

#[tokio::test]
async fn snapshots_of_other_clusters_and_members_are_rejected() {
    let mut node = node().await;
    let fits = headers(2, 1);
    let framed = |message: Message, image: &[u8]| {
        let encoded = message.encode_to_vec();
        [&(encoded.len() as u64).to_be_bytes(), encoded.as_slice(), image].concat()
    };
    let mismatch = r#"{"message":"cannot process message to mismatch member"}"#;
    let removed = r#"{"message":"cannot process message from removed member"}"#;
    let limit = "failed to decode raft message (rafthttp: error limit exceeded)\n";
    for (body, expected) in [
        (framed(snapshot_message(2, 1, 7), b"image"), (204, "")),
        (framed(snapshot_message(2, 9, 7), b""), (403, mismatch)),
        (framed(snapshot_message(3, 1, 7), b""), (403, removed)),
        (framed(append(2, 1, 7, 1), b""), (400, "wrong raft message type\n")),
        (u64::MAX.to_be_bytes().to_vec(), (400, limit)),
        (vec![], (400, "failed to decode raft message (unexpected end of file)\n")),
    ] {
        check(&node, ("POST", "/raft/snapshot", &fits, &body), expected).await;
    }
    let other_cluster = fits.replace("-cluster-id: c1", "-cluster-id: c2");
    check(&node, ("POST", "/raft/snapshot", &other_cluster, b""), (412, "cluster ID mismatch\n")).await;
    check(&node, ("GET", "/raft/snapshot", &fits, b""), (405, "Method Not Allowed\n")).await;
    assert_eq!(node.received().await.from(), 2);
    assert_eq!(
        node.recorder.stored.lock().iter().map(|stored| stored.image.clone()).collect::<Vec<_>>(),
        [b"image"]
    );

    // Nothing of a broken connection is stored.
    let body = framed(snapshot_message(2, 1, 8), b"half");
    let request = format!("POST /raft/snapshot HTTP/1.1\r\n{fits}content-length: 99999\r\n\r\n");
    let mut stream = node.dial().await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[request.as_bytes(), &body].concat())
        .await
        .expect("it is open");
    drop(stream);
    let failures = r#"etcd_network_snapshot_receive_failures{From="2"}"#;
    let before = node.metric(failures).unwrap_or_default();
    super::harness::eventually(|| node.metric(failures).unwrap_or_default() >= before.max(1.0)).await;
    assert_eq!(node.recorder.stored.lock().len(), 1);
    assert!(node.has_received_all());
}

#[tokio::test]
async fn rpc_responses_are_the_same_as_etcds() {
    let node = node().await;
    let plain = "host: h\r\n";
    for (request, expected) in [
        (
            ("GET", "/members", plain, &b""[..]),
            (200, "[{\"id\":1,\"peerURLs\":null,\"name\":\"recorder\"}]\n"),
        ),
        (("POST", "/members", plain, b""), (405, "Method Not Allowed\n")),
        (
            ("POST", "/members/promote/18446744073709551615", plain, b""),
            (200, "[{\"id\":18446744073709551615,\"peerURLs\":null}]\n"),
        ),
        (("POST", "/members/promote/x", plain, b""), (404, "member x not found in cluster\n")),
        (("GET", "/members/promote/1", plain, b""), (405, "Method Not Allowed\n")),
        (
            ("GET", "/members/hashkv", plain, b"{\"revision\":4}"),
            (200, r#"{"header":{"revision":4},"hash":43981,"compact_revision":-1,"hash_revision":4}"#),
        ),
        (("GET", "/members/hashkv", plain, b"4"), (400, "error unmarshalling request\n")),
        (
            ("GET", "/members/hashkv", "host: h\r\nx-etcd-cluster-id: c2\r\n", b"{}"),
            (412, "cluster ID mismatch\n"),
        ),
        (("POST", "/leases", plain, b"\x08\x07"), (200, "\x10\x07\x18F")),
        (("POST", "/leases", plain, b"\xff"), (400, "error unmarshalling request\n")),
        (("POST", "/leases", plain, &vec![0; 65537]), (413, "request body too large\n")),
        (("GET", "/leases", plain, b""), (405, "Method Not Allowed\n")),
        (("POST", "/leases/internal", plain, b""), (400, "error unmarshalling request\n")),
        (("GET", "/downgrade/enabled", plain, b""), (200, "true")),
        (("POST", "/downgrade/enabled", plain, b""), (405, "Method Not Allowed\n")),
        (("GET", "/version", plain, b""), (200, r#"{"etcdserver":"3.7.1","etcdcluster":"3.7.0"}"#)),
    ] {
        check(&node, request, expected).await;
    }
    let probe = send(&node, "GET", "/raft/probing", plain, b"").await;
    assert!(probe.contains(r#"{"OK":true,"Now":"20"#), "{probe}");
    let other = send(&node, "GET", "/nowhere", plain, b"").await;
    assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
}
