//! The Auth service.

use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_api_proto::etcdserverpb as pb;
use ferretcd_tests::Cluster;

use super::super::column::Recorder;
use crate::support::requests::{
    authenticate, role_add, role_delete, role_get, role_grant, role_revoke, user_add,
    user_add_without_password, user_delete, user_get, user_grant, user_password, user_revoke,
};
use crate::support::{PASSWORD, ROOT};

/// Hashes are of at most 72 bytes.
const TOO_LONG: usize = 73;

pub(super) async fn record<C: Cluster>(to: &mut Recorder<'_, C>) {
    logins(to).await;
    users(to).await;
    roles(to).await;
    to.call("AuthEnable", pb::AuthEnableRequest {}).await;
    to.world.restore().await;
    to.call("AuthDisable", pb::AuthDisableRequest {}).await;
    to.world.restore().await;
}

async fn logins<C: Cluster>(to: &mut Recorder<'_, C>) {
    to.call("AuthStatus", pb::AuthStatusRequest {}).await;
    to.call("Authenticate", authenticate("able", PASSWORD)).await;
    to.call("Authenticate with another password", authenticate("able", "another")).await;
    to.call("Authenticate without a password", authenticate("able", "")).await;
    to.call("Authenticate as an unknown user", authenticate("unknown", PASSWORD)).await;
    to.call("Authenticate without a name", authenticate("", PASSWORD)).await;
    to.call("Authenticate as a user without a password", authenticate("without-password", "")).await;
    to.call("Authenticate with a password that is too long", authenticate("able", &"p".repeat(TOO_LONG)))
        .await;
}

async fn users<C: Cluster>(to: &mut Recorder<'_, C>) {
    let free = to.world.free_name();
    to.call("UserAdd", user_add(&free, PASSWORD)).await;
    let free = to.world.free_name();
    to.call("UserAdd without a password", user_add_without_password(&free)).await;
    to.call("UserAdd without a name", user_add("", PASSWORD)).await;
    to.call("UserAdd of a user that exists", user_add("able", PASSWORD)).await;
    let free = to.world.free_name();
    to.call("UserAdd with a password that is too long", user_add(&free, &"p".repeat(TOO_LONG))).await;
    to.call("UserGet of itself", user_get(to.user())).await;
    to.call("UserGet of another", user_get(to.other())).await;
    to.call("UserGet of an unknown user", user_get("unknown")).await;
    to.call("UserGet without a name", user_get("")).await;
    to.call("UserList", pb::AuthUserListRequest {}).await;
    let fresh = to.world.fresh_user().await;
    to.call("UserChangePassword", user_password(&fresh, "another")).await;
    to.call("UserChangePassword to none", user_password(&fresh, "")).await;
    to.call("UserChangePassword of an unknown user", user_password("unknown", "another")).await;
    let long = "p".repeat(TOO_LONG);
    to.call("UserChangePassword to one that is too long", user_password(&fresh, &long)).await;
    to.call("UserGrantRole", user_grant(&fresh, "able")).await;
    to.call("UserGrantRole, again", user_grant(&fresh, "able")).await;
    to.call("UserGrantRole to an unknown user", user_grant("unknown", "able")).await;
    to.call("UserGrantRole of an unknown role", user_grant(&fresh, "unknown")).await;
    let other = to.world.fresh_user().await;
    to.world.root().await.call(user_grant(&other, "able")).await.expect("root may grant roles");
    to.call("UserRevokeRole", user_revoke(&other, "able")).await;
    to.call("UserRevokeRole of a role that is not granted", user_revoke(&other, "reader")).await;
    to.call("UserRevokeRole from an unknown user", user_revoke("unknown", "able")).await;
    to.call("UserDelete", user_delete(&other)).await;
    to.call("UserDelete of an unknown user", user_delete("unknown")).await;
    // Without authentication root could be deleted.
    if to.world.has_auth() {
        to.call("UserRevokeRole of root from root", user_revoke(ROOT, ROOT)).await;
        to.call("UserDelete of root", user_delete(ROOT)).await;
    }
}

async fn roles<C: Cluster>(to: &mut Recorder<'_, C>) {
    let free = to.world.free_name();
    to.call("RoleAdd", role_add(&free)).await;
    to.call("RoleAdd without a name", role_add("")).await;
    to.call("RoleAdd of a role that exists", role_add("able")).await;
    to.call("RoleGet of the own role", role_get(to.user())).await;
    to.call("RoleGet of another's role", role_get(to.other())).await;
    to.call("RoleGet of an unknown role", role_get("unknown")).await;
    to.call("RoleGet of root", role_get(ROOT)).await;
    to.call("RoleList", pb::AuthRoleListRequest {}).await;
    let fresh = to.world.fresh_role().await;
    to.call("RoleGrantPermission", role_grant(&fresh, Type::Write, "b", "c")).await;
    to.call("RoleGrantPermission to an unknown role", role_grant("unknown", Type::Write, "b", "c")).await;
    let none = pb::AuthRoleGrantPermissionRequest { name: fresh.clone(), perm: None };
    to.call("RoleGrantPermission of none", none).await;
    to.call("RoleGrantPermission without a key", role_grant(&fresh, Type::Write, "", "")).await;
    to.call("RoleGrantPermission of an inverted interval", role_grant(&fresh, Type::Write, "c", "b")).await;
    to.call("RoleRevokePermission", role_revoke(&fresh, "a", "")).await;
    to.call("RoleRevokePermission of another interval", role_revoke(&fresh, "b", "d")).await;
    to.call("RoleRevokePermission from an unknown role", role_revoke("unknown", "a", "")).await;
    to.call("RoleDelete", role_delete(&fresh)).await;
    to.call("RoleDelete of an unknown role", role_delete("unknown")).await;
    if to.world.has_auth() {
        to.call("RoleDelete of root", role_delete(ROOT)).await;
    }
}
