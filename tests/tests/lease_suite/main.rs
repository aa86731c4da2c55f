//! The Lease service and its effects on keys, on every target.
//!
//! Requests and responses are in `scenarios/kv/lease*.txt`; here are cases that need the time, several streams or
//! several clients.

mod expiry;
mod metrics;
mod races;
mod restart;

use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_tests::scenario::{KvSession, run};
use ferretcd_tests::{Clients, Cluster, Options, on_every_process, on_every_target, report};
use tonic::{Code, Status};

use self::expiry::expiry;
use self::metrics::metrics;
use self::races::races;
use self::restart::kept_over_a_restart;

/// Enough for all that tests wait for, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// How late a lease may end: the servers look for expired ones at least twice a second.
const LATE: Duration = Duration::from_millis(1500);

/// A server with a client; none if the target is not available on this machine.
async fn start<C: Cluster>(what: &str) -> Option<(C, Clients)> {
    if !report::available::<C>(what) {
        return None;
    }
    let cluster = C::start(&Options::default()).await.unwrap_or_else(|error| panic!("failed to {error}"));
    let clients = connect(&cluster).await;
    Some((cluster, clients))
}

async fn connect(cluster: &impl Cluster) -> Clients {
    Clients::connect(cluster).await.expect("a ready server accepts connections")
}

/// A lease and its start, as exactly as a client can know it.
#[derive(Clone, Copy, Debug)]
struct Granted {
    id: i64,
    ttl: Duration,
    /// Its TTL did not begin before this.
    sent: Instant,
    /// Its TTL did not begin after this.
    received: Instant,
}

impl Granted {
    /// The lease after a renewal.
    fn renewed(self, sent: Instant) -> Self {
        Self { sent, received: Instant::now(), ..self }
    }

    /// How long after the expiry something was seen. Panics if it was seen before it.
    fn late(&self, seen: Instant) -> Duration {
        assert!(seen >= self.sent + self.ttl, "{self:?} has ended {:?} early", self.sent + self.ttl - seen);
        seen.saturating_duration_since(self.received + self.ttl)
    }
}

async fn grant(clients: &mut Clients, id: i64, ttl: i64) -> Granted {
    let sent = Instant::now();
    let response =
        clients.lease.lease_grant(pb::LeaseGrantRequest { id, ttl }).await.expect("a free id").into_inner();
    assert_eq!(response.ttl, ttl, "the requested TTL is above the minimum");
    let ttl = Duration::from_secs(ttl.cast_unsigned());
    Granted { id: response.id, ttl, sent, received: Instant::now() }
}

async fn revoke(clients: &mut Clients, id: i64) -> Result<i64, Status> {
    let response = clients.lease.lease_revoke(pb::LeaseRevokeRequest { id }).await?.into_inner();
    Ok(response.header.expect("every response has a header").revision)
}

/// Returns the revision of the put.
async fn put(clients: &mut Clients, key: &str, lease: i64) -> Result<i64, Status> {
    let put = pb::PutRequest { key: key.to_owned().into(), value: "v".into(), lease, ..Default::default() };
    let response = clients.kv.put(put).await?.into_inner();
    Ok(response.header.expect("every response has a header").revision)
}

/// The rows of all keys with a prefix.
async fn rows(clients: &mut Clients, prefix: &str) -> Vec<KeyValue> {
    let (key, range_end) = (prefix.to_owned().into(), format!("{prefix}\u{7f}").into());
    let range = pb::RangeRequest { key, range_end, ..Default::default() };
    let response = clients.kv.range(range).await.expect("reads succeed").into_inner();
    response.kvs.iter().map(|row| row.decode().expect("a row")).collect()
}

/// Seconds left and seconds granted.
async fn left(clients: &mut Clients, id: i64) -> (i64, i64) {
    let request = pb::LeaseTimeToLiveRequest { id, keys: false };
    let response =
        clients.lease.lease_time_to_live(request).await.expect("no lease is no error").into_inner();
    assert_eq!(response.id, id);
    (response.ttl, response.granted_ttl)
}

/// Asserts that every rpc reports the lease as not found.
async fn assert_gone(clients: &mut Clients, id: i64) {
    assert_eq!(left(clients, id).await, (-1, 0), "lease {id}");
    let all = clients.lease.lease_leases(pb::LeaseLeasesRequest {}).await.expect("leases can be listed");
    assert!(all.into_inner().leases.iter().all(|lease| lease.id != id), "lease {id} is listed");
    let again = revoke(clients, id).await.expect_err("there is nothing to revoke");
    assert_eq!(again.code(), Code::NotFound);
}

async fn suite<C: Cluster>(file: &str) {
    run::<C, KvSession>(file).await;
}

/// On two servers at the same time, because the cases mostly wait.
async fn ends<C: Cluster>() {
    tokio::join!(expiry::<C>(), metrics::<C>());
}

on_every_target! {
    calls => suite("kv/lease.txt"),
    durable => suite("kv/lease_durable.txt"),
    leases_expire_and_are_counted => ends(),
    concurrent_requests => races(),
}

mod over {
    use super::{kept_over_a_restart, on_every_process};

    on_every_process! {
        leases_survive_a_restart => kept_over_a_restart(),
    }
}
