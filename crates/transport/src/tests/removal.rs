use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferretcd_base::MemberId;
use ferretcd_engine::Peers as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::harness::{Node, eventually, heartbeat, listen, membership};
use crate::PeerReport;

/// Gives the same answer to whatever is asked, and counts.
async fn answer_all(listener: TcpListener, answer: String, answered: Arc<AtomicUsize>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { break };
            head.push(byte);
        }
        // Who does not listen any more asks again.
        let _ = stream.write_all(answer.as_bytes()).await;
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether a member whose messages and dials are answered like that takes itself for removed.
async fn check(status: &str, cluster: &str, body: &str, is_removed: bool) {
    let mut node = Node::start(1, listen().await);
    let other = listen().await;
    let address = other.local_addr().expect("it is bound");
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nx-etcd-cluster-id: {cluster}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let answered = Arc::new(AtomicUsize::new(0));
    let answering = tokio::spawn(answer_all(other, answer, Arc::clone(&answered)));
    node.transport.set_members(&membership([(1, node.address), (2, address)]));
    node.send(vec![heartbeat(1, 2, 1)]);
    if is_removed {
        node.reported(&PeerReport::Removed).await;
    } else {
        node.reported(&PeerReport::Unreachable(MemberId(2))).await;
        // Each of the two readers has taken several answers by then.
        eventually(|| answered.load(Ordering::Relaxed) > 10).await;
        assert_eq!(node.reports(), [], "{status} {cluster} {body}");
    }
    answering.abort();
}

#[tokio::test]
async fn only_members_can_say_that_one_is_removed() {
    let removed = r#"{"message":"cannot process message from removed member"}"#;
    let mismatch = r#"{"message":"cannot process message to mismatch member"}"#;
    check("403 Forbidden", "c1", removed, true).await;
    check("403 Forbidden", "c1", mismatch, false).await;
    check("403 Forbidden", "c2", removed, false).await;
    check("403 Forbidden", "", "<html>no access</html>", false).await;
    check("410 Gone", "c1", "removed member\n", true).await;
    check("410 Gone", "", "<html>moved</html>", false).await;
}
