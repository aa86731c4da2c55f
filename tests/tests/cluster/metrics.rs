//! The metrics of members about each other.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{DEADLINE, Members, Setup, until};
use ferretcd_tests::{Clients, Metrics, Program, Renewals, WatchStream, on_every_program, raw};

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

/// Names and types of the metrics of requests and of the key space.
const FAMILIES: &[(&str, &str)] = &[
    ("etcd_server_request_duration_seconds", "histogram"),
    ("etcd_server_apply_duration_seconds", "histogram"),
    ("etcd_server_range_duration_seconds", "histogram"),
    ("etcd_mvcc_db_open_read_transactions", "gauge"),
    ("etcd_debugging_mvcc_total_put_size_in_bytes", "gauge"),
    ("etcd_debugging_mvcc_db_compaction_last", "gauge"),
    ("etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds", "histogram"),
];

/// One of the first buckets and the last ones, so that there are no others.
const BUCKETS: &[(&str, &[&str], &[&str])] = &[
    (
        "etcd_server_request_duration_seconds_bucket{success=\"true\",type=\"Put\",le=\"BOUND\"}",
        &["0.001", "0.002", "4.096", "8.192", "+Inf"],
        &["0.0005", "16.384"],
    ),
    (
        "etcd_server_apply_duration_seconds_bucket{op=\"Put\",success=\"true\",version=\"v3\",le=\"BOUND\"}",
        &["0.0001", "0.0002", "26.2144", "52.4288", "+Inf"],
        &["0.00005", "104.8576"],
    ),
    (
        "etcd_server_range_duration_seconds_bucket{success=\"true\",le=\"BOUND\"}",
        &["0.0001", "0.0002", "26.2144", "52.4288", "+Inf"],
        &["0.00005", "104.8576"],
    ),
    (
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds_bucket{le=\"BOUND\"}",
        &["0.5", "1", "2048", "4096", "+Inf"],
        &["0.25", "8192"],
    ),
];

/// Some requests of each kind, of which some fail.
async fn some_requests(clients: &Clients) {
    let mut kv = clients.kv.clone();
    for _ in 0..3 {
        put(clients, "key", "value").await.expect("a sole member takes puts");
    }
    let range =
        |key: &str, revision| pb::RangeRequest { key: key.to_owned().into(), revision, ..Default::default() };
    for _ in 0..2 {
        kv.range(range("key", 0)).await.expect("it is there");
    }
    kv.range(range("key", 1 << 40)).await.expect_err("there is no such revision");
    kv.range_stream(range("key", 0))
        .await
        .expect("it is there")
        .into_inner()
        .message()
        .await
        .expect("one message");
    let op = |request| pb::RequestOp { request: Some(request) };
    let get = op(pb::request_op::Request::RequestRange(range("key", 0)));
    let only_reads = pb::TxnRequest { success: vec![get], ..Default::default() };
    kv.txn(only_reads).await.expect("it only reads");
    let write = pb::PutRequest { key: "other".into(), value: "1234".into(), ..Default::default() };
    let write = op(pb::request_op::Request::RequestPut(write));
    kv.txn(pb::TxnRequest { success: vec![write], ..Default::default() }).await.expect("it writes");
    let delete = pb::DeleteRangeRequest { key: "other".into(), ..Default::default() };
    kv.delete_range(delete).await.expect("it is there");
    clients
        .lease
        .clone()
        .lease_revoke(pb::LeaseRevokeRequest { id: 404 })
        .await
        .expect_err("it is not there");
    let revision = put(clients, "key", "").await.expect("a sole member takes puts");
    let compaction = pb::CompactionRequest { revision, physical: true };
    kv.compact(compaction).await.expect("the revision is there");
    kv.compact(compaction).await.expect_err("it is compacted");
}

/// Requests are timed by kind and outcome, and the key space says what was put and compacted.
async fn requests<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(1)).await;
    has(&cluster, 0, &[one("etcd_cluster_version{cluster_version=\"3.7\"}", 1.0)]).await;
    let before = now(&cluster, 0).await;
    assert_eq!(before.get("etcd_debugging_mvcc_db_compaction_last"), Some(0.0));
    some_requests(&cluster.clients(0)).await;
    let after = now(&cluster, 0).await;

    let request = |kind: &str, success: bool| {
        format!("etcd_server_request_duration_seconds_count{{success=\"{success}\",type=\"{kind}\"}}")
    };
    let apply = |op: &str, success: bool| {
        let labels = format!("op=\"{op}\",success=\"{success}\",version=\"v3\"");
        format!("etcd_server_apply_duration_seconds_count{{{labels}}}")
    };
    let range = |success: bool| format!("etcd_server_range_duration_seconds_count{{success=\"{success}\"}}");
    let key_space = |name: &str| format!("etcd_debugging_mvcc_{name}");
    for (name, expected) in [
        (request("Put", true), 4.0),
        (request("Range", true), 2.0),
        (request("Range", false), 1.0),
        (request("ReadonlyTxn", true), 1.0),
        (request("Txn", true), 1.0),
        (request("DeleteRange", true), 1.0),
        (request("Compaction", true), 2.0),
        (request("LeaseRevoke", true), 1.0),
        (request("Compaction", false), 0.0),
        (apply("Put", true), 4.0),
        (apply("Txn", true), 1.0),
        (apply("DeleteRange", true), 1.0),
        (apply("Compaction", true), 2.0),
        (apply("LeaseRevoke", false), 1.0),
        (range(true), 3.0),
        (range(false), 1.0),
        ("etcd_mvcc_put_total".to_owned(), 5.0),
        ("etcd_mvcc_delete_total".to_owned(), 1.0),
        (key_space("total_put_size_in_bytes"), 3.0 * 8.0 + 9.0 + 3.0),
        (key_space("index_compaction_pause_duration_milliseconds_count"), 1.0),
        (key_space("db_compaction_pause_duration_milliseconds_count"), 1.0),
    ] {
        let value = |metrics: &Metrics| metrics.get(&name).unwrap_or_default();
        assert_eq!(value(&after) - value(&before), expected, "{name}");
    }
    assert!(after.get(&key_space("db_compaction_last")) > Some(1_700_000_000.0));
    assert!(after.get("etcd_mvcc_db_open_read_transactions") >= Some(1.0));
    for (series, bounds, absent) in BUCKETS {
        let bucket = |bound: &&str| after.get(&series.replace("BOUND", bound)).is_some();
        assert!(bounds.iter().all(bucket) && !absent.iter().any(bucket), "{series}");
    }
    let page = raw::page(&cluster.client_url(0), "/metrics").await.expect("a running member has metrics");
    for (name, kind) in FAMILIES {
        assert!(page.contains(&format!("\n# TYPE {name} {kind}\n")), "{name}");
    }
}

/// A request that is rejected when it is applied has not failed as a proposal.
async fn rejected<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(1)).await;
    let put = pb::PutRequest { key: "key".into(), lease: 404, ..pb::PutRequest::default() };
    cluster.clients(0).kv.put(put).await.expect_err("there is no such lease");
    has(&cluster, 0, &[one("etcd_server_proposals_failed_total", 0.0)]).await;
}

fn op(request: pb::request_op::Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

/// A condition on a key that is not there.
fn absent() -> pb::Compare {
    pb::Compare { key: "absent".into(), ..pb::Compare::default() }
}

/// Only transactions of more than one operation count, and the conditions of those that write are one by themselves.
async fn transactions<P: Program>() {
    use pb::request_op::Request::{RequestDeleteRange, RequestPut, RequestRange};
    let cluster = Members::<P>::start(&Setup::of(1)).await;
    let clients = cluster.clients(0);
    let mut kv = clients.kv.clone();
    let range = || pb::RangeRequest { key: "key".into(), ..pb::RangeRequest::default() };
    let put = || pb::PutRequest { key: "key".into(), ..pb::PutRequest::default() };
    let (get, set) = (|| op(RequestRange(range())), || op(RequestPut(put())));
    let delete = || {
        let prev_kv = true;
        op(RequestDeleteRange(pb::DeleteRangeRequest { key: "key".into(), prev_kv, ..Default::default() }))
    };
    // With the number of ranges, and of transactions.
    for (conditions, operations, n_ranges, n_txns) in [
        (0, vec![], 0.0, 0.0),
        (1, vec![], 1.0, 0.0),
        (0, vec![get()], 1.0, 0.0),
        (1, vec![get()], 2.0, 1.0),
        (0, vec![get(), get(), get()], 3.0, 1.0),
        (0, vec![set()], 0.0, 0.0),
        (1, vec![set()], 1.0, 0.0),
        (2, vec![set()], 2.0, 1.0),
        (2, vec![set(), get()], 3.0, 2.0),
        (0, vec![delete()], 1.0, 1.0),
    ] {
        let before = now(&cluster, 0).await;
        let what = format!("{conditions} conditions, {operations:?}");
        let compare = vec![absent(); conditions];
        let txn = pb::TxnRequest { compare, success: operations, ..pb::TxnRequest::default() };
        kv.txn(txn).await.expect("it is valid");
        let after = now(&cluster, 0).await;
        let more = |name| after.get(name).unwrap_or_default() - before.get(name).unwrap_or_default();
        let found = (more("etcd_mvcc_range_total"), more("etcd_mvcc_txn_total"));
        assert_eq!(found, (n_ranges, n_txns), "{what}");
    }
}

/// The end of a lease with several keys counts as a transaction.
async fn revoked<P: Program>() {
    let cluster = Members::<P>::start(&Setup::of(1)).await;
    let clients = cluster.clients(0);
    for (n_keys, n_txns) in [(0, 0.0), (1, 0.0), (3, 1.0)] {
        let mut lease = clients.lease.clone();
        let grant = pb::LeaseGrantRequest { ttl: 600, id: 0 };
        let id = lease.lease_grant(grant).await.expect("it is valid").into_inner().id;
        for number in 0..n_keys {
            let key = format!("key{number}").into();
            let put = pb::PutRequest { key, lease: id, ..pb::PutRequest::default() };
            clients.kv.clone().put(put).await.expect("the lease is there");
        }
        let before = now(&cluster, 0).await.get("etcd_mvcc_txn_total");
        lease.lease_revoke(pb::LeaseRevokeRequest { id }).await.expect("it is there");
        let after = now(&cluster, 0).await.get("etcd_mvcc_txn_total");
        assert_eq!(after.unwrap_or_default() - before.unwrap_or_default(), n_txns, "{n_keys} keys");
    }
}

/// What has come to a method since `before`: calls, messages each way, and calls that ended with this code.
fn traffic(before: &Metrics, after: &Metrics, labels: &str, code: &str) -> [f64; 4] {
    let more = |name: &str| after.get(name).unwrap_or_default() - before.get(name).unwrap_or_default();
    let of_family = |family: &str| more(&format!("grpc_server_{family}_total{{{labels}}}"));
    let handled = format!("grpc_server_handled_total{{grpc_code=\"{code}\",{labels}}}");
    [of_family("started"), of_family("msg_received"), of_family("msg_sent"), more(&handled)]
}

/// Waits until that much has come.
async fn has_come<P: Program>(
    cluster: &Members<P>,
    before: &Metrics,
    labels: &str,
    code: &str,
    expected: [f64; 4],
) {
    until(&format!("the traffic of {labels}"), DEADLINE, async || {
        let found = traffic(before, &now(cluster, 0).await, labels, code);
        if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
    })
    .await;
}

/// A unary call has a message each way, however it ends. A stream has one more from the client: the end.
async fn messages<P: Program>() {
    const RANGE: &str = r#"grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary""#;
    const WATCH: &str = r#"grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream""#;
    const KEEP_ALIVE: &str =
        r#"grpc_method="LeaseKeepAlive",grpc_service="etcdserverpb.Lease",grpc_type="bidi_stream""#;
    const SNAPSHOT: &str =
        r#"grpc_method="Snapshot",grpc_service="etcdserverpb.Maintenance",grpc_type="server_stream""#;
    let cluster = Members::<P>::start(&Setup::of(1)).await;
    let mut clients = cluster.clients(0);
    let before = now(&cluster, 0).await;
    let range = |revision| pb::RangeRequest { key: "key".into(), revision, ..Default::default() };
    clients.kv.range(range(0)).await.expect("an empty list is a response");
    has_come(&cluster, &before, RANGE, "OK", [1.0; 4]).await;
    clients.kv.range(range(1 << 40)).await.expect_err("there is no such revision");
    has_come(&cluster, &before, RANGE, "OutOfRange", [2.0, 2.0, 2.0, 1.0]).await;
    // Rejected before its request is looked at.
    let headers: &[(&str, &[u8])] = &[("client-api-version", b"\xff")];
    let url = cluster.client_url(0);
    let rejected = raw::call(&url, "/etcdserverpb.KV/Range", headers, raw::frame(&[]));
    let outcome = rejected.await.expect("the server responds").outcome();
    assert!(outcome.starts_with("3 "), "{outcome}");
    has_come(&cluster, &before, RANGE, "InvalidArgument", [3.0, 3.0, 3.0, 1.0]).await;

    let mut watch = WatchStream::open(&clients);
    watch.created(Default::default()).await;
    watch.cancel(0).await;
    watch.response().await;
    has_come(&cluster, &before, WATCH, "OK", [1.0, 2.0, 2.0, 0.0]).await;
    drop(watch);
    has_come(&cluster, &before, WATCH, "OK", [1.0, 3.0, 2.0, 0.0]).await;

    let mut renewals = Renewals::begin(&mut clients.lease, &[404, 405]).await.expect("it opens");
    for _ in 0..2 {
        renewals.next().await.expect("a response").expect("the stream goes on");
    }
    renewals.half_close();
    assert!(renewals.next().await.expect("the stream ends in order").is_none());
    has_come(&cluster, &before, KEEP_ALIVE, "OK", [1.0, 3.0, 2.0, 1.0]).await;

    let snapshot = clients.maintenance.snapshot(pb::SnapshotRequest {}).await.expect("it begins");
    let mut blobs = snapshot.into_inner();
    let mut count = 0.0;
    while blobs.message().await.expect("it comes whole").is_some() {
        count += 1.0;
    }
    has_come(&cluster, &before, SNAPSHOT, "OK", [1.0, 1.0, count, 1.0]).await;
}

on_every_program! {
    messages_are_counted => messages(),
    transactions_are_counted => transactions(),
    revoked_leases_are_counted_as_transactions => revoked(),
    rejected_requests_are_no_failed_proposals => rejected(),
    requests_are_timed => requests(),
    members_report_leader_and_peers => at_rest(),
    promotions_are_counted => promotions(),
    snapshots_are_counted => snapshots(),
}
