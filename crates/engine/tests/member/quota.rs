//! A full state file.

use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmType, DeleteRangeRequest, alarm_request::AlarmAction,
};
use ferretcd_apply::ApplyError;
use ferretcd_engine::{Config, Engine, RequestError};

use crate::support::*;

const QUOTA: i64 = 4 << 20;
const VALUE: usize = 128 << 10;

fn alarm(action: AlarmAction, engine: &Engine) -> AlarmRequest {
    let member_id = engine.member().id().0;
    AlarmRequest { action: action.into(), member_id, alarm: AlarmType::Nospace.into() }
}

async fn alarms(engine: &Engine) -> Vec<AlarmType> {
    let list = AlarmRequest::default();
    let alarms = engine.maintenance().alarm(&CALLER, list).await.expect("alarms can be listed").alarms;
    alarms.into_iter().map(|alarm| alarm.alarm()).collect()
}

/// Puts until one finds no room; returns how many found some.
async fn fill_up(engine: &Engine) -> i64 {
    for n in 0..QUOTA {
        match engine.kv().put(&CALLER, put(format!("k{n}"), vec![b'v'; VALUE])).await {
            Ok(_) => {}
            Err(RequestError::NoSpace) => return n,
            Err(error) => panic!("failed to {error}"),
        }
    }
    panic!("a quota of {QUOTA} bytes took {QUOTA} values");
}

#[test]
fn full_member_accepts_only_requests_that_free_space() {
    let dir = tempfile::tempdir().expect("a directory");
    let settings = || Config { quota_bytes: QUOTA, ..config(dir.path()) };
    let member = Member::start(settings());
    member.run(async |engine| {
        let fitted = fill_up(engine).await;
        let expected = QUOTA / VALUE as i64;
        assert!((expected / 2..=expected).contains(&fitted), "{fitted} values of {expected} fit");
        assert_eq!(alarms(engine).await, [AlarmType::Nospace], "a rejected client finds the alarm raised");
        let rejected = engine.kv().put(&CALLER, put("small", "")).await;
        assert!(matches!(rejected, Err(RequestError::Apply(ApplyError::NoSpace))), "{rejected:?}");
    });
    member.stop();

    let member = Member::start(settings());
    member.run(async |engine| {
        assert_eq!(alarms(engine).await, [AlarmType::Nospace], "alarms outlive the process");
        let rejected = engine.kv().put(&CALLER, put("small", "")).await;
        assert!(matches!(rejected, Err(RequestError::Apply(ApplyError::NoSpace))), "{rejected:?}");
        let delete = DeleteRangeRequest { key: "k".into(), range_end: "l".into(), prev_kv: false };
        let deleted = engine.kv().delete_range(&CALLER, delete).await.expect("deletes make room");
        let revision = deleted.header.expect("a response has a header").revision;
        engine.kv().compact(&CALLER, compaction(revision, true)).await.expect("compactions make room");
        assert_eq!(alarms(engine).await, [AlarmType::Nospace], "it is for an operator to take it back");

        engine
            .maintenance()
            .alarm(&CALLER, alarm(AlarmAction::Deactivate, engine))
            .await
            .expect("alarms can be taken back");
        assert_eq!(alarms(engine).await, []);
        engine.kv().put(&CALLER, put("big", vec![b'v'; VALUE])).await.expect("there is room again");
    });
    member.stop();
}

#[test]
fn negative_quota_is_no_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    let member = Member::start(Config { quota_bytes: -1, ..config(dir.path()) });
    assert_eq!(
        (member.engine.maintenance().quota_bytes(), member.engine.maintenance().quota_room()),
        (-1, None)
    );
    assert!(member.engine.maintenance().admits(u64::MAX));
    member.stop();
}
