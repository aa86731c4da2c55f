use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferretcd_engine::Peers as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::harness::{Node, eventually, heartbeat, listen, membership, unreachable};
use crate::PeerReport;

/// Sends the same response to all requests, and counts them.
async fn respond_to_all(listener: TcpListener, response: String, n_responses: Arc<AtomicUsize>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
        // The member may have closed the connection; it sends the request again.
        let _ = stream.write_all(response.as_bytes()).await;
        n_responses.fetch_add(1, Ordering::Relaxed);
    }
}

/// Checks whether a member reports itself as removed after such a response to its messages and dials.
async fn check(status: &str, cluster: &str, body: &str, is_removed: bool) {
    let mut node = Node::start(1, listen().await);
    let other = listen().await;
    let address = other.local_addr().expect("it is bound");
    let length = body.len();
    let response = format!(
        "HTTP/1.1 {status}\r\nx-etcd-cluster-id: {cluster}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let n_responses = Arc::new(AtomicUsize::new(0));
    let responding = tokio::spawn(respond_to_all(other, response, Arc::clone(&n_responses)));
    node.transport.set_members(&membership([(1, node.address), (2, address)]));
    node.send(vec![heartbeat(1, 2, 1)]);
    if is_removed {
        node.reported(&PeerReport::Removed).await;
    } else {
        node.reported(&unreachable(2)).await;
        // Each of the two readers has received several responses by then.
        eventually(|| n_responses.load(Ordering::Relaxed) > 10).await;
        assert_eq!(node.reports(), [], "{status} {cluster} {body}");
    }
    responding.abort();
}

#[tokio::test]
async fn only_responses_of_the_cluster_report_a_removal() {
    let removed = r#"{"message":"cannot process message from removed member"}"#;
    let mismatch = r#"{"message":"cannot process message to mismatch member"}"#;
    check("403 Forbidden", "c1", removed, true).await;
    check("403 Forbidden", "c1", mismatch, false).await;
    check("403 Forbidden", "c2", removed, false).await;
    check("403 Forbidden", "", "<html>no access</html>", false).await;
    check("410 Gone", "c1", "removed member\n", true).await;
    check("410 Gone", "", "<html>moved</html>", false).await;
}
