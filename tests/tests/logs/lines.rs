//! The form of all lines of a run in which nothing is wrong.

use std::collections::BTreeSet;

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{Members, Setup};
use ferretcd_tests::{Caller, Program, on_every_program};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{assert_begins_with, put};

on_every_program! {
    lines_have_etcds_form_and_none_is_an_error => run(),
}

/// Warnings of etcd 3.7.1 that belong to such a run: about how it was started, a member that is away for a while, and a
/// machine that is slow.
const WARNINGS: &[&str] = &[
    "Running http and grpc server on single port. This is not recommended for production.",
    "apply request took too long",
    "closed TCP streaming connection with remote peer",
    "established TCP streaming connection with remote peer",
    "failed to get version",
    "failed to publish local member to cluster through raft",
    "failed to reach the peer URL",
    "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk",
    "leadership transfer failed",
    "lost TCP streaming connection with remote peer",
    "peer became inactive (message send to peer failed)",
    "prober detected unhealthy status",
    "prober found high clock drift",
    "request stats",
    "simple token is not cryptographically signed",
    "slow fdatasync",
    "stopped TCP streaming connection with remote peer",
    "stopping etcd because received signal",
];

async fn run<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    for number in [leader, follower] {
        let caller = Caller::of(&cluster.client_url(number));
        let mut watch = caller.watch();
        let create = pb::WatchCreateRequest { key: "a".into(), ..pb::WatchCreateRequest::default() };
        watch.created(create).await;
        caller.call(put("a", "1")).await.expect("a put");
        watch.until_events(1).await;
        let id = 7 + i64::try_from(number).expect("a small number");
        caller.call(pb::LeaseGrantRequest { ttl: 60, id }).await.expect("a lease");
        drop(caller.renew(&[id]).await.expect("a renewal"));
        caller.call(pb::LeaseRevokeRequest { id }).await.expect("an end");
        gone(&cluster.client_url(number)).await;
        // The watch is open when its client goes away.
    }
    cluster.stop(follower).await;
    let caller = Caller::of(&cluster.client_url(leader));
    caller.call(put("a", "2")).await.expect("a put without one member");
    cluster.restart(follower).await;
    cluster.serves(follower).await;
    let caller = Caller::of(&cluster.client_url(follower));
    caller.call(put("a", "3")).await.expect("a put through the member that is back");
    for number in 0..3 {
        cluster.stop(number).await;
        check::<P>(&cluster.logs(number));
    }
}

/// A client that is killed in the middle of a request.
async fn gone(url: &str) {
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("it listens");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0").await.expect("it reads");
    stream.set_zero_linger().expect("a socket can be reset");
    drop(stream);
}

fn check<P: Program>(logs: &str) {
    assert!(logs.lines().count() > 20, "{logs}");
    let mut unexpected = BTreeSet::new();
    for line in logs.lines() {
        let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let names: &[&str] = match json.get("logger") {
            Some(_) => &["level", "ts", "logger", "caller", "msg"],
            None => &["level", "ts", "caller", "msg"],
        };
        assert_begins_with(line, names);
        assert!(line.starts_with("{\"level\":\""), "{line}");
        // Etcd warns of its own end, and logs errors when its listeners are closed.
        if P::KIND.reference {
            continue;
        }
        let (level, message) = (&json["level"], json["msg"].as_str().unwrap_or_default());
        let is_expected = level == "info" || (level == "warn" && WARNINGS.contains(&message));
        if !is_expected {
            unexpected.insert(line);
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}
