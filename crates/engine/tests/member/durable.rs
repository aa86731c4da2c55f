//! Acknowledged writes survive restarts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ferretcd_api_proto::TXN_DEPTH_MAX;
use ferretcd_api_proto::etcdserverpb::request_op::Request;
use ferretcd_api_proto::etcdserverpb::{DeleteRangeRequest, RangeRequest, RequestOp, TxnRequest};
use ferretcd_engine::{Engine, RequestError};
use tokio::task::JoinSet;

use crate::support::*;

/// Puts, a delete and a transaction.
async fn write_a_little(engine: &Engine) {
    for index in 0..20 {
        engine.kv().put(&CALLER, put(format!("k{}", index % 7), format!("{index}"))).await.expect("a put");
    }
    let delete = DeleteRangeRequest { key: "k3".into(), ..DeleteRangeRequest::default() };
    engine.kv().delete_range(&CALLER, delete).await.expect("a delete");
    let puts = ["a", "b"].map(|key| RequestOp { request: Some(Request::RequestPut(put(key, "both"))) });
    let txn = TxnRequest { success: puts.into(), ..TxnRequest::default() };
    engine.kv().txn(&CALLER, txn).await.expect("a transaction");
    engine.kv().txn(&CALLER, deepest()).await.expect("a transaction");
}

/// A put in as many transactions as can be read.
fn deepest() -> TxnRequest {
    let txn =
        |request| TxnRequest { success: vec![RequestOp { request: Some(request) }], ..TxnRequest::default() };
    let bottom = txn(Request::RequestPut(put("bottom", "reached")));
    (1..TXN_DEPTH_MAX).fold(bottom, |inner, _| txn(Request::RequestTxn(inner)))
}

#[test]
fn stop_keeps_everything() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    let before = member.run(async |engine| {
        write_a_little(engine).await;
        state(engine).await
    });
    member.stop();
    let member = Member::start(config(dir.path()));
    assert_eq!(member.run(state), before);
    let put = member.run(async |engine| engine.kv().put(&CALLER, put("a", "1")).await).expect("it goes on");
    assert_eq!(put.header.map(|header| header.revision), Some(before.0 + 1));
    member.stop();
}

#[test]
fn killed_member_recovers_from_the_log() {
    let (dir, after) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another"));
    let member = Member::start(lazy(dir.path()));
    member.run(write_a_little);
    copy(dir.path(), after.path());
    let applied = member.engine.member().status().applied;
    let before = member.run(state);
    member.stop();

    let written = applied_in(&state_file(after.path()));
    assert!(written + 20 < applied, "the file was to lag behind entry {applied}, it is at {written}");
    let member = Member::start(config(after.path()));
    assert_eq!(member.run(state), before, "the log is applied again");
    member.stop();
}

#[test]
fn acknowledged_writes_survive_a_kill_under_load() {
    const WRITERS: usize = 8;
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(lazy(dir.path()));
    // The last acknowledged write of each writer.
    static ACKNOWLEDGED: [AtomicU64; WRITERS] = [const { AtomicU64::new(0) }; WRITERS];
    static IS_OVER: AtomicBool = AtomicBool::new(false);
    let mut writers = member.run(async |engine| {
        let mut writers = JoinSet::new();
        for (index, acknowledged) in ACKNOWLEDGED.iter().enumerate() {
            let engine = engine.clone();
            writers.spawn(async move {
                for n in (1u64..).take_while(|_| !IS_OVER.load(Ordering::Relaxed)) {
                    let (key, value) = (format!("k{index}"), n.to_string());
                    engine.kv().put(&CALLER, put(key, value)).await.expect("a put");
                    acknowledged.store(n, Ordering::Release);
                }
            });
        }
        writers
    });
    let copies = [(); 3].map(|()| {
        member.run(async |engine| while engine.kv().put(&CALLER, put("x", "y")).await.is_err() {});
        let promised = ACKNOWLEDGED.each_ref().map(|acknowledged| acknowledged.load(Ordering::Acquire));
        let to = tempfile::tempdir().expect("a directory");
        copy(dir.path(), to.path());
        (promised, to)
    });
    IS_OVER.store(true, Ordering::Relaxed);
    member.run(async |_| while writers.join_next().await.is_some_and(|writer| writer.is_ok()) {});
    member.stop();

    for (promised, dir) in copies {
        let member = Member::start(config(dir.path()));
        let (_, rows, _) = member.run(state);
        let rows: BTreeMap<_, _> = rows.into_iter().map(|row| (row.key, row.value)).collect();
        for (index, promised) in promised.into_iter().enumerate() {
            let value = rows.get(format!("k{index}").as_bytes());
            let found = value.map_or(0, |value| String::from_utf8_lossy(value).parse().expect("a number"));
            assert!(promised <= found, "writer {index}: {promised} was acknowledged, {found} is there");
        }
        member.stop();
    }
}

#[test]
fn requests_under_way_at_a_stop_get_a_response_or_an_error() {
    const REQUESTS: usize = 200;
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    let acknowledged = member.run(async |engine| {
        let mut puts = JoinSet::new();
        for index in 0..REQUESTS {
            let engine = engine.clone();
            puts.spawn(async move {
                let key = format!("k{index:03}");
                match engine.kv().put(&CALLER, put(key.clone(), "v")).await {
                    Ok(_) => Some(key),
                    Err(RequestError::Stopped | RequestError::Dropped) => None,
                    Err(error) => panic!("failed to {error}"),
                }
            });
        }
        // Some are through by now, others have not even begun.
        let first = puts.join_next().await.expect("there are many").expect("no panic");
        engine.stop().await;
        let rest = puts.join_all().await;
        rest.into_iter().chain([first]).flatten().collect::<Vec<_>>()
    });
    member.stop();

    let member = Member::start(config(dir.path()));
    let (_, rows, _) = member.run(state);
    for key in &acknowledged {
        assert!(rows.iter().any(|row| row.key == key.as_bytes()), "{key} was acknowledged");
    }
    member.stop();
}

#[test]
fn stopped_member_rejects_requests() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(config(dir.path()));
    member.run(async |engine| {
        engine.stop().await;
        engine.stop().await;
        let put = engine.kv().put(&CALLER, put("a", "1")).await;
        assert!(matches!(put, Err(RequestError::Stopped)), "{put:?}");
        let range =
            engine.kv().range(&CALLER, RangeRequest { key: "a".into(), ..RangeRequest::default() }).await;
        assert!(matches!(range, Err(RequestError::Stopped)), "{range:?}");
        let publish = engine.cluster().publish().await;
        assert!(matches!(publish, Err(RequestError::Stopped)), "{publish:?}");
        assert!(matches!(engine.maintenance().flush().await, Err(RequestError::Stopped)));
    });
}
