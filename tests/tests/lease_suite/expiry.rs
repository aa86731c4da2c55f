//! Leases that are no longer renewed, and their keys.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_testkit::Random;
use ferretcd_tests::{Clients, Cluster, Event, Observer, Renewals};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::{DEADLINE, Granted, LATE, assert_gone, grant, left, put, rows, start};

/// The shortest TTL that all servers grant with their default timeouts.
const TTL: i64 = 2;

/// All at the same time on one server, because they mostly wait.
pub(crate) async fn expiry<C: Cluster>() {
    let Some((_cluster, clients)) = start::<C>("the expiry of leases").await else { return };
    tokio::join!(
        on_time(clients.clone()),
        kept(clients.clone()),
        what_is_attached(clients.clone()),
        truthful(clients.clone()),
    );
}

/// Waits for this number of changes.
async fn changes(observer: &mut Observer, count: usize) -> Vec<(Instant, Event)> {
    let mut all = Vec::new();
    while all.len() < count {
        let next =
            timeout(DEADLINE, observer.next()).await.unwrap_or_else(|_| panic!("no more than {all:?}"));
        let next = next.expect("the watch goes on");
        let now = Instant::now();
        all.extend(next.into_iter().map(|change| (now, change)));
    }
    assert_eq!(all.len(), count, "more than expected");
    all
}

/// Leases expire not before their TTL and soon after it, each with its keys at one revision, in byte order.
async fn on_time(mut clients: Clients) {
    const LEASES: usize = 24;
    let mut observer = Observer::begin(&clients, "ends/", 0).await;
    let mut leases: BTreeMap<i64, (Granted, Vec<String>)> = BTreeMap::new();
    for index in 0..LEASES {
        let lease = grant(&mut clients, 0, TTL + 1).await;
        let keys: Vec<_> = (0..index % 4).map(|key| format!("ends/{index:02}/{key}")).collect();
        for key in keys.iter().rev() {
            put(&mut clients, key, lease.id).await.expect("the lease is there");
        }
        leases.insert(lease.id, (lease, keys));
    }
    let keys: usize = leases.values().map(|(_, keys)| keys.len()).sum();
    // The first leases may expire before the last are granted.
    let changes = changes(&mut observer, 2 * keys).await;
    let revisions = ended_at(&changes);

    let mut lateness: Vec<_> = revisions
        .iter()
        .map(|(id, (seen, _, ended))| {
            let (lease, keys) = &leases[id];
            assert_eq!(ended, keys, "the keys of one lease");
            lease.late(*seen)
        })
        .collect();
    lateness.sort_unstable();
    assert_eq!(lateness.len(), LEASES * 3 / 4, "leases with keys");
    // A busy machine may delay single leases, but not most of them.
    assert!(lateness[lateness.len() / 2] < LATE, "too late: {lateness:?}");
    assert!(lateness.last().is_some_and(|last| *last < 2 * LATE), "too late: {lateness:?}");
    let distinct: std::collections::BTreeSet<_> =
        revisions.values().map(|(_, revision, _)| revision).collect();
    assert_eq!(distinct.len(), revisions.len(), "each lease ends at a revision of its own");

    assert_eq!(rows(&mut clients, "ends/").await, []);
    for &id in leases.keys() {
        await_end(&mut clients, id).await;
        assert_gone(&mut clients, id).await;
    }
}

/// The observed end of each lease: the moment, the revision, and the keys.
fn ended_at(changes: &[(Instant, Event)]) -> BTreeMap<i64, (Instant, i64, Vec<String>)> {
    let mut rows: BTreeMap<&Bytes, _> = BTreeMap::new();
    let mut ended: BTreeMap<i64, (Instant, i64, Vec<String>)> = BTreeMap::new();
    let mut last = 0;
    for (seen, change) in changes {
        assert!(change.row.mod_revision >= last, "revisions rise");
        last = change.row.mod_revision;
        if !change.is_delete {
            rows.insert(&change.row.key, &change.row);
            continue;
        }
        assert_eq!(change.prev.as_ref(), rows.remove(&change.row.key), "a watch gets the previous row");
        let lease = change.prev.as_ref().map_or(0, |row| row.lease);
        let key = String::from_utf8_lossy(&change.row.key).into_owned();
        let (_, revision, keys) = ended.entry(lease).or_insert((*seen, change.row.mod_revision, Vec::new()));
        assert_eq!(*revision, change.row.mod_revision, "all keys of lease {lease} go at once");
        keys.push(key);
    }
    ended
}

async fn await_end(clients: &mut Clients, id: i64) {
    let mut polls = interval(Duration::from_millis(50));
    let ended = timeout(DEADLINE, async {
        while left(clients, id).await != (-1, 0) {
            polls.tick().await;
        }
    });
    ended.await.unwrap_or_else(|_| panic!("lease {id} does not end"));
}

/// A lease lives as long as it is renewed, and its full TTL after that.
async fn kept(mut clients: Clients) {
    let mut observer = Observer::begin(&clients, "kept/", 0).await;
    let mut lease = grant(&mut clients, 0, TTL).await;
    put(&mut clients, "kept/a", lease.id).await.expect("the lease is there");
    assert_eq!(changes(&mut observer, 1).await[0].1.row.lease, lease.id);
    let mut renewals = Renewals::begin(&mut clients.lease, &[lease.id]).await.expect("the stream opens");
    renewals.next().await.expect("an response").expect("the stream goes on");
    let until = Instant::now() + 2 * lease.ttl;
    let mut pace = interval(lease.ttl / 5);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while Instant::now() < until {
        pace.tick().await;
        let sent = Instant::now();
        assert_eq!(renewals.renew(lease.id).await.expect("an response"), TTL);
        lease = lease.renewed(sent);
        assert_eq!(rows(&mut clients, "kept/").await.len(), 1);
    }
    let (seen, change) = changes(&mut observer, 1).await.remove(0);
    assert!(change.is_delete, "{change:?}");
    assert!(lease.late(seen) < 2 * LATE, "too late: {:?}", lease.late(seen));
    assert_eq!(renewals.renew(lease.id).await.expect("an response"), 0, "nothing is left to renew");
    let other = grant(&mut clients, lease.id, 600).await;
    assert_eq!(renewals.renew(other.id).await.expect("an response"), 600, "the stream goes on");
    renewals.half_close();
    assert_eq!(renewals.next().await.expect("no error"), None);
}

/// A lease deletes exactly the keys whose last put named it.
async fn what_is_attached(mut clients: Clients) {
    let mut observer = Observer::begin(&clients, "attached/", 0).await;
    // Time enough for all puts, also on a busy machine.
    let short = grant(&mut clients, 0, 2 * TTL).await.id;
    let long = grant(&mut clients, 0, 600).await.id;
    // A key and the leases of its puts; 0 is none.
    let puts = [
        ("attached/alone", vec![short]),
        ("attached/freed", vec![short, 0]),
        ("attached/late", vec![0, short]),
        ("attached/moved", vec![short, long]),
        ("attached/other", vec![long]),
        ("attached/taken", vec![long, 0, short]),
    ];
    let mut count = 0;
    for (key, leases) in &puts {
        for &lease in leases {
            put(&mut clients, key, lease).await.expect("the lease is there");
            count += 1;
        }
    }
    changes(&mut observer, count).await;
    let gone = changes(&mut observer, 3).await;
    let gone: Vec<_> = gone.iter().map(|(_, change)| (&change.row.key[..], change.is_delete)).collect();
    assert_eq!(gone, [(&b"attached/alone"[..], true), (b"attached/late", true), (b"attached/taken", true)]);
    let stay: Vec<_> =
        rows(&mut clients, "attached/").await.into_iter().map(|row| (row.key, row.lease)).collect();
    let expected = [("attached/freed", 0), ("attached/moved", long), ("attached/other", long)];
    assert_eq!(stay, expected.map(|(key, lease)| (Bytes::from_static(key.as_bytes()), lease)));
}

/// Renewals around the end of a lease: one with a TTL in the response is effective, one with TTL 0 comes after the
/// end of the keys.
async fn truthful(mut clients: Clients) {
    const LEASES: u64 = 48;
    let mut random = Random::new(1);
    let mut running = JoinSet::new();
    for index in 0..LEASES {
        let key = format!("truth/{index:02}");
        let lease = grant(&mut clients, 0, TTL).await;
        let revision = put(&mut clients, &key, lease.id).await.expect("the lease is there");
        let observer = Observer::begin(&clients, &key, revision + 1).await;
        // From shortly before the expiry to the moment at which every server has revoked it.
        let at =
            lease.sent + lease.ttl + Duration::from_millis(random.below(900)) - Duration::from_millis(200);
        running.spawn(renew_at(clients.clone(), observer, lease, key, at));
    }
    let renewed = running.join_all().await.into_iter().filter(|renewed| *renewed).count();
    // Both outcomes must have occurred.
    assert!((1..48).contains(&renewed), "{renewed} of {LEASES} were renewed");
}

async fn renew_at(
    mut clients: Clients,
    mut observer: Observer,
    lease: Granted,
    key: String,
    at: Instant,
) -> bool {
    sleep_until(at.into()).await;
    let sent = Instant::now();
    let mut renewals = Renewals::begin(&mut clients.lease, &[lease.id]).await.expect("the stream opens");
    let response = renewals.next().await.expect("an response").expect("the stream goes on");
    if response.ttl == 0 {
        assert_eq!(rows(&mut clients, &key).await, [], "a lease that is over has no keys");
        assert_gone(&mut clients, lease.id).await;
        changes(&mut observer, 1).await;
        return false;
    }
    let lease = lease.renewed(sent);
    assert_eq!(response.ttl, TTL);
    assert_eq!(rows(&mut clients, &key).await.len(), 1, "a renewed lease has its keys");
    let (seen, _) = changes(&mut observer, 1).await.remove(0);
    lease.late(seen);
    true
}
