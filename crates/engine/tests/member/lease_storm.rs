//! Many leases that end together, and a member that is stopped or killed meanwhile.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_api_proto::etcdserverpb::{RequestOp, TxnRequest};
use ferretcd_apply::ApplyError;
use ferretcd_engine::{Config, Engine, RequestError};
use tokio::task::{JoinSet, yield_now};

use crate::lease::{eventually, grant, keys, leases, put_with, quick};
use crate::support::*;

const LEASES: i64 = 8_000;
/// In seconds.
const TTL: i64 = 2;
/// Leases whose keys are put by one request.
const GROUP: i64 = 200;
/// Groups that are under way at once: requests wait for each other, but none is rejected.
const WORKERS: i64 = 8;

/// The two keys of a lease, far apart.
fn keys_of(id: i64) -> [String; 2] {
    [format!("a{id:05}"), format!("z{id:05}")]
}

/// Grants many leases with two keys each. Some may be over before they get them, on a slow machine.
async fn gather(engine: &Engine) {
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let engine = engine.clone();
        workers.spawn(async move {
            for group in (worker..LEASES / GROUP).step_by(WORKERS as usize) {
                gather_group(&engine, group * GROUP + 1..=(group + 1) * GROUP).await;
            }
        });
    }
    workers.join_all().await;
}

async fn gather_group(engine: &Engine, ids: RangeInclusive<i64>) {
    let mut grants = JoinSet::new();
    for id in ids.clone() {
        let engine = engine.clone();
        grants.spawn(async move { grant(&engine, id, TTL).await });
    }
    grants.join_all().await;
    let puts = ids.flat_map(|id| keys_of(id).map(|key| put_with(key, id)));
    let success = puts.map(|put| RequestOp { request: Some(Request::RequestPut(put)) }).collect();
    match engine.kv().txn(&CALLER, TxnRequest { success, ..TxnRequest::default() }).await {
        Ok(_) | Err(RequestError::Apply(ApplyError::LeaseNotFound)) => {}
        Err(error) => panic!("failed to {error}"),
    }
}

/// That each lease is there with both of its keys, or gone with both.
async fn check(engine: &Engine) {
    let (leases, rows) = loop {
        let before = engine.kv().reader().revision();
        let leases: BTreeSet<_> = leases(engine).await.into_iter().collect();
        let (revision, rows, _) = state(engine).await;
        if revision == before {
            break (leases, rows);
        }
        yield_now().await;
    };
    let mut found = BTreeSet::new();
    for row in &rows {
        assert!(leases.contains(&row.lease), "a key of lease {} which is gone", row.lease);
        let key = String::from_utf8_lossy(&row.key).into_owned();
        assert!(keys_of(row.lease).contains(&key), "{key} is no key of lease {}", row.lease);
        found.insert(key);
    }
    let is_halved = |id: &&i64| keys_of(**id).iter().filter(|key| found.contains(*key)).count() == 1;
    assert_eq!(leases.iter().find(is_halved), None, "a lease with one of its keys");
}

#[test]
fn interrupted_expiry_storm_leaves_whole_leases() {
    let (dir, killed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    // The state file is not to be written while it is copied, however much comes.
    let settings =
        |dir: &Path| Config { unsafe_no_fsync: true, backend_batch: usize::MAX, ..quick(lazy(dir)) };
    let member = Member::start(settings(dir.path()));
    member.run(async |engine| {
        gather(engine).await;
        let all = LEASES as usize;
        eventually("the storm", async || leases(engine).await.len() < all).await;
        copy(dir.path(), killed.path());
    });
    // In the middle of it.
    member.stop();
    let member = Member::start(settings(killed.path()));
    member.run(check);
    member.stop();
    let member = Member::start(settings(dir.path()));
    member.run(check);
    member.run(async |engine| {
        eventually("the end of the storm", async || leases(engine).await.is_empty()).await;
        assert!(keys(engine).await.is_empty(), "leases went, and left keys behind");
    });
    member.stop();
}
