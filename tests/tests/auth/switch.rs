//! Authentication is enabled and disabled.

use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::{Caller, Killable};

use crate::support::requests::{
    put, range, role_add, role_delete, user_add, user_delete, user_get, user_grant, user_revoke,
};
use crate::support::setup::user_with;
use crate::support::texts::{BAD_TOKEN, DENIED, MANAGEMENT, NO_ROOT, NO_ROOT_ROLE, NO_USER, NOT_ENABLED, OK};
use crate::support::{PASSWORD, ROOT, enabled, ends, root, started, user};

on_both! {
    enabling_needs_a_root_user => preconditions(),
    disabling_lets_every_caller_in => disabling(),
    it_stays_enabled_over_a_restart => restarted(),
    root_is_kept_while_it_is_enabled => root_is_kept(),
    other_users_with_the_root_role_are_roots_too => other_roots(),
}

const ENABLE: pb::AuthEnableRequest = pb::AuthEnableRequest {};
const DISABLE: pb::AuthDisableRequest = pb::AuthDisableRequest {};

async fn is_enabled(caller: &Caller) -> bool {
    caller.call(pb::AuthStatusRequest {}).await.expect("the status needs no login").enabled
}

async fn preconditions<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("what enabling needs").await else { return };
    assert!(!is_enabled(&caller).await);
    ends(caller.call(ENABLE).await, NO_ROOT);
    caller.call(user_add(ROOT, PASSWORD)).await.expect("auth is off");
    ends(caller.call(ENABLE).await, NO_ROOT_ROLE);
    user(&caller, "other", &[]).await;
    caller.call(user_grant("other", ROOT)).await.expect("root's role can be granted before it exists");
    ends(caller.call(ENABLE).await, NO_ROOT_ROLE);
    caller.call(user_grant(ROOT, ROOT)).await.expect("root's role can be granted before it exists");
    ends(caller.call(ENABLE).await, OK);
    assert!(is_enabled(&caller).await);
    // Enabled once more, now with a login.
    ends(caller.call(ENABLE).await, NO_USER);
    let root = caller.log_in(ROOT, PASSWORD).await.expect("root can log in");
    ends(root.call(ENABLE).await, OK);
}

async fn disabling<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("disabling").await else { return };
    ends(caller.call(DISABLE).await, OK);
    ends(caller.log_in(ROOT, PASSWORD).await, NOT_ENABLED);
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Type::Readwrite, "a", "")]).await;
    ends(caller.call(put("a")).await, NO_USER);
    ends(alice.call(DISABLE).await, DENIED);
    ends(root.call(DISABLE).await, OK);
    assert!(!is_enabled(&caller).await);
    // Tokens are not looked at any more.
    ends(caller.call(put("a")).await, OK);
    ends(alice.call(put("b")).await, OK);
    ends(caller.with_token("garbage").call(range("a", "")).await, OK);
    ends(alice.call(user_get("alice")).await, OK);
    ends(caller.log_in("alice", PASSWORD).await, NOT_ENABLED);
    // Users and roles are still there, but not the tokens.
    let again = enabled(&caller).await;
    ends(root.call(range("a", "")).await, BAD_TOKEN);
    ends(alice.call(range("a", "")).await, BAD_TOKEN);
    let alice = again.log_in("alice", PASSWORD).await.expect("alice is still there");
    ends(alice.call(put("a")).await, OK);
    ends(alice.call(put("b")).await, DENIED);
}

async fn restarted<C: Killable>() {
    let Some((mut cluster, caller)) = started::<C>("authentication after a restart").await else { return };
    let root = root(&caller).await;
    let alice = user_with(&root, "alice", &[(Type::Readwrite, "a", "")]).await;
    ends(alice.call(put("a")).await, OK);
    cluster.kill9().await.expect("it can be killed");
    cluster.restart().await.expect("it starts again");
    let caller = Caller::of(&cluster.endpoint());
    assert!(is_enabled(&caller).await);
    ends(caller.call(range("a", "")).await, NO_USER);
    let alice = caller.log_in("alice", PASSWORD).await.expect("alice is still there");
    ends(alice.call(range("a", "")).await, OK);
    ends(alice.call(range("b", "")).await, DENIED);
}

async fn root_is_kept<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("what root keeps").await else { return };
    let root = root(&caller).await;
    ends(root.call(user_delete(ROOT)).await, MANAGEMENT);
    ends(root.call(role_delete(ROOT)).await, MANAGEMENT);
    ends(root.call(user_revoke(ROOT, ROOT)).await, MANAGEMENT);
    user(&root, "other", &[ROOT]).await;
    ends(root.call(user_revoke("other", ROOT)).await, OK);
    root.call(DISABLE).await.expect("root may disable it");
    ends(caller.call(role_delete(ROOT)).await, OK);
    // The deletion has taken the role from root.
    ends(caller.call(ENABLE).await, NO_ROOT_ROLE);
    ends(caller.call(user_delete(ROOT)).await, OK);
    ends(caller.call(ENABLE).await, NO_ROOT);
}

async fn other_roots<C: Killable>() {
    let Some((_cluster, caller)) = started::<C>("users with root's role").await else { return };
    let root = root(&caller).await;
    user(&root, "admin", &[ROOT]).await;
    let admin = caller.log_in("admin", PASSWORD).await.expect("admin can log in");
    ends(admin.call(put("any")).await, OK);
    ends(admin.call(role_add("r")).await, OK);
    ends(admin.call(user_delete(ROOT)).await, MANAGEMENT);
    ends(root.call(user_revoke("admin", ROOT)).await, OK);
    // The token is still valid, the right is gone.
    ends(admin.call(put("any")).await, DENIED);
    ends(admin.call(role_add("s")).await, DENIED);
    ends(root.call(user_grant("admin", ROOT)).await, OK);
    ends(admin.call(DISABLE).await, OK);
}
