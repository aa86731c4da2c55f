//! Leases of a running member, from their grant to their end.
//!
//! Time passes by itself here, so the shortest lease that there is lives for a second. What is waited for is the
//! event itself, never a time after which it should have happened.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::alarm_request::AlarmAction;
use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmType, DeleteRangeRequest, LeaseGrantRequest, LeaseRevokeRequest,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, PutRequest, RangeRequest,
};
use ferretcd_apply::ApplyError;
use ferretcd_backend::{Batch, Bucket};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_engine::{Config, Engine, RequestError};
use ferretcd_lease::GrantError;
use ferretcd_watch::{Delivery, WatchSpec};
use tokio::time::{interval, sleep, timeout};

use crate::support::*;

/// A member that takes leases of a second, and takes over within a moment.
pub(crate) fn quick(config: Config) -> Config {
    Config { heartbeat: Duration::from_millis(10), election: Duration::from_millis(100), ..config }
}

pub(crate) fn put_with(key: impl Into<Bytes>, lease: i64) -> PutRequest {
    PutRequest { lease, ..put(key, "value") }
}

pub(crate) async fn grant(engine: &Engine, id: i64, ttl: i64) -> i64 {
    engine.leases().grant(&CALLER, LeaseGrantRequest { id, ttl }).await.expect("a free id").id
}

async fn keep_alive(engine: &Engine, id: i64) -> i64 {
    let (renewed, _) =
        engine.leases().renew(&CALLER, [LeaseId(id)].into()).await.expect("a running member responds");
    renewed[0].ttl
}

async fn time_to_live(engine: &Engine, id: i64) -> LeaseTimeToLiveResponse {
    let request = LeaseTimeToLiveRequest { id, keys: true };
    engine.leases().time_to_live(&CALLER, request).await.expect("a running member responds")
}

pub(crate) async fn leases(engine: &Engine) -> Vec<i64> {
    let leases = engine.leases().list(&CALLER).await.expect("a running member responds").leases;
    leases.into_iter().map(|lease| lease.id).collect()
}

/// The keys that there are.
pub(crate) async fn keys(engine: &Engine) -> Vec<Bytes> {
    state(engine).await.1.into_iter().map(|row| row.key).collect()
}

/// Polls until a condition holds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("{what} never happens"));
}

/// Waits for the first deletion of a key from a revision on, and returns its own.
async fn deletion(engine: &Engine, key: &'static str, start: i64) -> i64 {
    let mut session = engine.watches().open(&CALLER, false);
    session
        .create(WatchSpec { start, no_put: true, ..WatchSpec::new(KeyRange::Key(key.into())) })
        .expect("authentication is off");
    let mut deliveries = Vec::new();
    loop {
        let taken = poll_fn(|cx| session.poll_deliveries(cx, &mut deliveries));
        timeout(PATIENCE, taken).await.expect("a deletion is delivered in time");
        for delivery in deliveries.drain(..) {
            if let Delivery::Events(batch) = delivery {
                assert_eq!(batch.events.len(), 1);
                return batch.revision;
            }
        }
    }
}

/// Nothing is proposed by the member itself from now on.
async fn settled(engine: &Engine) -> u64 {
    eventually("a cluster version", async || engine.member().versions().cluster.is_some()).await;
    engine.member().status().committed
}

/// Forbids changes of the key space, and so the end of leases, or allows them again.
async fn corrupt(engine: &Engine, action: AlarmAction) {
    let member_id = engine.member().id().0;
    let request = AlarmRequest { action: action.into(), member_id, alarm: AlarmType::Corrupt.into() };
    engine.maintenance().alarm(&CALLER, request).await.expect("alarms can be raised and taken back");
}

/// Grants a lease with a key and leaves it alone until its time is over, which it cannot end at.
async fn overdue(engine: &Engine) -> i64 {
    let id = grant(engine, 0, 2).await;
    engine.kv().put(&CALLER, put_with("a", id)).await.expect("a put");
    corrupt(engine, AlarmAction::Activate).await;
    eventually("the time of the lease is over", async || time_to_live(engine, id).await.ttl < 0).await;
    assert_eq!(time_to_live(engine, id).await.granted_ttl, 2, "it is still there");
    id
}

#[test]
fn expired_lease_deletes_its_keys() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(quick(config(dir.path())));
    member.run(async |engine| {
        let before = Instant::now();
        let granted =
            engine.leases().grant(&CALLER, LeaseGrantRequest { id: 0, ttl: 2 }).await.expect("a grant");
        assert_eq!((granted.ttl, granted.header.map(|header| header.revision)), (2, Some(1)));
        assert!(granted.id > 0);
        for request in
            [put_with("a", granted.id), put_with("b", granted.id), put("c", "value"), put("b", "kept")]
        {
            engine.kv().put(&CALLER, request).await.expect("a put");
        }
        let alive = time_to_live(engine, granted.id).await;
        assert_eq!((alive.granted_ttl, &alive.keys[..]), (2, &[Bytes::from("a")][..]));
        assert!((0..=2).contains(&alive.ttl), "{} seconds are left", alive.ttl);

        assert_eq!(deletion(engine, "a", 2).await, 6);
        assert!(before.elapsed() >= Duration::from_secs(2), "too early, after {:?}", before.elapsed());
        assert_eq!(keys(engine).await, ["b", "c"]);
        assert!(leases(engine).await.is_empty());
        let gone = time_to_live(engine, granted.id).await;
        assert_eq!((gone.id, gone.ttl, gone.granted_ttl, gone.keys.len()), (granted.id, -1, 0, 0));
        assert_eq!(keep_alive(engine, granted.id).await, 0);
        for rejected in [
            engine.kv().put(&CALLER, put_with("a", granted.id)).await.map(drop),
            engine.leases().revoke(&CALLER, LeaseRevokeRequest { id: granted.id }).await.map(drop),
        ] {
            let is_unknown = matches!(rejected, Err(RequestError::Apply(ApplyError::LeaseNotFound)));
            assert!(is_unknown, "{rejected:?}");
        }
        assert_eq!(engine.kv().reader().revision(), 6);
    });
    let names = ["server_lease_expired", "lease_granted", "lease_revoked"];
    let counts = names.map(|name| counter(&member, &format!("etcd_debugging_{name}_total")));
    assert_eq!(counts, [1.0; 3]);
    member.stop();
}

fn counter(member: &Member, name: &str) -> f64 {
    let families = member.registry.gather();
    let family = families.iter().find(|family| family.name() == name).expect("a metric of the member");
    family.get_metric()[0].get_counter().get_value()
}

#[test]
fn revoke_deletes_the_keys_at_one_revision() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(quick(config(dir.path())));
    member.run(async |engine| {
        let revoke = async |id| {
            let revoked = engine.leases().revoke(&CALLER, LeaseRevokeRequest { id }).await.expect("a lease");
            revoked.header.expect("a response has a header").revision
        };
        for id in [1, 2] {
            assert_eq!(grant(engine, id, 600).await, id);
        }
        let short =
            engine.leases().grant(&CALLER, LeaseGrantRequest { id: 3, ttl: -7 }).await.expect("a free id");
        assert_eq!(short.ttl, 1, "less than that is no use");
        let again = engine.leases().grant(&CALLER, LeaseGrantRequest { id: 1, ttl: 600 }).await;
        let expected = GrantError::Exists(LeaseId(1));
        assert!(
            matches!(&again, Err(RequestError::Apply(ApplyError::Grant(e))) if *e == expected),
            "{again:?}"
        );
        for key in ["b", "c", "a"] {
            engine.kv().put(&CALLER, put_with(key, 1)).await.expect("a put");
        }
        assert_eq!(revoke(1).await, 5);
        assert_eq!(revoke(2).await, 5, "nothing to delete");
        assert!(keys(engine).await.is_empty());
        // The id is free, and what was attached is forgotten.
        grant(engine, 1, 600).await;
        engine.kv().put(&CALLER, put("a", "value")).await.expect("a put");
        assert_eq!(revoke(1).await, 6);
        assert_eq!(keys(engine).await, ["a"]);
    });
    member.stop();
}

#[test]
fn renewals_keep_a_lease_and_write_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(quick(config(dir.path())));
    member.run(async |engine| {
        for (id, ttl) in [(1, 2), (2, 3), (3, 600)] {
            grant(engine, id, ttl).await;
        }
        engine.kv().put(&CALLER, put_with("kept", 1)).await.expect("a put");
        engine.kv().put(&CALLER, put_with("left", 2)).await.expect("a put");
        assert_eq!(leases(engine).await, [1, 2, 3], "those that end first come first");
        let committed = settled(engine).await;
        // Until the other one is over, which lives longer than this one without renewals.
        let mut pace = interval(Duration::from_millis(100));
        while time_to_live(engine, 2).await.ttl > 0 {
            pace.tick().await;
            assert_eq!(keep_alive(engine, 1).await, 2);
        }
        assert_eq!(engine.member().status().committed, committed);
        assert!(leases(engine).await.ends_with(&[1, 3]), "the renewed one ends later now");
        while leases(engine).await.contains(&2) {
            pace.tick().await;
            assert_eq!(keep_alive(engine, 1).await, 2);
        }
        assert_eq!(keys(engine).await, ["kept"]);
    });
    member.stop();
}

#[test]
fn renewal_of_an_expired_lease_returns_after_its_keys_are_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(quick(config(dir.path())));
    member.run(async |engine| {
        let id = overdue(engine).await;
        {
            let mut renewal = pin!(keep_alive(engine, id));
            let response = timeout(Duration::from_millis(200), &mut renewal).await;
            assert!(response.is_err(), "response {response:?} while the key is there");
            assert_eq!(keys(engine).await, ["a"]);
            corrupt(engine, AlarmAction::Deactivate).await;
            assert_eq!(renewal.await, 0);
        }
        let range = engine.kv().range(&CALLER, RangeRequest { serializable: true, ..everything(0) });
        assert_eq!(range.await.expect("a running member responds").count, 0);
    });
    member.stop();
}

#[test]
fn waiting_renewal_ends_with_the_member() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(quick(config(dir.path())));
    member.run(async |engine| {
        let id = overdue(engine).await;
        let mut renewal = pin!(engine.leases().renew(&CALLER, [LeaseId(id)].into()));
        assert!(
            timeout(Duration::from_millis(50), &mut renewal).await.is_err(),
            "nothing ends under the alarm"
        );
        engine.stop().await;
        let ended =
            timeout(Duration::from_secs(2), renewal).await.expect("long before it gives up by itself");
        assert!(matches!(ended, Err(RequestError::Stopped)), "{ended:?}");
    });
}

/// Leases with keys in all relations to them.
async fn attach(engine: &Engine) {
    for (id, ttl) in [(1, 600), (2, 700), (-3, 800), (4, 900)] {
        grant(engine, id, ttl).await;
    }
    for (key, lease) in [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 2), ("f", -3), ("b", 2), ("c", 0)] {
        engine.kv().put(&CALLER, put_with(key, lease)).await.expect("a put");
    }
    let delete = DeleteRangeRequest { key: "d".into(), ..DeleteRangeRequest::default() };
    engine.kv().delete_range(&CALLER, delete).await.expect("a delete");
    let keep = PutRequest { ignore_lease: true, ..put("e", "another value") };
    engine.kv().put(&CALLER, keep).await.expect("the key is there");
    engine.leases().revoke(&CALLER, LeaseRevokeRequest { id: 4 }).await.expect("a lease");
}

/// That the leases of [`attach`] are there, with their full time and their keys.
async fn check_attached(engine: &Engine) {
    assert_eq!(leases(engine).await, [1, 2, -3]);
    for (id, granted, keys) in [(1, 600, &["a"][..]), (2, 700, &["b", "e"]), (-3, 800, &["f"])] {
        let found = time_to_live(engine, id).await;
        assert_eq!(
            (found.granted_ttl, &found.keys[..]),
            (granted, &keys.iter().map(|key| Bytes::from(*key)).collect::<Vec<_>>()[..])
        );
        assert!((granted - 60..=granted).contains(&found.ttl), "{} seconds are left of {granted}", found.ttl);
    }
}

/// Checks that nothing is missing in the next run.
fn check_next_life(dir: &Path) {
    let member = Member::start(quick(config(dir)));
    member.run(check_attached);
    member.run(async |engine| {
        let revision = engine.kv().reader().revision();
        let revoked = engine.leases().revoke(&CALLER, LeaseRevokeRequest { id: 2 }).await.expect("a lease");
        assert_eq!(revoked.header.map(|header| header.revision), Some(revision + 1));
        assert_eq!(keys(engine).await, ["a", "c", "f"]);
    });
    member.stop();
}

#[test]
fn leases_and_their_keys_survive_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(quick(config(dir.path())));
    member.run(attach);
    member.run(check_attached);
    member.stop();
    check_next_life(dir.path());
}

#[test]
fn leases_and_their_keys_are_recovered_from_the_log() {
    let (dir, killed) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let member = Member::start(quick(lazy(dir.path())));
    member.run(attach);
    copy(dir.path(), killed.path());
    member.stop();
    check_next_life(killed.path());
}

/// The row of lease 1 that a checkpoint leaves: 600 seconds granted, 7 left.
const CHECKPOINTED: [u8; 7] = *b"\x08\x01\x10\xd8\x04\x18\x07";

#[test]
fn checkpoint_counts_until_the_next_renewal() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = || quick(config(dir.path()));
    let live = |work: &dyn Fn(&Member)| {
        let member = Member::start(settings());
        work(&member);
        member.stop();
    };
    live(&|member| _ = member.run(async |engine| grant(engine, 1, 600).await));
    let mut batch = Batch::default();
    batch.put(
        Bucket::Lease,
        Bytes::copy_from_slice(&1_i64.to_be_bytes()),
        Bytes::copy_from_slice(&CHECKPOINTED),
    );
    state_file(dir.path()).commit(&batch).expect("a good file");

    // It is no renewal to start again.
    for _ in 0..2 {
        live(&|member| {
            member.run(async |engine| {
                let ttl = time_to_live(engine, 1).await.ttl;
                assert!(ttl <= 7, "{ttl} seconds are left");
            });
        });
    }
    live(&|member| {
        member.run(async |engine| {
            let before = settled(engine).await;
            for renewal in ["the first", "another"] {
                assert_eq!(keep_alive(engine, 1).await, 600, "{renewal}");
                assert_eq!(engine.member().status().committed, before + 1, "{renewal}");
            }
        });
    });
    live(&|member| {
        member.run(async |engine| {
            let ttl = time_to_live(engine, 1).await.ttl;
            assert!(ttl > 500, "{ttl} seconds are left");
        });
    });
}
