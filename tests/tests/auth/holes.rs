//! Holes that etcd has had, by what a user could do.

use ferretcd_api_proto::authpb::permission::Type::{Read, Readwrite, Write};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_api_proto::etcdserverpb::alarm_request::AlarmAction;
use ferretcd_tests::{Caller, Cluster};

use crate::support::requests::{
    OPEN, authenticate, delete, delete_prev, lease, put, put_lease, put_prev, range, revoke, time_to_live,
    txn, txn_else, user_add, user_grant, user_password, watch,
};
use crate::support::setup::user_with;
use crate::support::texts::{BAD_TOKEN, DENIED, FAILED, NO_USER, OK};
use crate::support::{PASSWORD, ROOT, ends, root, started};

on_both! {
    nothing_but_the_status_works_without_a_login => without_login(),
    a_txn_within_a_txn_opens_no_key => nested(),
    a_put_in_a_txn_reads_no_previous_value => previous_values(),
    a_put_in_a_txn_takes_no_foreign_lease => foreign_leases(),
    a_lease_deletes_no_foreign_keys => deletions(),
    one_key_opens_no_open_ended_watch => open_watches(),
    logins_do_not_tell_users_apart => oracle(),
    a_hash_from_outside_is_not_taken => hashes(),
    no_user_raises_itself => escalation(),
    alarms_open_nothing => alarms(),
}

/// Members, alarms, leases and more without a login (GHSA-q8m4-xhhv-38mg).
async fn without_login<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("calls without a login").await else { return };
    let root = root(&caller).await;
    root.call(lease(1)).await.expect("root may grant leases");
    root.call(put_lease("a", 1)).await.expect("root may attach keys");
    for (stranger, expected) in [(caller.clone(), NO_USER), (caller.with_token("garbage"), BAD_TOKEN)] {
        ends(stranger.call(pb::MemberListRequest::default()).await, expected);
        ends(stranger.call(pb::MemberListRequest { linearizable: true }).await, expected);
        for action in [AlarmAction::Get, AlarmAction::Activate, AlarmAction::Deactivate] {
            let request = pb::AlarmRequest { action: action.into(), alarm: 1, ..Default::default() };
            ends(stranger.call(request).await, expected);
        }
        ends(stranger.call(lease(2)).await, expected);
        ends(stranger.call(revoke(1)).await, expected);
        ends(stranger.call(time_to_live(1, false)).await, expected);
        ends(stranger.call(time_to_live(1, true)).await, expected);
        ends(stranger.call(pb::LeaseLeasesRequest {}).await, expected);
        let renewed = match stranger.renew(&[1]).await {
            Ok(mut renewals) => renewals.next().await.map(drop),
            Err(status) => Err(status),
        };
        ends(renewed, expected);
        ends(stranger.call(pb::StatusRequest {}).await, expected);
        ends(stranger.call(pb::HashRequest {}).await, expected);
        ends(stranger.call(pb::HashKvRequest { revision: 0 }).await, expected);
        ends(stranger.snapshot().await, expected);
        ends(stranger.call(pb::CompactionRequest { revision: 1, physical: false }).await, expected);
        ends(stranger.range_stream(range("a", "")).await, expected);
    }
    ends(caller.call(pb::AuthStatusRequest {}).await, OK);
    assert_eq!(root.call(range("a", "")).await.expect("root may read").count, 1);
}

/// Rights within nested txns (GHSA-rfx7-8w68-q57q).
async fn nested<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("nested txns").await else { return };
    let root = root(&caller).await;
    root.call(put("secret")).await.expect("root may put");
    let alice = user_with(&root, "alice", &[(Readwrite, "a", "")]).await;
    for hidden in [txn(range("secret", "")), txn_else(range("secret", "")), txn(range("a", OPEN))] {
        ends(alice.call(txn(hidden.clone())).await, DENIED);
        ends(alice.call(txn_else(hidden.clone())).await, DENIED);
        ends(alice.call(txn(txn_else(txn(hidden)))).await, DENIED);
    }
    ends(alice.call(txn(txn(put("secret")))).await, DENIED);
    ends(alice.call(txn(txn_else(delete_prev("secret", "")))).await, DENIED);
    assert_eq!(root.call(range("secret", "")).await.expect("root may read").count, 1);
}

/// A user without the right to read gets the old value from its own put (GHSA-x35m-3gp4-4fh5).
async fn previous_values<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("previous values in txns").await else { return };
    let root = root(&caller).await;
    root.call(put("a")).await.expect("root may put");
    let writer = user_with(&root, "writer", &[(Write, "a", "c")]).await;
    for request in [txn(put_prev("a")), txn(txn(put_prev("a"))), txn_else(put_prev("a"))] {
        ends(writer.call(request).await, DENIED);
    }
    for request in [txn(delete_prev("a", "")), txn(txn(delete_prev("a", "c")))] {
        ends(writer.call(request).await, DENIED);
    }
    assert_eq!(root.call(range("a", "")).await.expect("root may read").count, 1);
}

/// A user attaches its key to the lease of another's, so that it could revoke that (GHSA-x35m-3gp4-4fh5).
async fn foreign_leases<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("leases in txns").await else { return };
    let root = root(&caller).await;
    root.call(lease(1)).await.expect("root may grant leases");
    root.call(put_lease("secret", 1)).await.expect("root may attach keys");
    let alice = user_with(&root, "alice", &[(Readwrite, "a", "")]).await;
    for request in [txn(put_lease("a", 1)), txn(txn(put_lease("a", 1))), txn_else(put_lease("a", 1))] {
        ends(alice.call(request).await, DENIED);
    }
    ends(alice.call(put_lease("a", 1)).await, DENIED);
    let shown = root.call(time_to_live(1, true)).await.expect("root may see keys");
    assert_eq!(shown.keys, ["secret"]);
}

/// The end of a lease deletes all its keys, so it needs the right to all.
async fn deletions<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("keys of revoked leases").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Readwrite, "a", "")]).await;
    alice.call(lease(1)).await.expect("it may grant leases");
    alice.call(put_lease("a", 1)).await.expect("it may write the key");
    root.call(put_lease("secret", 1)).await.expect("root may attach keys");
    // The lease was alice's own, but is no longer hers alone.
    ends(alice.call(revoke(1)).await, DENIED);
    assert_eq!(root.call(range("secret", "")).await.expect("root may read").count, 1);
}

/// A watch from a key on, for a user with that key alone (GHSA-xg4h-6gfc-h4m8).
async fn open_watches<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("open watches").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Read, "a", "")]).await;
    let mut stream = alice.watch();
    for (key, end) in [("a", OPEN), ("a", "b"), (OPEN, OPEN), ("", ""), ("a\0", OPEN)] {
        stream.create(watch(key, end)).await;
        let response = stream.response().await;
        assert!(response.canceled, "[{key:?}, {end:?}): {response:?}");
        ends(alice.call(range(key, end)).await, if key.is_empty() { NO_KEY } else { DENIED });
    }
    let id = stream.created(watch("a", "")).await.watch_id;
    root.call(put("b")).await.expect("root may put");
    root.call(put("a")).await.expect("root may put");
    let response = stream.response().await;
    assert_eq!((response.watch_id, response.events.len()), (id, 1), "{response:?}");
}

const NO_KEY: &str = "InvalidArgument: etcdserver: key is not provided";

/// The response to a bad login does not say whether the user exists.
async fn oracle<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("failed logins").await else { return };
    let root = root(&caller).await;
    root.call(user_add("alice", PASSWORD)).await.expect("root may add users");
    ends(caller.call(authenticate("alice", "wrong")).await, FAILED);
    ends(caller.call(authenticate("nobody", "wrong")).await, FAILED);
    ends(caller.call(authenticate("", "")).await, FAILED);
    ends(caller.call(authenticate("Alice", PASSWORD)).await, FAILED);
    ends(caller.call(authenticate("alice ", PASSWORD)).await, FAILED);
    ends(caller.call(authenticate("alice", "Secret")).await, FAILED);
}

/// The field of the log's own requests, sent by a client. The hash of the password wins.
async fn hashes<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("hashes of clients").await else { return };
    let root = root(&caller).await;
    let hashed_password = "JDJhJDA0JGFhYWFhYWFhYWFhYWFhYWFhYWFhYWU=".to_owned();
    let both =
        pb::AuthUserAddRequest { hashed_password: hashed_password.clone(), ..user_add("alice", PASSWORD) };
    root.call(both).await.expect("root may add users");
    ends(caller.log_in("alice", PASSWORD).await, OK);
    let both = pb::AuthUserChangePasswordRequest { hashed_password, ..user_password("alice", "another") };
    root.call(both).await.expect("root may change it");
    ends(caller.log_in("alice", "another").await, OK);
}

async fn escalation<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("users that would be root").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Readwrite, OPEN, OPEN)]).await;
    ends(alice.call(user_grant("alice", ROOT)).await, DENIED);
    ends(alice.call(user_password(ROOT, "known")).await, DENIED);
    ends(alice.call(pb::AuthDisableRequest {}).await, DENIED);
    ends(alice.snapshot().await, DENIED);
    ends(alice.call(pb::DefragmentRequest {}).await, DENIED);
    // All keys are its own, nevertheless.
    ends(alice.call(range(OPEN, OPEN)).await, OK);
    let by_field: Caller = caller.with(&[("username", ROOT), ("user", ROOT), ("authrevision", "9")]);
    ends(by_field.call(range("a", "")).await, NO_USER);
}

/// Rights are checked while an alarm is active, too.
async fn alarms<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("rights under an alarm").await else { return };
    let root = root(&caller).await;
    root.call(lease(1)).await.expect("root may grant leases");
    root.call(put_lease("secret", 1)).await.expect("root may attach keys");
    let alice = user_with(&root, "alice", &[(Readwrite, "a", "")]).await;
    for alarm in [pb::AlarmType::Nospace, pb::AlarmType::Corrupt] {
        let request = |action: AlarmAction| pb::AlarmRequest {
            action: action.into(),
            alarm: alarm.into(),
            ..Default::default()
        };
        root.call(request(AlarmAction::Activate)).await.expect("root may raise alarms");
        ends(alice.call(pb::AuthDisableRequest {}).await, DENIED);
        ends(alice.call(user_grant("alice", ROOT)).await, DENIED);
        ends(alice.call(user_add("bob", PASSWORD)).await, DENIED);
        ends(alice.call(range("secret", "")).await, DENIED);
        ends(caller.call(pb::AuthDisableRequest {}).await, NO_USER);
        if alarm == pb::AlarmType::Nospace {
            ends(alice.call(delete("secret", "")).await, DENIED);
            ends(alice.call(txn(delete("secret", ""))).await, DENIED);
            ends(alice.call(revoke(1)).await, DENIED);
            ends(alice.call(delete("a", "")).await, OK);
        }
        ends(root.call(request(AlarmAction::Deactivate)).await, OK);
    }
    assert_eq!(root.call(range("secret", "")).await.expect("root may read").count, 1);
}
