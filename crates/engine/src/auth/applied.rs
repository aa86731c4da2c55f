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
