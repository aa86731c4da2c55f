//! The audit log.

use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::alarm_request::AlarmAction;
use ferretcd_tests::members::{DEADLINE, until};
use ferretcd_tests::{Caller, Cluster, Ferretcd, Metrics, Options, Process, Program as _};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::{assert_begins_with, delete, get, post, prefix, put, txn};

/// A server that audits into a file.
struct Audited {
    server: Process<Ferretcd>,
    folder: TempDir,
}

impl Audited {
    async fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let mut all = vec![format!("--audit-log={}", folder.path().join("audit.log").display())];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let server = Process::start(&Options { flags: all }).await;
        Self { server: server.unwrap_or_else(|error| panic!("{error}")), folder }
    }

    fn caller(&self) -> Caller {
        Caller::of(&self.server.endpoint())
    }

    /// The text, once the server has ended, and its lines without what differs from run to run.
    async fn end(mut self) -> (String, Vec<String>) {
        self.server.stop().await.expect("it stops");
        let path = self.folder.path().join("audit.log");
        let text = std::fs::read_to_string(path).expect("the file is there");
        assert!(!text.contains("secret"), "{text}");
        for line in text.lines() {
            let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(
                json["ts"].is_string()
                    && json["remote"].as_str().is_some_and(|it| it.starts_with("127.0.0.1:"))
            );
            assert_begins_with(line, &["ts", "user", "remote", "method", "code"]);
        }
        let lines = text.lines().map(shortened).collect();
        (text, lines)
    }
}

/// A line without time, address and duration.
fn shortened(line: &str) -> String {
    let user = line.find("\"user\"").expect("each line has a user");
    let remote = line.find(",\"remote\"").expect("each line has an address");
    let method = line.find("\"/").expect("each line has a method");
    let end = line.find(",\"duration\"").unwrap_or(line.len() - 1);
    format!("{} {}", &line[user..remote], &line[method..end])
}

#[tokio::test]
async fn each_request_has_a_line_without_values() {
    let audited = Audited::start(&[]).await;
    let caller = audited.caller();
    caller.call(put("a\u{1}\"", "secret")).await.expect("a put");
    caller.call(prefix("a", "b")).await.expect("a range");
    caller.call(txn()).await.expect("a transaction");
    caller.call(delete("a", "")).await.expect("a deletion");
    caller.call(pb::LeaseGrantRequest { ttl: 60, id: 7 }).await.expect("a lease");
    caller.call(pb::CompactionRequest { revision: 2, physical: false }).await.expect("a compaction");
    let early = pb::RangeRequest { revision: 1, ..get("a") };
    caller.call(early).await.expect_err("it is compacted");
    caller.call(pb::MemberListRequest { linearizable: false }).await.expect("members");
    caller.call(pb::AlarmRequest::default()).await.expect("alarms");
    let disarm = pb::AlarmRequest {
        action: AlarmAction::Deactivate.into(),
        alarm: pb::AlarmType::Nospace.into(),
        ..pb::AlarmRequest::default()
    };
    caller.call(disarm).await.expect("no alarm is no error");
    let expected = [
        r#""user":"" "/etcdserverpb.KV/Put","key":"a\\x01\\\"","code":"OK","revision":2"#,
        r#""user":"" "/etcdserverpb.KV/Range","key":"a","range_end":"b","code":"OK","revision":2"#,
        concat!(
            r#""user":"" "/etcdserverpb.KV/Txn","compare":[{"key":"a"}],"success":[{"op":"put","key":"b"},"#,
            r#"{"op":"delete_range","key":"x","range_end":"y"}],"failure":[{"op":"range","key":"c"}],"#,
            r#""code":"OK","revision":2"#
        ),
        r#""user":"" "/etcdserverpb.KV/DeleteRange","key":"a","code":"OK","revision":2"#,
        r#""user":"" "/etcdserverpb.Lease/LeaseGrant","lease":"0000000000000007","ttl":60,"code":"OK","revision":2"#,
        r#""user":"" "/etcdserverpb.KV/Compact","at_revision":2,"physical":false,"code":"OK","revision":2"#,
        r#""user":"" "/etcdserverpb.KV/Range","key":"a","at_revision":1,"code":"OutOfRange""#,
        r#""user":"" "/etcdserverpb.Cluster/MemberList","code":"OK""#,
        r#""user":"" "/etcdserverpb.Maintenance/Alarm","action":"GET","code":"OK","revision":2"#,
        r#""user":"" "/etcdserverpb.Maintenance/Alarm","action":"DEACTIVATE","alarm":"NOSPACE","code":"OK","revision":2"#,
    ];
    assert_eq!(audited.end().await.1, expected);
}

#[tokio::test]
async fn users_and_failures_are_audited_without_secrets() {
    let audited = Audited::start(&[]).await;
    let caller = audited.caller();
    for name in ["root", "alice"] {
        let add =
            pb::AuthUserAddRequest { name: name.into(), password: "secret".into(), ..Default::default() };
        caller.call(add).await.expect("a user");
    }
    caller.call(pb::AuthRoleAddRequest { name: "root".into() }).await.expect("a role");
    let grant = pb::AuthUserGrantRoleRequest { user: "root".into(), role: "root".into() };
    caller.call(grant).await.expect("a right");
    caller.call(pb::AuthEnableRequest {}).await.expect("authentication");
    caller.log_in("alice", "wrong-secret").await.map(drop).expect_err("not the password");
    let alice = caller.log_in("alice", "secret").await.expect("the password");
    alice.call(get("k")).await.expect_err("alice has no right");
    caller.with_token("forged-secret").call(get("k")).await.expect_err("no token");
    let mut watch = alice.watch();
    watch.create(pb::WatchCreateRequest { key: "k".into(), ..Default::default() }).await;
    watch.response().await;
    drop(watch);
    // It ends its own token.
    let root = caller.log_in("root", "secret").await.expect("the password");
    root.call(pb::AuthDisableRequest {}).await.expect("no authentication");
    let token = alice.token().to_owned();
    let (text, lines) = audited.end().await;
    assert!(!text.contains(&token), "{text}");
    let expected = [
        r#""user":"" "/etcdserverpb.Auth/UserAdd","name":"root","code":"OK","revision":1"#,
        r#""user":"" "/etcdserverpb.Auth/UserAdd","name":"alice","code":"OK","revision":1"#,
        r#""user":"" "/etcdserverpb.Auth/RoleAdd","role":"root","code":"OK","revision":1"#,
        r#""user":"" "/etcdserverpb.Auth/UserGrantRole","name":"root","role":"root","code":"OK","revision":1"#,
        r#""user":"" "/etcdserverpb.Auth/AuthEnable","code":"OK","revision":1"#,
        r#""user":"" "/etcdserverpb.Auth/Authenticate","name":"alice","code":"InvalidArgument""#,
        r#""user":"" "/etcdserverpb.Auth/Authenticate","name":"alice","code":"OK","revision":1"#,
        r#""user":"alice" "/etcdserverpb.KV/Range","key":"k","code":"PermissionDenied""#,
        r#""user":"" "/etcdserverpb.KV/Range","key":"k","code":"Unauthenticated""#,
        r#""user":"alice" "/etcdserverpb.Watch/Watch","op":"create","key":"k","code":"PermissionDenied""#,
        r#""user":"" "/etcdserverpb.Auth/Authenticate","name":"root","code":"OK","revision":1"#,
        r#""user":"root" "/etcdserverpb.Auth/AuthDisable","code":"OK","revision":1"#,
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn watches_are_audited_and_renewals_are_not() {
    let audited = Audited::start(&[]).await;
    let caller = audited.caller();
    caller.call(pb::LeaseGrantRequest { ttl: 60, id: 7 }).await.expect("a lease");
    drop(caller.renew(&[7]).await.expect("a renewal"));
    let mut watch = caller.watch();
    let create = pb::WatchCreateRequest { key: "a".into(), range_end: "b".into(), ..Default::default() };
    watch.create(create).await;
    let id = watch.response().await.watch_id;
    watch.cancel(id).await;
    watch.response().await;
    let expected = [
        r#""user":"" "/etcdserverpb.Lease/LeaseGrant","lease":"0000000000000007","ttl":60,"code":"OK","revision":1"#,
        r#""user":"" "/etcdserverpb.Watch/Watch","op":"create","key":"a","range_end":"b","code":"OK","id":0}"#,
        r#""user":"" "/etcdserverpb.Watch/Watch","op":"cancel","watch_id":0,"code":"OK"}"#,
    ];
    let (_, lines) = audited.end().await;
    assert_eq!(lines, expected.map(|line| line.trim_end_matches('}')));
}

#[tokio::test]
async fn calls_in_json_are_audited() {
    let audited = Audited::start(&[]).await;
    let url = audited.server.endpoint();
    // The key `a` and the value `secret`.
    let response = post(&url, "/v3/kv/put", r#"{"key": "YQ==", "value": "c2VjcmV0"}"#).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    let response = post(&url, "/v3/auth/authenticate", r#"{"name": "n", "password": "secret"}"#).await;
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");
    let expected = [
        r#""user":"" "/etcdserverpb.KV/Put","key":"a","code":"OK","revision":2"#,
        r#""user":"" "/etcdserverpb.Auth/Authenticate","name":"n","code":"FailedPrecondition""#,
    ];
    assert_eq!(audited.end().await.1, expected);
}

/// Lines are there soon, not only at the end; and what cannot be written stops nothing.
#[tokio::test]
async fn output_that_takes_nothing_stops_no_request() {
    let options = Options { flags: vec!["--audit-log=/dev/full".to_owned()] };
    let server = Process::<Ferretcd>::start(&options).await.unwrap_or_else(|error| panic!("{error}"));
    let caller = Caller::of(&server.endpoint());
    for _ in 0..3 {
        caller.call(put("a", "1")).await.expect("a put");
    }
    Metrics::until(&server, "lines are counted as lost", |metrics| {
        metrics.get("ferretcd_audit_dropped_total") == Some(3.0)
    })
    .await;
    until("the warning", DEADLINE, async || {
        let logs = server.logs();
        if logs.contains("dropping lines of the audit log") { Ok(()) } else { Err(logs) }
    })
    .await;
}

#[tokio::test]
async fn file_that_cannot_be_opened_ends_the_start() {
    let Ok(_) = Ferretcd::locate() else { panic!("ferretcd is built") };
    let options = Options { flags: vec!["--audit-log=/nowhere/audit.log".to_owned()] };
    let error = Process::<Ferretcd>::start(&options).await.map(drop).expect_err("there is no such folder");
    assert!(error.to_string().contains("failed to open the audit log; see --audit-log"), "{error}");
}
