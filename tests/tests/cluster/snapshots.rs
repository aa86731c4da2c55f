//! Members that are too far behind for the log.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::members::{Members, Setup};
use ferretcd_tests::{Program, WatchStream, on_every_program, raw};

use super::support::{get, put, put_at_last};

/// So that a few hundred entries are too many for the log.
pub(crate) const SHORT_LOG: &[&str] = &["--snapshot-count=50", "--snapshot-catchup-entries=20"];
const PUTS: usize = 300;

/// Snapshots that the member has received.
pub(crate) async fn received<P: Program>(cluster: &Members<P>, number: usize) -> u64 {
    let page =
        raw::page(&cluster.client_url(number), "/metrics").await.expect("a running member has metrics");
    let lines = page.lines().filter(|line| line.starts_with("etcd_network_snapshot_receive_success{"));
    lines.map(|line| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).unwrap_or(0)).sum()
}

/// So many puts that the log does not keep them all. The last one's revision.
pub(crate) async fn fill<P: Program>(cluster: &Members<P>, through: usize, name: &str) -> i64 {
    let mut revision = 0;
    for index in 0..PUTS {
        let key = format!("{name}{}", index % 50);
        revision = put(&cluster.clients(through), &key, &index.to_string()).await.expect("two are enough");
    }
    revision
}

/// How a member comes to be away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    Killed,
    Stopped,
}

/// One that was away gets the whole state, and goes on as if it had never been away.
async fn away<P: Program>(how: Away) {
    let mut cluster = Members::<P>::start(&Setup::of(3).with(SHORT_LOG)).await;
    let (leader, follower) = (cluster.leader().await, cluster.follower().await);
    let first = put(&cluster.clients(follower), "first", "v").await.expect("every member takes puts");
    match how {
        Away::Killed => cluster.kill9(follower).await,
        Away::Stopped => drop(cluster.stop(follower).await),
    }
    let lease = pb::LeaseGrantRequest { id: 100, ttl: 60 };
    cluster.clients(leader).lease.lease_grant(lease).await.expect("two are enough");
    let last = fill(&cluster, leader, "many/").await;
    // The history that comes with the snapshot is that of the leader.
    let (start_revision, events) = if how == Away::Stopped {
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
    // What was received is durable.
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

/// One that is new gets the whole state as well, and those who watched it before are served by it then.
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

/// A follower that is cut off while it is connected gets a snapshot under the feet of its readers.
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
    // A process that stands still loses its streams and finds the log gone when it goes on.
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
    who_was_killed_gets_a_snapshot => away(super::Away::Killed),
    who_was_stopped_gets_a_snapshot => away(super::Away::Stopped),
    who_is_new_gets_a_snapshot => new(),
    who_stood_still_gets_a_snapshot => under_readers(),
}
