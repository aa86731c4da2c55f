//! kill -9 while hundreds of leases expire, again and again on one data directory.
//!
//! Many leases with a few keys each and the same short TTL expire at once, while a client watches the keys. The
//! server is killed after a number of deletions that the seed decides, or while it is still granting, and started
//! again; the remaining leases start their TTL again, some are renewed, and the storm repeats. After each start the
//! history must keep the promises of responses and events: see [`Promises`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_testkit::Random;
use ferretcd_tests::{Clients, Killable, Observer, Options, Renewals, report};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::promises::{Lease, Promises, Sight, TTL};
use super::writer::Load;

/// The deadline for the end of leases.
const DEADLINE: Duration = Duration::from_secs(60);
/// The number of clients that grant concurrently.
const GRANTERS: usize = 32;

pub(crate) async fn storms<C: Killable>(seed: u64) {
    // A real etcd needs fewer leases: it revokes a thousand a second at most.
    let (rounds, leases, kills) = if C::KIND.reference { (1, 600, 2) } else { (2, 2000, 3) };
    if !report::available::<C>("kill -9 while leases end") {
        return;
    }
    let mut random = Random::new(seed);
    let mut cluster = C::start(&Options::default()).await.unwrap_or_else(|error| panic!("failed to {error}"));
    let (mut base, mut in_the_middle) = (0, 0);
    for round in 0..rounds {
        let place = format!("{}, seed {seed}, round {round}", C::KIND.name);
        let mut promises = Promises::new(place, round, base);
        let mut ungranted: Vec<_> =
            (1..=leases).map(|number| Lease::new(round * leases + number, 1 + random.below(3))).collect();
        for _ in 0..kills {
            if ungranted.is_empty() && promises.alive().is_empty() {
                break;
            }
            live(&mut cluster, &mut promises, &mut ungranted, &mut random).await;
            start_again(&mut cluster, &mut promises, &mut random).await;
            promises.verify(&mut connect(&cluster, &promises).await).await;
        }
        promises.verify_end(&mut connect(&cluster, &promises).await, DEADLINE).await;
        cluster.stop().await.unwrap_or_else(|error| panic!("{promises}: failed to stop: {error}"));
        start_again(&mut cluster, &mut promises, &mut random).await;
        promises.verify_end(&mut connect(&cluster, &promises).await, DEADLINE).await;
        in_the_middle += promises.in_the_middle;
        base = promises.seen_until();
    }
    assert!(in_the_middle >= rounds, "only {in_the_middle} storms were cut off in the middle");
}

async fn connect(cluster: &impl Killable, promises: &Promises) -> Clients {
    let connected = Clients::connect(cluster).await;
    connected.unwrap_or_else(|error| panic!("{promises}: failed to connect: {error}\n{}", cluster.logs()))
}

/// Grants leases that don't exist yet, lets leases expire, and kills the server meanwhile.
async fn live<C: Killable>(
    cluster: &mut C,
    promises: &mut Promises,
    ungranted: &mut Vec<Lease>,
    random: &mut Random,
) {
    let keys = promises.keys() + ungranted.iter().map(|lease| lease.keys.len()).sum::<usize>();
    let clients = connect(cluster, promises).await;
    let killed = Arc::new(AtomicBool::new(false));
    let (seen, mut sight) = watch::channel(Sight::default());
    let watching =
        tokio::spawn(observe(clients.clone(), promises.seen_until() + 1, seen, Arc::clone(&killed)));
    let writing = tokio::spawn(write(clients.clone(), promises.next_plain_key()));
    let renewed = promises.alive().into_iter().filter(|_| random.below(2) == 0).collect();
    let renewing = tokio::spawn(renew(clients.clone(), renewed));

    let granted_until = 1 + random.below(ungranted.len().max(1) as u64);
    let load = Arc::new(Load::new(granted_until));
    let mut granting = JoinSet::new();
    let is_granting = !ungranted.is_empty();
    let share = ungranted.len().div_ceil(GRANTERS).max(1);
    while !ungranted.is_empty() {
        let share = ungranted.split_off(ungranted.len().saturating_sub(share));
        let (clients, load) = (clients.clone(), Arc::clone(&load));
        granting.spawn(grant(clients, share, load, Arc::clone(&killed)));
    }

    if is_granting && random.below(3) == 0 {
        timeout(DEADLINE, load.reached())
            .await
            .unwrap_or_else(|_| panic!("{promises}: grants are not acknowledged"));
    } else {
        // After the first deletion event, the events of other deletions are still on their way.
        let most = (keys as u64 / 2).max(1);
        let deletions = 1 + if random.below(2) == 0 { 0 } else { random.below(most) };
        let enough = sight.wait_for(|sight| sight.deletions as u64 >= deletions);
        let enough = timeout(DEADLINE, enough).await;
        enough.unwrap_or_else(|_| panic!("{promises}: leases don't end")).expect("the watch goes on");
    }
    killed.store(true, Ordering::SeqCst);
    promises.killed = Instant::now();
    cluster.kill9().await.unwrap_or_else(|error| panic!("{promises}: failed to kill: {error}"));
    watching.await.expect("watching does not panic");
    promises.saw(&sight.borrow());
    promises.plain.extend(writing.await.expect("writing does not panic"));
    promises.renewed(renewing.await.expect("renewing does not panic"));
    promises.leases.extend(granting.join_all().await.into_iter().flatten());
}

/// Starts the server. Sometimes a first start is killed.
async fn start_again<C: Killable>(cluster: &mut C, promises: &mut Promises, random: &mut Random) {
    if random.below(3) == 0 {
        let lines = usize::try_from(random.below(25) + 1).expect("below 26");
        let ended = cluster.restart_and_kill9_after(lines).await;
        ended.unwrap_or_else(|error| panic!("{promises}: failed to {error}"));
    }
    promises.started = Instant::now();
    cluster.restart().await.unwrap_or_else(|error| panic!("{promises}: failed to {error}"));
}

/// Watches until the server is killed.
async fn observe(clients: Clients, from: i64, seen: watch::Sender<Sight>, killed: Arc<AtomicBool>) {
    let mut observer = Observer::begin(&clients, "storm/", from).await;
    loop {
        match observer.next().await {
            Ok(changes) => seen.send_modify(|sight| sight.add(changes)),
            Err(status) => return assert!(killed.load(Ordering::SeqCst), "the watch ended: {status}"),
        }
    }
}

/// Puts keys without a lease, one after the other, until the server is killed. Returns the acknowledged ones.
async fn write(mut clients: Clients, first: (String, usize)) -> Vec<String> {
    let (prefix, first) = first;
    let mut acknowledged = Vec::new();
    for number in first.. {
        let key = format!("{prefix}{number:06}");
        let put = pb::PutRequest { key: key.clone().into(), ..Default::default() };
        match clients.kv.put(put).await {
            Ok(_) => acknowledged.push(key),
            Err(_) => break,
        }
    }
    acknowledged
}

/// Renews leases one after the other, so that they don't all expire at the same moment after a restart. Returns the
/// renewed leases, each with a moment before its renewal.
async fn renew(mut clients: Clients, ids: Vec<i64>) -> Vec<(i64, Instant)> {
    let mut renewed = Vec::new();
    let Some((first, rest)) = ids.split_first() else { return renewed };
    let mut since = Instant::now();
    let Ok(mut renewals) = Renewals::begin(&mut clients.lease, &[*first]).await else { return renewed };
    let mut rest = rest.iter();
    while let Ok(Some(response)) = renewals.next().await {
        if response.ttl > 0 {
            renewed.push((response.id, since));
        }
        let Some(next) = rest.next() else { break };
        since = Instant::now();
        renewals.send(*next).await;
    }
    renewed
}

/// Grants leases, and puts all keys of each in one transaction, until the server is killed.
async fn grant(
    mut clients: Clients,
    mut leases: Vec<Lease>,
    load: Arc<Load>,
    killed: Arc<AtomicBool>,
) -> Vec<Lease> {
    for lease in &mut leases {
        if let Err(status) = grant_one(&mut clients, lease).await {
            assert!(killed.load(Ordering::SeqCst), "lease {}: {status}", lease.id);
            break;
        }
        load.count();
    }
    leases
}

async fn grant_one(clients: &mut Clients, lease: &mut Lease) -> Result<(), Status> {
    let sent = Instant::now();
    let request = pb::LeaseGrantRequest { id: lease.id, ttl: TTL };
    let response = clients.lease.lease_grant(request).await?.into_inner();
    assert_eq!((response.id, response.ttl), (lease.id, TTL));
    lease.full_at = Some(sent);
    let puts = lease.keys.iter().map(|key| {
        let put = pb::PutRequest { key: key.clone(), lease: lease.id, ..Default::default() };
        pb::RequestOp { request: Some(Request::RequestPut(put)) }
    });
    let txn = pb::TxnRequest { success: puts.collect(), ..Default::default() };
    match clients.kv.txn(txn).await {
        Ok(response) => {
            lease.put = Some(response.into_inner().header.expect("every response has a header").revision);
            Ok(())
        }
        Err(status) if status.code() == Code::NotFound => {
            assert!(
                sent.elapsed() >= Duration::from_secs(TTL.cast_unsigned()),
                "lease {} ended early",
                lease.id
            );
            Ok(())
        }
        Err(status) => Err(status),
    }
}
