use ferretcd_base::MemberId;

use super::harness::{Node, heartbeat, listen};

/// More than the table holds.
const MANY: u64 = 200;

/// Members 1 and 2, each without peers.
async fn two_members() -> (Node, Node) {
    (Node::start(1, listen().await), Node::start(2, listen().await))
}

fn add_remote(node: &Node, id: u64, url: &str) {
    node.transport.table().add_remote(MemberId(id), &[url.to_owned()]);
}

fn url(node: &Node) -> String {
    format!("http://{}", node.address)
}

/// Adds remotes that do not exist.
fn invent(node: &Node, ids: std::ops::Range<u64>) {
    for id in ids {
        add_remote(node, id, "http://127.0.0.1:1");
    }
}

#[tokio::test]
async fn invented_remotes_do_not_displace_a_newer_one() {
    let (one, mut two) = two_members().await;
    invent(&one, 1000..1000 + MANY);
    add_remote(&one, 2, &url(&two));
    one.send(vec![heartbeat(1, 2, 7)]);
    assert_eq!(two.received().await, heartbeat(1, 2, 7));
}

#[tokio::test]
async fn a_remote_stays_while_it_sends_requests() {
    let (one, mut two) = two_members().await;
    add_remote(&one, 2, &url(&two));
    for n in 0..MANY / 10 {
        invent(&one, 1000 + 10 * n..1010 + 10 * n);
        add_remote(&one, 2, &url(&two));
    }
    invent(&one, 5000..5010);
    one.send(vec![heartbeat(1, 2, 7)]);
    assert_eq!(two.received().await, heartbeat(1, 2, 7));
    // An impostor claimed to be member 2 before the member itself did.
    add_remote(&one, 2, "http://127.0.0.1:1");
    add_remote(&one, 2, &url(&two));
    one.send(vec![heartbeat(1, 2, 8)]);
    assert_eq!(two.received().await, heartbeat(1, 2, 8));
}

#[tokio::test]
async fn invented_remotes_have_no_series_of_their_own() {
    let (one, _) = two_members().await;
    invent(&one, 0x77..0x78);
    let sent = |to: &str| one.metric(&format!(r#"etcd_network_peer_sent_bytes_total{{To="{to}"}}"#));
    assert_eq!((sent("77"), sent("0")), (None, Some(0.0)));
}
