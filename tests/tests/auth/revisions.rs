//! The revision of users and roles: which calls count it up.

use std::fmt::Debug;

use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_client::Rpc;
use ferretcd_tests::{Caller, Cluster, Killable};

use crate::support::requests::{
    put, role_add, role_delete, role_get, role_grant, role_revoke, user_add, user_add_without_password,
    user_delete, user_get, user_grant, user_password, user_revoke,
};
use crate::support::texts::{
    FAILED, MANAGEMENT, NO_PERMISSION, NO_ROLE_NAME, NO_ROOT, NO_SUCH_ROLE, NO_SUCH_USER, NO_USER,
    NOT_GRANTED, NOT_OF_ROLE, OK, ROLE_EXISTS, USER_EXISTS,
};
use crate::support::{PASSWORD, ends, started};

on_both! {
    changes_count_up => changes(),
    the_revision_outlives_a_restart => restarted(),
}

async fn revision(caller: &Caller) -> u64 {
    caller.call(pb::AuthStatusRequest {}).await.expect("the status needs no login").auth_revision
}

/// Makes a call, and compares its outcome and by how much it counts up.
async fn counts<R: Rpc + Debug>(caller: &Caller, request: R, outcome: &str, expected: u64) {
    let (what, before) = (format!("{} {request:?}", R::PATH), revision(caller).await);
    ends(caller.call(request).await, outcome);
    assert_eq!(revision(caller).await - before, expected, "{what}");
}

async fn changes<C: Cluster>() {
    let Some((_cluster, caller)) = started::<C>("revisions of users and roles").await else { return };
    let enable = pb::AuthEnableRequest {};
    assert_eq!(revision(&caller).await, 1);
    counts(&caller, enable, NO_ROOT, 0).await;
    counts(&caller, pb::AuthDisableRequest {}, OK, 0).await;
    counts(&caller, user_add("root", PASSWORD), OK, 1).await;
    counts(&caller, user_add("root", PASSWORD), USER_EXISTS, 0).await;
    counts(&caller, user_add("", PASSWORD), NO_USER, 0).await;
    counts(&caller, user_add_without_password("alice"), OK, 1).await;
    counts(&caller, role_add("root"), OK, 1).await;
    counts(&caller, role_add("root"), ROLE_EXISTS, 0).await;
    counts(&caller, role_add(""), NO_ROLE_NAME, 0).await;
    counts(&caller, user_grant("root", "root"), OK, 1).await;
    counts(&caller, enable, OK, 0).await;
    let root = caller.log_in("root", PASSWORD).await.expect("root can log in");
    counts(&root, enable, OK, 0).await;
    ends(caller.log_in("root", "another").await, FAILED);
    managed(&root).await;
    granted(&root).await;
    counts(&root, put("a"), OK, 0).await;
    counts(&root, pb::AuthDisableRequest {}, OK, 1).await;
    counts(&caller, pb::AuthDisableRequest {}, OK, 0).await;
    counts(&caller, enable, OK, 0).await;
}

/// Users and their roles.
async fn managed(root: &Caller) {
    counts(root, user_get("alice"), OK, 0).await;
    counts(root, pb::AuthUserListRequest {}, OK, 0).await;
    counts(root, user_password("alice", "another"), OK, 1).await;
    counts(root, user_password("nobody", "another"), NO_SUCH_USER, 0).await;
    counts(root, role_add("r"), OK, 1).await;
    counts(root, user_grant("alice", "r"), OK, 1).await;
    counts(root, user_grant("alice", "r"), OK, 0).await;
    counts(root, user_grant("alice", "s"), NO_SUCH_ROLE, 0).await;
    counts(root, user_grant("nobody", "r"), NO_SUCH_USER, 0).await;
    counts(root, user_revoke("alice", "r"), OK, 1).await;
    counts(root, user_revoke("alice", "r"), NOT_GRANTED, 0).await;
    counts(root, user_revoke("nobody", "r"), NO_SUCH_USER, 0).await;
    counts(root, user_delete("alice"), OK, 1).await;
    counts(root, user_delete("alice"), NO_SUCH_USER, 0).await;
    counts(root, user_delete("root"), MANAGEMENT, 0).await;
}

/// Roles and their permissions.
async fn granted(root: &Caller) {
    counts(root, role_get("r"), OK, 0).await;
    counts(root, pb::AuthRoleListRequest {}, OK, 0).await;
    counts(root, role_grant("r", Type::Read, "a", "c"), OK, 1).await;
    // Also when it changes nothing.
    counts(root, role_grant("r", Type::Read, "a", "c"), OK, 1).await;
    counts(root, role_grant("r", Type::Write, "a", "c"), OK, 1).await;
    counts(root, role_grant("s", Type::Read, "a", "c"), NO_SUCH_ROLE, 0).await;
    counts(root, role_grant("r", Type::Read, "c", "a"), MANAGEMENT, 0).await;
    let none = pb::AuthRoleGrantPermissionRequest { name: "r".to_owned(), perm: None };
    counts(root, none, NO_PERMISSION, 0).await;
    counts(root, role_revoke("r", "a", ""), NOT_OF_ROLE, 0).await;
    counts(root, role_revoke("r", "a", "c"), OK, 1).await;
    counts(root, role_revoke("s", "a", "c"), NO_SUCH_ROLE, 0).await;
    counts(root, role_delete("r"), OK, 1).await;
    counts(root, role_delete("r"), NO_SUCH_ROLE, 0).await;
}

async fn restarted<C: Killable>() {
    let Some((mut cluster, caller)) = started::<C>("the revision after a restart").await else { return };
    let root = crate::support::root(&caller).await;
    let before = revision(&root).await;
    cluster.kill9().await.expect("it can be killed");
    cluster.restart().await.expect("it starts again");
    assert_eq!(revision(&Caller::of(&cluster.endpoint())).await, before);
}
