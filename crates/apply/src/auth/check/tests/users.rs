//! Requests about users, and those that concern no key.

use ferretcd_api_proto::etcdserverpb as pb;

use super::*;

#[test]
fn requests_about_users_need_the_role_root() {
    let stores = Stores::new();
    let (alice, other) = (|| ALICE.to_owned(), || "other".to_owned());
    for request in [
        AuthRequest::Enable(pb::AuthEnableRequest {}),
        AuthRequest::Disable(pb::AuthDisableRequest {}),
        AuthRequest::UserAdd(pb::AuthUserAddRequest { name: alice(), ..Default::default() }),
        AuthRequest::UserDelete(pb::AuthUserDeleteRequest { name: alice() }),
        AuthRequest::UserGet(pb::AuthUserGetRequest { name: other() }),
        AuthRequest::UserChangePassword(pb::AuthUserChangePasswordRequest {
            name: alice(),
            ..Default::default()
        }),
        AuthRequest::UserGrantRole(pb::AuthUserGrantRoleRequest { user: alice(), role: other() }),
        AuthRequest::UserRevokeRole(pb::AuthUserRevokeRoleRequest { name: alice(), role: other() }),
        AuthRequest::UserList(pb::AuthUserListRequest {}),
        AuthRequest::RoleList(pb::AuthRoleListRequest {}),
        AuthRequest::RoleAdd(pb::AuthRoleAddRequest { name: other() }),
        AuthRequest::RoleDelete(pb::AuthRoleDeleteRequest { role: other() }),
        AuthRequest::RoleGet(pb::AuthRoleGetRequest { role: other() }),
        AuthRequest::RoleGrantPermission(pb::AuthRoleGrantPermissionRequest {
            name: "keys".to_owned(),
            ..Default::default()
        }),
        AuthRequest::RoleRevokePermission(pb::AuthRoleRevokePermissionRequest {
            role: "keys".to_owned(),
            ..Default::default()
        }),
    ] {
        for (user, expected) in [
            (ROOT, Ok(())),
            (ALICE, DENIED),
            (GONE, Err(AuthError::UserNotFound)),
            ("", Err(AuthError::NoUser)),
        ] {
            assert_eq!(stores.check(user, Request::Auth(request.clone())), expected, "{user} {request:?}");
        }
        // A change of users does not lock root out for a moment.
        assert_eq!(stores.check_at(ROOT, 1, Request::Auth(request.clone())), Ok(()), "{request:?}");
    }
}

#[test]
fn users_may_look_at_themselves_and_at_their_roles() {
    let stores = Stores::new();
    let user = |name: &str| AuthRequest::UserGet(pb::AuthUserGetRequest { name: name.to_owned() });
    let role = |role: &str| AuthRequest::RoleGet(pb::AuthRoleGetRequest { role: role.to_owned() });
    for (request, expected) in [
        (user(ALICE), Ok(())),
        (user(ROOT), DENIED),
        (role("keys"), Ok(())),
        (role("other"), DENIED),
        (role(ROOT), DENIED),
        (role("nowhere"), DENIED),
    ] {
        assert_eq!(stores.check(ALICE, Request::Auth(request.clone())), expected, "{request:?}");
        assert_eq!(stores.check_at(ALICE, 1, Request::Auth(request.clone())), expected, "{request:?}");
    }
    // A user that is gone has no roles any more.
    assert_eq!(stores.check(GONE, Request::Auth(role("keys"))), Err(AuthError::UserNotFound));
}

#[test]
fn requests_that_concern_no_key_need_no_right() {
    let stores = Stores::new();
    for request in [
        Request::Auth(AuthRequest::Status(pb::AuthStatusRequest {})),
        Request::Auth(AuthRequest::Authenticate(pb::InternalAuthenticateRequest::default())),
        // These are checked before the proposal, or come from members.
        Request::Compaction(pb::CompactionRequest::default()),
        Request::LeaseGrant(pb::LeaseGrantRequest::default()),
        Request::LeaseCheckpoint(pb::LeaseCheckpointRequest::default()),
        Request::Alarm(pb::AlarmRequest::default()),
    ] {
        for user in ["", GONE, ALICE, ROOT] {
            assert_eq!(stores.check(user, request.clone()), Ok(()), "{user} {request:?}");
        }
    }
}
