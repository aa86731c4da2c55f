//! What a right taken away ends: watches and keep-alive streams that relied on it. In etcd they go on.

use ferretcd_api_proto::authpb::permission::Type::{Read, Readwrite};
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_client::Rpc;
use ferretcd_tests::members::DEADLINE;
use ferretcd_tests::{Caller, Cluster, Renewals, WatchStream, report};
use tokio::time::timeout;

use crate::support::keys::SigningKey;
use crate::support::requests::{
    lease, put, put_lease, role_delete, role_revoke, user_delete, user_grant, user_password, user_revoke,
    watch,
};
use crate::support::setup::user_with;
use crate::support::texts::{BAD_TOKEN, DENIED, NO_USER, OK};
use crate::support::{ROOT, ends, grant, role, root, started, started_with, user};

on_both! {
    a_revoked_permission_ends_watches => revoked_permission(),
    a_narrower_permission_ends_watches => narrower(),
    a_revoked_role_ends_watches => revoked_role(),
    a_deleted_role_ends_watches => deleted_role(),
    a_deleted_user_has_no_watches => deleted_user(),
    a_revoked_root_role_ends_watches => revoked_root(),
    enabling_ends_watches_without_a_user => enabling(),
    a_right_that_is_left_keeps_watches => kept(),
    watches_that_are_behind_end_too => behind(),
    signed_tokens_end_with_their_rights => signed(),
    keep_alive_streams_end_with_the_right => keep_alive(),
    keep_alive_streams_end_when_enabled => keep_alive_enabling(),
}

const REASON: &str = "etcdserver: permission denied";

/// A server with authentication, whose root has logged in. `None` on etcd.
async fn guarded<C: Cluster>(what: &str) -> Option<(C, Caller, Caller)> {
    if C::KIND.reference {
        report::skipped(
            &format!("{what} on {}", C::KIND.name),
            "what etcd has let begin goes on without the right",
        );
        return None;
    }
    let (cluster, caller) = started::<C>(what).await?;
    let root = root(&caller).await;
    Some((cluster, caller, root))
}

/// The watch ends with the reason, and has no event before that.
async fn is_ended(stream: &mut WatchStream, id: i64) {
    let response = stream.response().await;
    assert_eq!((response.watch_id, response.canceled), (id, true), "{response:?}");
    assert_eq!(response.cancel_reason, REASON, "{response:?}");
    assert!(
        !response.created && response.compact_revision == 0 && response.events.is_empty(),
        "{response:?}"
    );
    assert!(response.revision() > 0, "{response:?}");
}

/// The next response is the event of a put that this watch sees.
async fn sees(stream: &mut WatchStream, root: &Caller, key: &str, id: i64) {
    root.call(put(key)).await.expect("root may put");
    let response = stream.response().await;
    assert_eq!((response.watch_id, response.events.len(), response.canceled), (id, 1, false), "{response:?}");
    assert_eq!(response.events[0].row.key, key.as_bytes());
}

/// A user watches `lost`, by the role `lost`, and `kept`, by another; after the change only `kept` is left.
async fn loses<C: Cluster, R: Rpc>(what: &str, change: impl FnOnce() -> R) {
    let Some((_cluster, _, root)) = guarded::<C>(what).await else { return };
    let alice = user_with(&root, "alice", &[(Read, "kept", "")]).await;
    role(&root, "lost", &[(Read, "lost", "")]).await;
    root.call(user_grant("alice", "lost")).await.expect("both exist");
    let mut stream = alice.watch();
    let lost = stream.created(watch("lost", "")).await.watch_id;
    let kept = stream.created(watch("kept", "")).await.watch_id;
    let mut of_root = root.watch();
    let by_root = of_root.created(watch("lost", "")).await.watch_id;
    sees(&mut stream, &root, "lost", lost).await;
    assert_eq!(of_root.response().await.events.len(), 1);

    root.call(change()).await.expect("root may change it");
    // This put is after the change, so only root sees it.
    sees(&mut of_root, &root, "lost", by_root).await;
    is_ended(&mut stream, lost).await;
    sees(&mut stream, &root, "kept", kept).await;
    // The stream takes further watches, by the rights of now.
    stream.create(watch("lost", "")).await;
    assert!(stream.response().await.canceled);
    stream.created(watch("kept", "")).await;
}

async fn revoked_permission<C: Cluster>() {
    loses::<C, _>("watches of a revoked permission", || role_revoke("lost", "lost", "")).await;
}

async fn revoked_role<C: Cluster>() {
    loses::<C, _>("watches of a revoked role", || user_revoke("alice", "lost")).await;
}

async fn deleted_role<C: Cluster>() {
    loses::<C, _>("watches of a deleted role", || role_delete("lost")).await;
}

/// A permission becomes one that does not allow reading.
async fn narrower<C: Cluster>() {
    use crate::support::requests::role_grant;
    use ferretcd_api_proto::authpb::permission::Type::Write;
    loses::<C, _>("watches of a permission that is replaced", || role_grant("lost", Write, "lost", "")).await;
}

async fn deleted_user<C: Cluster>() {
    let Some((_cluster, _, root)) = guarded::<C>("watches of a deleted user").await else { return };
    let alice = user_with(&root, "alice", &[(Read, "a", "c")]).await;
    let bob = user_with(&root, "bob", &[(Read, "a", "c")]).await;
    let (mut stream, mut of_bob) = (alice.watch(), bob.watch());
    let mut ids =
        vec![stream.created(watch("a", "")).await.watch_id, stream.created(watch("b", "")).await.watch_id];
    let kept = of_bob.created(watch("a", "")).await.watch_id;
    root.call(user_delete("alice")).await.expect("it exists");
    sees(&mut of_bob, &root, "a", kept).await;
    for _ in 0..2 {
        let response = stream.response().await;
        assert_eq!((response.canceled, response.cancel_reason.as_str()), (true, REASON), "{response:?}");
        ids.retain(|id| *id != response.watch_id);
    }
    assert!(ids.is_empty(), "{ids:?} go on");
    // The token is gone, too.
    stream.create(watch("a", "")).await;
    let response = stream.response().await;
    assert_eq!(response.cancel_reason, crate::support::texts::as_reason(BAD_TOKEN));
}

async fn revoked_root<C: Cluster>() {
    let Some((_cluster, _, root)) = guarded::<C>("watches of a former root").await else { return };
    let admin = user_with(&root, "admin", &[(Read, "kept", "")]).await;
    root.call(user_grant("admin", ROOT)).await.expect("both exist");
    let mut stream = admin.watch();
    let lost = stream.created(watch("lost", "")).await.watch_id;
    let kept = stream.created(watch("kept", "")).await.watch_id;
    root.call(user_revoke("admin", ROOT)).await.expect("it is granted");
    is_ended(&mut stream, lost).await;
    sees(&mut stream, &root, "kept", kept).await;
}

/// Watches from before authentication was enabled have no user.
async fn enabling<C: Cluster>() {
    let Some((_cluster, caller, root)) = guarded::<C>("watches without a user").await else { return };
    let disable = pb::AuthDisableRequest {};
    root.call(disable).await.expect("root may disable it");
    let mut stream = caller.watch();
    let id = stream.created(watch("a", "")).await.watch_id;
    sees(&mut stream, &caller, "a", id).await;
    let root = crate::support::enabled(&caller).await;
    root.call(put("a")).await.expect("root may put");
    is_ended(&mut stream, id).await;
    stream.create(watch("a", "")).await;
    assert_eq!(stream.response().await.cancel_reason, crate::support::texts::as_reason(NO_USER));
}

/// Changes that leave the right alone leave the watch alone.
async fn kept<C: Cluster>() {
    let Some((_cluster, _, root)) = guarded::<C>("watches whose right is left").await else { return };
    role(&root, "same", &[(Readwrite, "a", "")]).await;
    role(&root, "other", &[(Read, "z", "")]).await;
    let alice = user_with(&root, "alice", &[(Read, "a", "c")]).await;
    root.call(user_grant("alice", "same")).await.expect("both exist");
    root.call(user_grant("alice", "other")).await.expect("both exist");
    let mut stream = alice.watch();
    let id = stream.created(watch("a", "")).await.watch_id;
    grant(&root, "alice", Read, "x", "").await;
    root.call(role_revoke("alice", "a", "c")).await.expect("it is granted");
    sees(&mut stream, &root, "a", id).await;
    root.call(user_revoke("alice", "other")).await.expect("it is granted");
    root.call(role_delete("other")).await.expect("it exists");
    user(&root, "bob", &["same"]).await;
    root.call(user_delete("bob")).await.expect("it exists");
    sees(&mut stream, &root, "a", id).await;
    root.call(pb::AuthDisableRequest {}).await.expect("root may disable it");
    sees(&mut stream, &root, "a", id).await;
}

/// A watch that has not caught up yet, as its client does not read.
async fn behind<C: Cluster>() {
    let Some((_cluster, _, root)) = guarded::<C>("watches that are behind").await else { return };
    let alice = user_with(&root, "alice", &[(Read, "a", "")]).await;
    let mut stream = alice.watch();
    let id = stream.created(watch("a", "")).await.watch_id;
    let large = pb::PutRequest { value: vec![b'v'; 1 << 20].into(), ..put("a") };
    const PUTS: usize = 20;
    for _ in 0..PUTS {
        root.call(large.clone()).await.expect("root may put");
    }
    root.call(role_revoke("alice", "a", "")).await.expect("it is granted");
    root.call(put("a")).await.expect("root may put");
    let mut events = 0;
    loop {
        let response = stream.response().await;
        events += response.events.len();
        if response.canceled {
            assert_eq!((response.watch_id, response.cancel_reason.as_str()), (id, REASON));
            break;
        }
    }
    assert!(events <= PUTS, "the put after the change is not seen");
}

/// Signed tokens are valid for longer than the rights of their users.
async fn signed<C: Cluster>() {
    if C::KIND.reference {
        return report::skipped(
            "watches with signed tokens",
            "what etcd has let begin goes on without the right",
        );
    }
    let key = SigningKey::secret("a secret");
    let Some((_cluster, caller)) = started_with::<C>("watches with signed tokens", &[&key.flag()]).await
    else {
        return;
    };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Read, "a", ""), (Read, "b", "")]).await;
    let mut stream = alice.watch();
    let lost = stream.created(watch("a", "")).await.watch_id;
    let kept = stream.created(watch("b", "")).await.watch_id;
    // A change makes the token old, but takes no right.
    root.call(user_password("alice", "another")).await.expect("root may change it");
    let root = crate::support::setup::log_in(&caller, ROOT).await;
    sees(&mut stream, &root, "a", lost).await;
    root.call(role_revoke("alice", "a", "")).await.expect("it is granted");
    is_ended(&mut stream, lost).await;
    let root = crate::support::setup::log_in(&caller, ROOT).await;
    sees(&mut stream, &root, "b", kept).await;
}

/// The stream ends without a further renewal, with the error that a renewal would have.
async fn are_ended(renewals: &mut Renewals, expected: &str) {
    let next = timeout(DEADLINE, renewals.next()).await;
    ends(next.expect("the stream ends without a renewal"), expected);
}

async fn keep_alive<C: Cluster>() {
    let Some((_cluster, _, root)) = guarded::<C>("renewals without the right").await else { return };
    let alice = user_with(&root, "alice", &[(Readwrite, "a", "")]).await;
    alice.call(lease(1)).await.expect("it may grant leases");
    alice.call(put_lease("a", 1)).await.expect("it may write the key");
    let mut renewals = alice.renew(&[1]).await.expect("it opens");
    renewals.next().await.expect("it may renew");
    root.call(role_revoke("alice", "a", "")).await.expect("it is granted");
    are_ended(&mut renewals, DENIED).await;
    ends(root.call(put("a")).await, OK);
}

async fn keep_alive_enabling<C: Cluster>() {
    let Some((_cluster, caller, root)) = guarded::<C>("renewals without a user").await else { return };
    root.call(pb::AuthDisableRequest {}).await.expect("root may disable it");
    caller.call(lease(1)).await.expect("auth is off");
    caller.call(put_lease("a", 1)).await.expect("auth is off");
    let mut renewals = caller.renew(&[1]).await.expect("it opens");
    renewals.next().await.expect("auth is off");
    crate::support::enabled(&caller).await;
    are_ended(&mut renewals, NO_USER).await;
}
