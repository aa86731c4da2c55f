//! What the rest of the member does when users, roles or rights have changed.

use std::time::Instant;

use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_apply::{AuthChange, AuthResponse};
use ferretcd_auth::AuthState;

use super::tokens::Tokens;

/// Follows the outcome of an entry: tokens begin and end with it. Returns whether watches and keep-alives have to be
/// checked again: after each change while authentication is on.
pub(crate) fn follow(tokens: &Tokens, state: &AuthState, response: &AuthResponse) -> bool {
    match response {
        AuthResponse::Authenticated { username, token: Some(token), .. } => {
            tokens.assign(username, token, Instant::now());
            false
        }
        AuthResponse::Changed(change) => {
            log(change);
            match change {
                AuthChange::Disabled => tokens.clear(),
                AuthChange::UserDeleted { user, .. } | AuthChange::PasswordChanged { user, .. } => {
                    tokens.remove_user(user);
                }
                _ => {}
            }
            state.is_enabled()
        }
        _ => false,
    }
}

/// Follows the replacement of the whole state. What has happened to users in between is not known, so no token stays valid
/// if something has.
pub(crate) fn follow_replacement(tokens: &Tokens, before: &AuthState, after: &AuthState) {
    if !after.is_enabled() || before.revision() != after.revision() {
        tokens.clear();
    }
}

/// As etcd logs it, on every member.
fn log(change: &AuthChange) {
    match change {
        AuthChange::Enabled => tracing::info!("enabled authentication"),
        AuthChange::WasEnabled => {
            tracing::info!("authentication is already enabled; ignored auth enable request");
        }
        AuthChange::Disabled => tracing::info!("disabled authentication"),
        AuthChange::WasDisabled => {}
        AuthChange::UserAdded { user } => tracing::info!("user-name" = user, "added a user"),
        AuthChange::UserDeleted { user, roles } => {
            tracing::info!("user-name" = user, "user-roles[]" = ?roles, "deleted a user");
        }
        AuthChange::PasswordChanged { user, roles } => {
            tracing::info!("user-name" = user, "user-roles[]" = ?roles, "changed a password of a user");
        }
        AuthChange::RoleGranted { user, roles, role } => tracing::info!(
            "user-name" = user,
            "user-roles[]" = ?roles,
            "added-role-name" = role,
            "granted a role to a user"
        ),
        AuthChange::WasGranted { user, roles, role } => tracing::warn!(
            "user-name" = user,
            "user-roles[]" = ?roles,
            "duplicate-role-name" = role,
            "ignored grant role request to a user"
        ),
        AuthChange::RoleRevoked { user, old_roles, new_roles, role } => tracing::info!(
            "user-name" = user,
            "old-user-roles[]" = ?old_roles,
            "new-user-roles[]" = ?new_roles,
            "revoked-role-name" = role,
            "revoked a role from a user"
        ),
        AuthChange::RoleAdded { role } => tracing::info!("role-name" = role, "created a role"),
        AuthChange::RoleDeleted { role } => tracing::info!("role-name" = role, "deleted a role"),
        AuthChange::PermissionGranted { role, permission } => tracing::info!(
            "user-name" = role,
            "permission-name" = Type::try_from(permission.perm_type).map_or("", |kind| kind.as_str_name()),
            "key" = %String::from_utf8_lossy(&permission.key),
            "range-end" = %String::from_utf8_lossy(&permission.range_end),
            "granted/updated a permission to a user"
        ),
        AuthChange::PermissionRevoked { role, key, range_end } => tracing::info!(
            "role-name" = role,
            "key" = %String::from_utf8_lossy(key),
            "range-end" = %String::from_utf8_lossy(range_end),
            "revoked a permission on range"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use ferretcd_api_proto::authpb::Permission;
    use ferretcd_apply::SimpleToken;
    use ferretcd_auth::{AuthStore, ROOT};
    use ferretcd_backend::{Backend, Batch};

    use super::super::tokens::{Known, TokenConfig};
    use super::*;

    /// Users are root and alice.
    fn store(is_enabled: bool) -> AuthStore {
        let mut batch = Batch::default();
        let mut store = AuthStore::open(&Backend::in_memory()).expect("an empty file");
        for user in [ROOT, "alice"] {
            store.add_user(user, None, &mut batch).expect("a new user");
        }
        store.grant_role(ROOT, ROOT, &mut batch).expect("the role need not be there");
        if is_enabled {
            store.enable(&mut batch).expect("root is there");
        }
        store
    }

    fn token(index: u64) -> SimpleToken {
        SimpleToken { letters: "abcdefghijklmnop".to_owned(), index }
    }

    /// Root and alice have logged in.
    fn tokens() -> Tokens {
        let tokens = Tokens::new(&TokenConfig::Simple { ttl: Duration::from_secs(300) });
        for (username, index) in [(ROOT, 1), ("alice", 2)] {
            tokens.assign(username, &token(index), Instant::now());
        }
        tokens
    }

    /// Whether the tokens of root and of alice are valid.
    fn are_valid(tokens: &Tokens) -> [bool; 2] {
        [1, 2].map(|index| {
            let text = Bytes::from(format!("abcdefghijklmnop.{index}"));
            tokens.find(&text, Instant::now(), 100) != Known::NoUser
        })
    }

    #[test]
    fn only_what_ends_the_proof_of_a_user_ends_its_tokens() {
        let (user, role, roles) = ("alice".to_owned(), "r".to_owned(), vec!["r".to_owned()]);
        let key = Bytes::from("k");
        for (change, expected) in [
            (AuthChange::Enabled, [true, true]),
            (AuthChange::WasEnabled, [true, true]),
            (AuthChange::Disabled, [false, false]),
            (AuthChange::WasDisabled, [true, true]),
            (AuthChange::UserAdded { user: user.clone() }, [true, true]),
            (AuthChange::UserDeleted { user: user.clone(), roles: roles.clone() }, [true, false]),
            (AuthChange::PasswordChanged { user: user.clone(), roles: roles.clone() }, [true, false]),
            (
                AuthChange::RoleGranted { user: user.clone(), roles: roles.clone(), role: role.clone() },
                [true, true],
            ),
            (
                AuthChange::WasGranted { user: user.clone(), roles: roles.clone(), role: role.clone() },
                [true, true],
            ),
            (
                AuthChange::RoleRevoked { user, old_roles: roles, new_roles: vec![], role: role.clone() },
                [true, true],
            ),
            (AuthChange::RoleAdded { role: role.clone() }, [true, true]),
            (AuthChange::RoleDeleted { role: role.clone() }, [true, true]),
            (
                AuthChange::PermissionGranted { role: role.clone(), permission: Permission::default() },
                [true, true],
            ),
            (AuthChange::PermissionRevoked { role, key, range_end: Bytes::new() }, [true, true]),
        ] {
            for is_enabled in [true, false] {
                let tokens = tokens();
                let response = AuthResponse::Changed(change.clone());
                let must_check = follow(&tokens, store(is_enabled).state(), &response);
                assert_eq!(must_check, is_enabled, "{change:?}");
                assert_eq!(are_valid(&tokens), expected, "{change:?}");
            }
        }
    }

    #[test]
    fn a_login_begins_a_token_and_changes_no_right() {
        let (tokens, store) = (tokens(), store(true));
        let authenticated = |token| AuthResponse::Authenticated {
            username: "alice".to_owned(),
            revision: store.state().revision(),
            token,
        };
        let find = || tokens.find(&"abcdefghijklmnop.5".into(), Instant::now(), 5);
        assert!(!follow(&tokens, store.state(), &authenticated(None)));
        assert_eq!(find(), Known::NotYet);
        assert!(!follow(&tokens, store.state(), &authenticated(Some(token(5)))));
        assert_eq!(find(), Known::User { name: "alice".into(), revision: None });
        assert_eq!(are_valid(&tokens), [true, true], "further logins end none");
        for response in [
            AuthResponse::Status { is_enabled: true, revision: 5 },
            AuthResponse::Names(vec![]),
            AuthResponse::Roles(vec![]),
            AuthResponse::Permissions(vec![]),
        ] {
            assert!(!follow(&tokens, store.state(), &response), "{response:?}");
        }
        assert_eq!(are_valid(&tokens), [true, true]);
    }

    #[test]
    fn tokens_outlive_a_replacement_with_the_same_users() {
        fn check(what: &str, change: impl FnOnce(&mut AuthStore), expected: bool) {
            let (tokens, before, mut after) = (tokens(), store(true), store(true));
            change(&mut after);
            follow_replacement(&tokens, before.state(), after.state());
            assert_eq!(are_valid(&tokens), [expected; 2], "{what}");
        }
        check("nothing has changed", |_| {}, true);
        check("a user is gone", |it| it.delete_user("alice", &mut Batch::default()).expect("a user"), false);
        check("a role more", |it| it.add_role("r", &mut Batch::default()).expect("a new role"), false);
        check("turned off", |it| it.disable(&mut Batch::default()), false);
    }

    #[test]
    fn tokens_end_when_the_replacement_has_authentication_off() {
        let (tokens, before, after) = (tokens(), store(true), store(false));
        assert_eq!(before.state().revision(), after.state().revision());
        follow_replacement(&tokens, before.state(), after.state());
        assert_eq!(are_valid(&tokens), [false, false]);
    }
}
