//! Members that are too far behind for the log.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{Members, Setup};
use ferretcd_tests::{Program, WatchStream, on_every_program, raw};

use super::support::{get, put, put_at_last};

/// With these flags the log keeps fewer than a few hundred entries.
pub(crate) const SHORT_LOG: &[&str] = &["--snapshot-count=50", "--snapshot-catchup-entries=20"];
const PUTS: usize = 300;

/// The number of snapshots that the member has received.
pub(crate) async fn received<P: Program>(cluster: &Members<P>, number: usize) -> u64 {
    let page =
        raw::page(&cluster.client_url(number), "/metrics").await.expect("a running member has metrics");
    let lines = page.lines().filter(|line| line.starts_with("etcd_network_snapshot_receive_success{"));
    lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)).sum()
}

/// Puts more than the log keeps. Returns the revision of the last one.
pub(crate) async fn fill<P: Program>(cluster: &Members<P>, through: usize, name: &str) -> i64 {
    let mut revision = 0;
    for index in 0..PUTS {
        let key = format!("{name}{}", index % 50);
        revision = put(&cluster.clients(through), &key, &index.to_string()).await.expect("two are enough");
    }
    revision
}

/// Why a member is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Down {
    Killed,
    Stopped,
}

/// A member that was down gets a snapshot, and continues as if it had never been down.
async fn down<P: Program>(how: Down) {
    let mut cluster = Members::<P>::start(&Setup::of(3).with(SHORT_LOG)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let first = put(&cluster.clients(follower), "first", "v").await.expect("every member takes puts");
    match how {
        Down::Killed => cluster.kill9(follower).await,
        Down::Stopped => drop(cluster.stop(follower).await),
    }
    let lease = pb::LeaseGrantRequest { id: 100, ttl: 60 };
    cluster.clients(leader).lease.lease_grant(lease).await.expect("two are enough");
    let last = fill(&cluster, leader, "many/").await;
    // The snapshot has the leader's history.
    let (start_revision, events) = if how == Down::Stopped {
        let compaction = pb::CompactionRequest { revision: last - 10, physical: true };
        cluster.clients(leader).kv.compact(compaction).await.expect("two are enough");
        (last - 10, 11)
    } else {
        (first, PUTS)
    };
    cluster.restart(follower).await;
    assert!(received(&cluster, follower).await > 0, "m{follower} has got no snapshot");
    let clients = cluster.clients(follower);
    let found = get(&clients, "many/49", false).await.expect("it serves again");
    assert_eq!(found.as_deref(), Some("299"));
    let mut stream = WatchStream::open(&clients);
    let (key, range_end) = ("many/".into(), "many0".into());
    stream.created(pb::WatchCreateRequest { key, range_end, start_revision, ..Default::default() }).await;
    stream.until_events(events).await;
    put(&clients, "many/more", "v").await.expect("it takes puts");
    assert_eq!(stream.response().await.events.len(), 1);
    let leases = clients.lease.clone().lease_leases(pb::LeaseLeasesRequest {}).await;
    let leases = leases.expect("it knows leases").into_inner().leases;
    assert_eq!(leases.iter().map(|lease| lease.id).collect::<Vec<_>>(), [100]);
    cluster.assert_equal().await;
    // The received snapshot is durable.
    for number in 0..3 {
        cluster.kill9(number).await;
    }
    for number in 0..3 {
        cluster.spawn(number);
    }
    for number in 0..3 {
        cluster.ready(number).await;
        let found = get(&cluster.clients(number), "many/49", false).await.expect("it serves again");
        assert_eq!(found.as_deref(), Some("299"), "m{number}");
    }
    cluster.assert_equal().await;
}

/// A new member gets a snapshot as well, and serves the watches that were created before it came.
async fn new<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(1).with(SHORT_LOG)).await;
    fill(&cluster, 0, "key").await;
    let new = cluster.grow(0).await;
    assert!(received(&cluster, new).await > 0, "m{new} has got no snapshot");
    let found = get(&cluster.clients(new), "key49", false).await.expect("it serves");
    assert_eq!(found.as_deref(), Some("299"));
    let listed = cluster.list(new).await.expect("it lists");
    assert_eq!(listed.len(), 2);
    put_at_last(&cluster.clients(new), "after", "v").await;
    cluster.assert_equal().await;
    cluster.kill9(new).await;
    cluster.restart(new).await;
    cluster.assert_equal().await;
}

/// A paused follower installs a snapshot while clients read from it.
async fn under_readers<P: Program>() {
    let mut cluster = Members::<P>::start(&Setup::of(3).with(SHORT_LOG)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let first = put(&cluster.clients(leader), "round/0", "v").await.expect("every member takes puts");
    let clients = cluster.clients(follower);
    let mut stream = WatchStream::open(&clients);
    let create = pb::WatchCreateRequest {
        key: "round".into(),
        range_end: "roune".into(),
        start_revision: first,
        ..Default::default()
    };
    stream.created(create).await;
    stream.until_events(1).await;
    // A paused process loses its streams, and the entries that it misses are compacted when it goes on.
    cluster.pause(follower);
    fill(&cluster, leader, "round/").await;
    cluster.go_on(follower);
    let responses = stream.until_events(PUTS).await;
    let revisions: Vec<_> =
        responses.iter().flat_map(|response| &response.events).map(|event| event.row.mod_revision).collect();
    let expected: Vec<_> = (first + 1..first + 1 + i64::try_from(PUTS).expect("small")).collect();
    assert_eq!(revisions, expected);
    cluster.serves(follower).await;
    let found = get(&clients, "round/49", false).await.expect("it serves again");
    assert_eq!(found.as_deref(), Some("299"));
    cluster.assert_equal().await;
    cluster.kill9(follower).await;
    cluster.restart(follower).await;
    cluster.assert_equal().await;
}

on_every_program! {
    a_killed_member_gets_a_snapshot => down(super::Down::Killed),
    a_stopped_member_gets_a_snapshot => down(super::Down::Stopped),
    a_new_member_gets_a_snapshot => new(),
    a_paused_member_gets_a_snapshot_under_readers => under_readers(),
}
