//! Executing the requests about users and roles.

use std::sync::LazyLock;

use bytes::Bytes;
use data_encoding::{Encoding, Specification};
use ferretcd_api_proto::authpb::Permission;
use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_api_proto::etcdserverpb::{
    AuthUserAddRequest, AuthUserChangePasswordRequest, InternalAuthenticateRequest,
};
use ferretcd_auth::{AuthError, AuthState, AuthStore, ROOT};
use ferretcd_backend::Batch;

use super::AuthRequest;

/// As Go reads it: line ends and the bits that fill the last character up do not matter.
static GO_BASE64: LazyLock<Encoding> = LazyLock::new(|| {
    let mut base64 = Specification::new();
    base64.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    base64.padding = Some('=');
    base64.check_trailing_bits = false;
    base64.ignore.push_str("\r\n");
    base64.encoding().expect("it is well-formed")
});

/// The response to an [`AuthRequest`]; its sender fills in the header.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthResponse {
    /// Done.
    Changed(AuthChange),
    /// To [`AuthRequest::Status`].
    Status {
        /// Whether authentication is on.
        is_enabled: bool,
        /// The revision of users and roles.
        revision: u64,
    },
    /// To [`AuthRequest::Authenticate`]: the user may get a token.
    Authenticated {
        /// The user's name.
        username: String,
        /// The revision of users and roles.
        revision: u64,
        /// The token that every member remembers; `None` if the request brought none.
        token: Option<SimpleToken>,
    },
    /// To [`AuthRequest::UserGet`]: the user's roles.
    Roles(Vec<String>),
    /// To [`AuthRequest::RoleGet`]: the role's permissions.
    Permissions(Vec<Permission>),
    /// To [`AuthRequest::UserList`] and [`AuthRequest::RoleList`].
    Names(Vec<String>),
}

/// The two parts of a simple token.
#[derive(Clone, PartialEq, Eq)]
pub struct SimpleToken {
    /// Random letters.
    pub letters: String,
    /// Index of the entry before the one that the token comes from, as in etcd, whose members have to find the same.
    pub index: u64,
}

impl std::fmt::Debug for SimpleToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The letters prove an identity.
        f.debug_struct("SimpleToken").field("index", &self.index).finish_non_exhaustive()
    }
}

/// What has changed, for the parts that rely on it, and for the log.
#[derive(Clone, Debug, PartialEq)]
pub enum AuthChange {
    /// Authentication is on.
    Enabled,
    /// It was on.
    WasEnabled,
    /// Authentication is off. No token is valid any more.
    Disabled,
    /// It was off.
    WasDisabled,
    /// There is a new user.
    UserAdded {
        /// The user's name.
        user: String,
    },
    /// A user is gone. The user's tokens are not valid any more.
    UserDeleted {
        /// The user's name.
        user: String,
        /// The roles that the user had.
        roles: Vec<String>,
    },
    /// A user has another password. The user's tokens are not valid any more.
    PasswordChanged {
        /// The user's name.
        user: String,
        /// The user's roles.
        roles: Vec<String>,
    },
    /// A user has a role more.
    RoleGranted {
        /// The user's name.
        user: String,
        /// All roles of the user.
        roles: Vec<String>,
        /// The new one.
        role: String,
    },
    /// The user had the role.
    WasGranted {
        /// The user's name.
        user: String,
        /// All roles of the user.
        roles: Vec<String>,
        /// The role.
        role: String,
    },
    /// A user has a role less.
    RoleRevoked {
        /// The user's name.
        user: String,
        /// The roles before.
        old_roles: Vec<String>,
        /// The roles now.
        new_roles: Vec<String>,
        /// The role that is gone.
        role: String,
    },
    /// There is a new role.
    RoleAdded {
        /// The role's name.
        role: String,
    },
    /// A role is gone, and no user has it any more.
    RoleDeleted {
        /// The role's name.
        role: String,
    },
    /// A role has a permission, which it may have had.
    PermissionGranted {
        /// The role's name.
        role: String,
        /// What it may do now.
        permission: Permission,
    },
    /// A role has lost all permissions on a range.
    PermissionRevoked {
        /// The role's name.
        role: String,
        /// The range's key.
        key: Bytes,
        /// The range's end.
        range_end: Bytes,
    },
}

/// Executes a request in the entry at `index`; its user may have it executed.
pub(crate) fn execute(
    store: &mut AuthStore,
    index: u64,
    request: &AuthRequest,
    batch: &mut Batch,
) -> Result<AuthResponse, AuthError> {
    let roles_of = |store: &AuthStore, user: &str| {
        store.state().user(user).map(|user| user.roles().to_vec()).unwrap_or_default()
    };
    let is_enabled = store.state().is_enabled();
    let change = match request {
        AuthRequest::Enable(_) => {
            store.enable(batch)?;
            if is_enabled { AuthChange::WasEnabled } else { AuthChange::Enabled }
        }
        AuthRequest::Disable(_) => {
            store.disable(batch);
            if is_enabled { AuthChange::Disabled } else { AuthChange::WasDisabled }
        }
        AuthRequest::UserAdd(add) => {
            store.add_user(&add.name, hash_of_new(store.state(), add)?, batch)?;
            AuthChange::UserAdded { user: add.name.clone() }
        }
        AuthRequest::UserDelete(delete) => {
            let roles = roles_of(store, &delete.name);
            store.delete_user(&delete.name, batch)?;
            AuthChange::UserDeleted { user: delete.name.clone(), roles }
        }
        AuthRequest::UserChangePassword(change) => {
            store.change_password(&change.name, changed_hash(store.state(), change)?, batch)?;
            AuthChange::PasswordChanged { user: change.name.clone(), roles: roles_of(store, &change.name) }
        }
        AuthRequest::UserGrantRole(grant) => {
            let old_roles = roles_of(store, &grant.user);
            store.grant_role(&grant.user, &grant.role, batch)?;
            let (user, role) = (grant.user.clone(), grant.role.clone());
            let roles = roles_of(store, &user);
            if old_roles.contains(&role) {
                AuthChange::WasGranted { user, roles, role }
            } else {
                AuthChange::RoleGranted { user, roles, role }
            }
        }
        AuthRequest::UserRevokeRole(revoke) => {
            let old_roles = roles_of(store, &revoke.name);
            store.revoke_role(&revoke.name, &revoke.role, batch)?;
            let (user, role) = (revoke.name.clone(), revoke.role.clone());
            AuthChange::RoleRevoked { old_roles, new_roles: roles_of(store, &user), user, role }
        }
        AuthRequest::RoleAdd(add) => {
            store.add_role(&add.name, batch)?;
            AuthChange::RoleAdded { role: add.name.clone() }
        }
        AuthRequest::RoleDelete(delete) => {
            store.delete_role(&delete.role, batch)?;
            AuthChange::RoleDeleted { role: delete.role.clone() }
        }
        AuthRequest::RoleGrantPermission(grant) => {
            store.grant_permission(&grant.name, grant.perm.clone(), batch)?;
            let permission = grant.perm.clone().unwrap_or_default();
            AuthChange::PermissionGranted { role: grant.name.clone(), permission }
        }
        AuthRequest::RoleRevokePermission(revoke) => {
            store.revoke_permission(&revoke.role, &revoke.key, &revoke.range_end, batch)?;
            let (key, range_end) = (revoke.key.clone(), revoke.range_end.clone());
            AuthChange::PermissionRevoked { role: revoke.role.clone(), key, range_end }
        }
        AuthRequest::Status(_) => {
            let state = store.state();
            return Ok(AuthResponse::Status { is_enabled: state.is_enabled(), revision: state.revision() });
        }
        AuthRequest::Authenticate(login) => return authenticate(store.state(), index, login),
        AuthRequest::UserGet(get) => {
            let user = store.state().user(&get.name).ok_or(AuthError::UserNotFound)?;
            return Ok(AuthResponse::Roles(user.roles().to_vec()));
        }
        AuthRequest::RoleGet(get) => return permissions_of(store.state(), &get.role),
        AuthRequest::UserList(_) => {
            return Ok(AuthResponse::Names(store.state().usernames().map(str::to_owned).collect()));
        }
        AuthRequest::RoleList(_) => {
            return Ok(AuthResponse::Names(store.state().role_names().map(str::to_owned).collect()));
        }
    };
    Ok(AuthResponse::Changed(change))
}

/// The password was verified before the proposal; the proposer finds out if it has changed since.
fn authenticate(
    state: &AuthState,
    index: u64,
    login: &InternalAuthenticateRequest,
) -> Result<AuthResponse, AuthError> {
    if !state.is_enabled() {
        return Err(AuthError::Disabled);
    }
    let user = state.user(&login.name).ok_or(AuthError::Failed)?;
    user.password_hash().ok_or(AuthError::Failed)?;
    let letters = login.simple_token.clone();
    Ok(AuthResponse::Authenticated {
        username: login.name.clone(),
        revision: state.revision(),
        token: (!letters.is_empty()).then_some(SimpleToken { letters, index: index - 1 }),
    })
}

fn permissions_of(state: &AuthState, role: &str) -> Result<AuthResponse, AuthError> {
    let permissions = state.permissions(role).ok_or(AuthError::RoleNotFound)?;
    // What the holders of root may do stands nowhere.
    let everything = || Permission {
        perm_type: Type::Readwrite.into(),
        range_end: b"\0"[..].into(),
        ..Permission::default()
    };
    Ok(AuthResponse::Permissions(match role {
        ROOT => vec![everything()],
        _ => permissions.to_vec(),
    }))
}

/// The bcrypt text of a new user; `None` for a user without a password. It does not matter for a name that is in use or
/// empty, which is the first reason for a rejection.
fn hash_of_new(state: &AuthState, add: &AuthUserAddRequest) -> Result<Option<Bytes>, AuthError> {
    let is_new = !add.name.is_empty() && state.user(&add.name).is_none();
    match &add.options {
        Some(options) if options.no_password => Ok(None),
        _ if is_new => decode_hash(&add.hashed_password).map(Some),
        _ => Ok(None),
    }
}

/// The new bcrypt text of a user; it does not matter for a user without a password.
fn changed_hash(state: &AuthState, change: &AuthUserChangePasswordRequest) -> Result<Bytes, AuthError> {
    let user = state.user(&change.name).ok_or(AuthError::UserNotFound)?;
    user.password_hash().map_or(Ok(Bytes::new()), |_| decode_hash(&change.hashed_password))
}

fn decode_hash(text: &str) -> Result<Bytes, AuthError> {
    let hash = GO_BASE64.decode(text.as_bytes()).map(Bytes::from);
    // As in etcd, which has no text of its own for a malformed hash.
    hash.map_err(|_| AuthError::NoPassword)
}
