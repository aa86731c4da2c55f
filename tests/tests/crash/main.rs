//! kill -9 at chosen points, and under load, again and again on one data directory.
//!
//! Each round under load lets some clients write, kills the server after a number of responses that the seed decides,
//! starts it again (sometimes with another kill during the start) and compares the store with the promises:
//!
//! - an acknowledged write is there, at the revision of its response;
//! - a write without a response is there as a whole or not at all;
//! - a revision never has two contents, and nothing that a read returned is gone;
//! - the hash of the history up to a revision does not change.
//!
//! A failure names its seed and round. The promises about leases are in `storm.rs`.

mod ledger;
mod promises;
mod rows;
mod storm;
mod writer;

use std::sync::Arc;

use ferretcd_testkit::Random;
use ferretcd_tests::scenario::{AbruptSession, KillSession, run};
use ferretcd_tests::{Clients, Cluster, Killable, Options, on_every_process, report};
use tokio::task::JoinSet;

use self::ledger::Ledger;
use self::storm::storms;
use self::writer::{Load, Writer};

const WRITERS: usize = 8;

/// Kills ferretcd a hundred times. A real etcd is killed less often: it only shows that the expectations are right.
async fn kills<C: Killable>(seed: u64) {
    let rounds = if C::KIND.reference { 15 } else { 100 };
    if !report::available::<C>("kill -9 under load") {
        return;
    }
    let mut random = Random::new(seed);
    let mut cluster = C::start(&Options::default()).await.unwrap_or_else(|error| panic!("failed to {error}"));
    let ledger = Arc::new(Ledger::default());
    let mut writers: Vec<Writer> = (0..WRITERS).map(|index| Writer::new(index, random.seed())).collect();
    for round in 0..rounds {
        ledger.enter(format!("{}, seed {seed}, round {round}", C::KIND.name));
        writers = load_until_killed(&mut cluster, &ledger, writers, &mut random).await;
        if random.below(4) == 0 {
            for _ in 0..=random.below(3) {
                let lines = random.below(25) + 1;
                let ended = cluster.restart_and_kill9_after(usize::try_from(lines).expect("below 26")).await;
                ended.unwrap_or_else(|error| panic!("{ledger}: failed to {error}"));
            }
        }
        cluster.restart().await.unwrap_or_else(|error| panic!("{ledger}: failed to {error}"));
        verify(&cluster, &ledger, &mut writers, &mut random).await;
    }
    ledger.enter(format!("{}, seed {seed}, after the last round", C::KIND.name));
    cluster.stop().await.unwrap_or_else(|error| panic!("{ledger}: failed to stop: {error}"));
    cluster.restart().await.unwrap_or_else(|error| panic!("{ledger}: failed to {error}"));
    verify(&cluster, &ledger, &mut writers, &mut random).await;
    ledger.assert_exercised(rounds);
}

async fn verify(cluster: &impl Cluster, ledger: &Ledger, writers: &mut [Writer], random: &mut Random) {
    let mut clients = connect(cluster, ledger).await;
    for writer in writers {
        writer.verify(&mut clients, ledger).await;
    }
    ledger.verify(&mut clients, random).await;
}

/// Runs all writers, and beside them reads and compactions, until the number of responses that the seed decides.
async fn load_until_killed<C: Killable>(
    cluster: &mut C,
    ledger: &Arc<Ledger>,
    writers: Vec<Writer>,
    random: &mut Random,
) -> Vec<Writer> {
    // Some rounds end just after the start, most under full load.
    let responses = if random.below(5) == 0 { 1 + random.below(10) } else { 20 + random.below(380) };
    let load = Arc::new(Load::new(responses));
    let mut running = JoinSet::new();
    for writer in writers {
        let (clients, ledger, load) = (connect(cluster, ledger).await, Arc::clone(ledger), Arc::clone(&load));
        running.spawn(async move { writer.run(clients, &ledger, &load).await });
    }
    let mut beside = JoinSet::new();
    let (clients, hashed, hashing) = (connect(cluster, ledger).await, Arc::clone(ledger), Arc::clone(&load));
    let mut seed = Random::new(random.seed());
    beside.spawn(async move { hashed.watch_hashes(clients, &hashing, &mut seed).await });
    if random.below(4) == 0 {
        let (clients, compacted) = (connect(cluster, ledger).await, Arc::clone(ledger));
        let (physical, back) = (random.below(2) == 0, random.below(200));
        beside.spawn(async move { compacted.compact(clients, back, physical).await });
    }
    load.reached().await;
    cluster.kill9().await.unwrap_or_else(|error| panic!("{ledger}: failed to kill the server: {error}"));
    beside.join_all().await;
    running.join_all().await
}

async fn connect(cluster: &impl Cluster, ledger: &Ledger) -> Clients {
    let connected = Clients::connect(cluster).await;
    connected.unwrap_or_else(|error| panic!("{ledger}: failed to connect: {error}\n{}", cluster.logs()))
}

/// Kills at chosen points, as scenarios.
async fn suite<C: Killable>(file: &str) {
    run::<C, KillSession>(file).await;
}

/// Scenarios of restarts, with kills in their place.
async fn abrupt<C: Killable>(file: &str) {
    run::<C, AbruptSession>(file).await;
}

on_every_process! {
    acknowledged_writes_survive_kills => kills(1),
    writes_before_a_kill => suite("kv/killed.txt"),
    expiring_leases_survive_kills => storms(1),
    leases_before_a_kill => abrupt("kv/lease_durable.txt"),
}
