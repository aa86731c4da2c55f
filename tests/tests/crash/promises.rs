//! The promises made by responses and watches about leases and their keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Clients, Event, Observer};
use tokio::time::{interval, timeout};

/// The TTL of leases, in seconds.
pub(crate) const TTL: i64 = 2;
/// A watch that has delivered this key has delivered everything before it.
const MARK: &str = "storm/~mark";

/// A lease and its keys, all of which are put by one transaction.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    /// In byte order.
    pub(crate) keys: Vec<Bytes>,
    /// A moment before its TTL began with the grant or the last acknowledged renewal. None without a response.
    pub(crate) full_at: Option<Instant>,
    /// The revision of the keys, if there was a response.
    pub(crate) put: Option<i64>,
}

impl Lease {
    pub(crate) fn new(id: u64, keys: u64) -> Self {
        let keys = (0..keys).map(|key| format!("storm/{id:08}/{key}").into()).collect();
        Self { id: id.cast_signed(), keys, full_at: None, put: None }
    }
}

/// The events of one watch.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    changes: Vec<Event>,
    pub(crate) deletions: usize,
}

impl Sight {
    pub(crate) fn add(&mut self, changes: Vec<Event>) {
        self.deletions += changes.iter().filter(|change| change.is_delete).count();
        self.changes.extend(changes);
    }
}

/// The knowledge of all clients about one round. After a restart,
///
/// - the history begins with the events of watches, change by change;
/// - acknowledged keys are in it, at the revisions of the responses;
/// - no key comes back: each is put once and deleted once;
/// - each lease ends with all its keys at one revision, in byte order, and is not listed after that;
/// - a lease whose TTL can't be over is there, and so are keys without a lease.
#[derive(Debug)]
pub(crate) struct Promises {
    place: String,
    round: u64,
    /// The revision before the first change of the round.
    base: i64,
    pub(crate) leases: Vec<Lease>,
    seen: Vec<Event>,
    /// Keys without a lease.
    pub(crate) plain: Vec<String>,
    /// The moment of the last kill.
    pub(crate) killed: Instant,
    /// A moment before the last start.
    pub(crate) started: Instant,
    /// Starts with some leases ended and some not.
    pub(crate) in_the_middle: u64,
}

impl fmt::Display for Promises {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

/// The keys that exist, with their leases, and the deleted ones.
#[derive(Debug, Default)]
struct State {
    there: BTreeMap<Bytes, i64>,
    gone: BTreeSet<Bytes>,
    /// Leases whose keys are gone.
    ended: BTreeSet<i64>,
}

impl Promises {
    /// The promises of a round that begins after a revision.
    pub(crate) fn new(place: String, round: u64, base: i64) -> Self {
        let now = Instant::now();
        let (leases, seen, plain) = (Vec::new(), Vec::new(), Vec::new());
        Self { place, round, base, leases, seen, plain, killed: now, started: now, in_the_middle: 0 }
    }

    /// The number of keys that are not known to be deleted.
    pub(crate) fn keys(&self) -> usize {
        self.state(&self.seen).there.len()
    }

    /// The leases with keys that are not known to be deleted.
    pub(crate) fn alive(&self) -> BTreeSet<i64> {
        self.state(&self.seen).there.values().copied().collect()
    }

    /// Notes renewals: each lease was renewed not before this moment.
    pub(crate) fn renewed(&mut self, renewed: Vec<(i64, Instant)>) {
        let renewed: BTreeMap<i64, Instant> = renewed.into_iter().collect();
        for lease in &mut self.leases {
            lease.full_at = renewed.get(&lease.id).copied().or(lease.full_at);
        }
    }

    /// The revision up to which all events are known.
    pub(crate) fn seen_until(&self) -> i64 {
        self.seen.last().map_or(self.base, |change| change.row.mod_revision)
    }

    pub(crate) fn saw(&mut self, sight: &Sight) {
        self.seen.extend(sight.changes.iter().cloned());
    }

    /// The prefix of the keys without a lease, and the number of the first unacknowledged one.
    pub(crate) fn next_plain_key(&self) -> (String, usize) {
        (format!("plain/{}/", self.round), self.plain.len())
    }

    /// Compares a server that was just started with all promises. Its history becomes part of them.
    pub(crate) async fn verify(&mut self, clients: &mut Clients) {
        let listed_before = listed(clients).await;
        let is_early = self.started.elapsed() < Duration::from_secs(TTL.cast_unsigned());
        let mark = put(clients, MARK).await;
        let history = history(clients, self.base + 1, mark).await;
        let listed_after = listed(clients).await;

        let known = self.seen.len();
        assert!(history.len() >= known, "{self}: {} of {known} changes are left", history.len());
        for (was, is) in self.seen.iter().zip(&history) {
            assert_eq!(was, is, "{self}: a change that was seen");
        }
        let state = self.state(&history);
        let rows: Vec<_> = rows(clients, "storm/", mark).await;
        let there: Vec<_> = state.there.iter().map(|(key, lease)| (key.clone(), *lease)).collect();
        assert_eq!(rows, there, "{self}: the rows are what the history leaves");

        let put: BTreeMap<&Bytes, i64> = history
            .iter()
            .filter(|change| !change.is_delete)
            .map(|change| (&change.row.key, change.row.mod_revision))
            .collect();
        let alive: BTreeSet<i64> = state.there.values().copied().collect();
        for lease in &self.leases {
            let puts: Vec<_> = lease.keys.iter().map(|key| put.get(key).copied()).collect();
            let revision = lease.put.or(puts[0]);
            assert!(puts.iter().all(|put| *put == revision), "{self}: {lease:?} was put at {puts:?}");
            if alive.contains(&lease.id) {
                assert!(listed_before.contains(&lease.id), "{self}: {lease:?} is gone without its keys");
            }
            if state.ended.contains(&lease.id) {
                assert!(!listed_after.contains(&lease.id), "{self}: {lease:?} is there without its keys");
            } else if let Some(full_at) = lease.full_at
                && is_early
                && self.killed.saturating_duration_since(full_at) < Duration::from_secs(TTL.cast_unsigned())
            {
                assert!(listed_before.contains(&lease.id), "{self}: {lease:?} is lost");
            }
        }
        self.in_the_middle += u64::from(!alive.is_empty() && !state.ended.is_empty());
        self.verify_plain(clients).await;
        self.seen = history;
    }

    /// Waits until all leases have ended, and compares the rest of the store.
    pub(crate) async fn verify_end(&mut self, clients: &mut Clients, deadline: Duration) {
        let mut polls = interval(Duration::from_millis(50));
        let ended = timeout(deadline, async {
            while !listed(clients).await.is_empty() {
                polls.tick().await;
            }
        });
        ended.await.unwrap_or_else(|_| panic!("{self}: some leases never end"));
        let mark = put(clients, MARK).await;
        let history = history(clients, self.base + 1, mark).await;
        let state = self.state(&history);
        assert_eq!(state.there, BTreeMap::new(), "{self}: keys without their leases");
        assert_eq!(rows(clients, "storm/", mark).await, []);
        let acknowledged =
            self.leases.iter().filter(|lease| lease.put.is_some()).flat_map(|lease| &lease.keys);
        for key in acknowledged {
            assert!(state.gone.contains(key), "{self}: {key:?} was never there");
        }
        self.verify_plain(clients).await;
        self.seen = history;
    }

    /// The result of the changes of this round. Panics on impossible ones.
    fn state(&self, changes: &[Event]) -> State {
        let keys: BTreeMap<i64, &Vec<Bytes>> =
            self.leases.iter().map(|lease| (lease.id, &lease.keys)).collect();
        let mut state = State::default();
        let changes: Vec<_> = changes.iter().filter(|change| change.row.key != MARK.as_bytes()).collect();
        for together in changes.chunk_by(|a, b| a.row.mod_revision == b.row.mod_revision) {
            let mut ended = Vec::new();
            for change in together {
                let key = &change.row.key;
                if change.is_delete {
                    let lease = state.there.remove(key);
                    assert!(lease.is_some(), "{self}: {change:?} deletes what is not there");
                    state.gone.insert(key.clone());
                    ended.push((lease.unwrap_or_default(), key.clone()));
                } else {
                    let old = state.there.insert(key.clone(), change.row.lease);
                    let is_new = old.is_none() && !state.gone.contains(key);
                    assert!(is_new, "{self}: {change:?} brings a key back");
                }
            }
            if let Some((lease, _)) = ended.first().cloned() {
                assert_eq!(ended.len(), together.len(), "{self}: {together:?} is no end of a lease");
                assert!(ended.iter().all(|(of, _)| *of == lease), "{self}: {ended:?} end at once");
                let ended: Vec<_> = ended.into_iter().map(|(_, key)| key).collect();
                if let Some(keys) = keys.get(&lease) {
                    assert_eq!(&ended, *keys, "{self}: the keys of lease {lease}");
                }
                state.ended.insert(lease);
            }
        }
        state
    }

    async fn verify_plain(&self, clients: &mut Clients) {
        let (prefix, _) = self.next_plain_key();
        let there: BTreeSet<Bytes> =
            rows(clients, &prefix, 0).await.into_iter().map(|(key, _)| key).collect();
        for key in &self.plain {
            assert!(there.contains(key.as_bytes()), "{self}: {key} is lost");
        }
    }
}

/// The ids of all leases.
async fn listed(clients: &mut Clients) -> BTreeSet<i64> {
    let response = clients.lease.lease_leases(pb::LeaseLeasesRequest {}).await;
    response.expect("a ready server responses").into_inner().leases.iter().map(|lease| lease.id).collect()
}

async fn put(clients: &mut Clients, key: &str) -> i64 {
    let put = pb::PutRequest { key: key.to_owned().into(), ..Default::default() };
    let response = clients.kv.put(put).await.expect("a ready server responses").into_inner();
    response.header.expect("every response has a header").revision
}

/// Every change from one revision to another; there is a change at the last one.
async fn history(clients: &mut Clients, from: i64, until: i64) -> Vec<Event> {
    let mut observer = Observer::begin(clients, "storm/", from).await;
    let mut history: Vec<Event> = Vec::new();
    while history.last().is_none_or(|change| change.row.mod_revision < until) {
        history.extend(observer.next().await.expect("the watch goes on"));
    }
    history.retain(|change| change.row.mod_revision <= until);
    history
}

/// Keys with a prefix and their leases, but for [`MARK`].
async fn rows(clients: &mut Clients, prefix: &str, revision: i64) -> Vec<(Bytes, i64)> {
    let (key, range_end) = (prefix.to_owned().into(), format!("{prefix}\u{7f}").into());
    let range = pb::RangeRequest { key, range_end, revision, ..Default::default() };
    let response = clients.kv.range(range).await.expect("a ready server responses").into_inner();
    let rows = response.kvs.iter().map(|row| row.decode().expect("a row"));
    rows.filter(|row| row.key != MARK.as_bytes()).map(|row| (row.key, row.lease)).collect()
}
