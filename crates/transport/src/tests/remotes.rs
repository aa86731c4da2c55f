use ferretcd_base::MemberId;

use super::harness::{Node, heartbeat, listen};

/// More than are remembered.
const MANY: u64 = 200;

/// Members 1 and 2, who do not know each other.
async fn unacquainted() -> (Node, Node) {
    (Node::start(1, listen().await), Node::start(2, listen().await))
}

fn meet(node: &Node, id: u64, url: &str) {
    node.transport.meet(MemberId(id), &[url.to_owned()]);
}

fn url(node: &Node) -> String {
    format!("http://{}", node.address)
}

/// Makes the member hear of many that are not there.
fn invent(node: &Node, ids: std::ops::Range<u64>) {
    for id in ids {
        meet(node, id, "http://127.0.0.1:1");
    }
}

#[tokio::test]
async fn invented_members_keep_nobody_from_being_answered() {
    let (one, mut two) = unacquainted().await;
    invent(&one, 1000..1000 + MANY);
    meet(&one, 2, &url(&two));
    one.send(vec![heartbeat(1, 2, 7)]);
    assert_eq!(two.received().await, heartbeat(1, 2, 7));
}

#[tokio::test]
async fn who_is_heard_of_stays() {
    let (one, mut two) = unacquainted().await;
    meet(&one, 2, &url(&two));
    for n in 0..MANY / 10 {
        invent(&one, 1000 + 10 * n..1010 + 10 * n);
        meet(&one, 2, &url(&two));
    }
    invent(&one, 5000..5010);
    one.send(vec![heartbeat(1, 2, 7)]);
    assert_eq!(two.received().await, heartbeat(1, 2, 7));
    // Somebody else said to be member 2, and then it did itself.
    meet(&one, 2, "http://127.0.0.1:1");
    meet(&one, 2, &url(&two));
    one.send(vec![heartbeat(1, 2, 8)]);
    assert_eq!(two.received().await, heartbeat(1, 2, 8));
}

#[tokio::test]
async fn invented_members_have_no_series_of_their_own() {
    let (one, _) = unacquainted().await;
    invent(&one, 0x77..0x78);
    let sent = |to: &str| one.metric(&format!(r#"etcd_network_peer_sent_bytes_total{{To="{to}"}}"#));
    assert_eq!((sent("77"), sent("0")), (None, Some(0.0)));
}
