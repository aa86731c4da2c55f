//! The metrics of members about each other.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Metrics, Program, on_every_program};

use super::support::put;

/// With these flags the log keeps fewer than a hundred entries.
const SHORT_LOG: &[&str] = &["--snapshot-count=20", "--snapshot-catchup-entries=10"];
const PUTS: usize = 100;

async fn now<P: Program>(cluster: &Members<P>, number: usize) -> Metrics {
    Metrics::at(&cluster.client_url(number)).await.expect("a running member has metrics")
}

/// Waits until all of these metrics have their values.
async fn has<P: Program>(cluster: &Members<P>, number: usize, expected: &[(String, f64)]) {
    until(&format!("the metrics of m{number}"), DEADLINE, async || {
        let metrics = now(cluster, number).await;
        let found: Vec<_> = expected.iter().map(|(name, _)| (name.clone(), metrics.get(name))).collect();
        let is_so = found.iter().zip(expected).all(|((_, found), (_, value))| *found == Some(*value));
        if is_so { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
    })
    .await;
}

fn one(name: &str, value: f64) -> (String, f64) {
    (name.to_owned(), value)
}

/// A metric of the connection with another member.
fn of(name: &str, label: &str, id: u64, value: f64) -> (String, f64) {
    (format!("etcd_network_{name}{{{label}=\"{id:x}\"}}"), value)
}

/// Every member knows the leader and all peers.
async fn at_rest<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(3)).await;
    let leader = cluster.leader().await;
    for number in 0..3 {
        let own = cluster.id(number);
        let mut expected = vec![
            one("etcd_server_has_leader", 1.0),
            one("etcd_server_is_leader", f64::from(u8::from(number == leader))),
            one("etcd_server_is_learner", 0.0),
            one("etcd_server_learner_promote_successes", 0.0),
            one("etcd_server_snapshot_apply_in_progress_total", 0.0),
            one("etcd_disk_backend_snapshot_duration_seconds_count", 0.0),
            one("etcd_snap_db_save_total_duration_seconds_count", 0.0),
            one("etcd_cluster_version{cluster_version=\"3.7\"}", 1.0),
            (format!("etcd_server_id{{server_id=\"{own:x}\"}}"), 1.0),
        ];
        for other in (0..3).map(|other| cluster.id(other)) {
            let ends = format!("{{Local=\"{own:x}\",Remote=\"{other:x}\"}}");
            expected.push((format!("etcd_network_known_peers{ends}"), 1.0));
            if other != own {
                expected.push((format!("etcd_network_active_peers{ends}"), 1.0));
            }
        }
        has(&cluster, number, &expected).await;
        let metrics = now(&cluster, number).await;
        let value =
            |name: &str| metrics.get(name).unwrap_or_else(|| panic!("{name} is not among the metrics"));
        assert!(value("etcd_server_leader_changes_seen_total") >= 1.0);
        value("etcd_server_heartbeat_send_failures_total");
        if number != leader {
            let id = cluster.id(leader);
            assert!(value(&of("peer_received_bytes_total", "From", id, 0.0).0) > 0.0);
            assert!(value(&of("peer_sent_bytes_total", "To", id, 0.0).0) > 0.0);
        }
    }
}

/// The leader counts promotions, and the reasons of rejected ones.
async fn promotions<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let learner = cluster.add(follower, true).await;
    let id = cluster.id(learner);
    let mut through = cluster.clients(leader).cluster;
    through.member_promote(pb::MemberPromoteRequest { id }).await.expect_err("it was never there");
    cluster.restart(learner).await;
    has(&cluster, learner, &[one("etcd_server_is_learner", 1.0), one("etcd_server_has_leader", 1.0)]).await;
    cluster.promote(leader, learner).await;
    has(&cluster, learner, &[one("etcd_server_is_learner", 0.0)]).await;
    let reason = "etcdserver: can only promote a learner member which is in sync with leader";
    let rejected = format!("etcd_server_learner_promote_failures{{Reason=\"{reason}\"}}");
    let metrics = now(&cluster, leader).await;
    assert!(metrics.get(&rejected) >= Some(1.0));
    assert_eq!(metrics.get("etcd_server_learner_promote_successes"), Some(1.0));
    assert_eq!(now(&cluster, follower).await.get("etcd_server_learner_promote_successes"), Some(0.0));
}

/// Sender and receiver count a snapshot.
async fn snapshots<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3).with(SHORT_LOG)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    cluster.kill9(follower).await;
    for _ in 0..PUTS {
        put(&cluster.clients(leader), "a", "v").await.expect("two are enough");
    }
    cluster.restart(follower).await;
    let (to, from) = (cluster.id(follower), cluster.id(leader));
    let sent = [
        of("snapshot_send_success", "To", to, 1.0),
        of("snapshot_send_inflights_total", "To", to, 0.0),
        of("snapshot_send_total_duration_seconds_count", "To", to, 1.0),
        one("etcd_disk_backend_snapshot_duration_seconds_count", 1.0),
    ];
    has(&cluster, leader, &sent).await;
    let received = [
        of("snapshot_receive_success", "From", from, 1.0),
        of("snapshot_receive_inflights_total", "From", from, 0.0),
        of("snapshot_receive_total_duration_seconds_count", "From", from, 1.0),
        one("etcd_snap_db_save_total_duration_seconds_count", 1.0),
        one("etcd_server_snapshot_apply_in_progress_total", 0.0),
    ];
    has(&cluster, follower, &received).await;
    cluster.assert_equal().await;
}

on_every_program! {
    members_report_leader_and_peers => at_rest(),
    promotions_are_counted => promotions(),
    snapshots_are_counted => snapshots(),
}
