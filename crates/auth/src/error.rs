//! Errors.

/// Why a request about users, roles or rights was rejected. Nothing has been changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Authentication cannot be enabled without the user root.
    #[error("enable authentication: there is no user root")]
    NoRootUser,
    /// Authentication cannot be enabled while the user root lacks the role root.
    #[error("enable authentication: the user root does not have the role root")]
    RootLacksRole,
    /// Authentication is off.
    #[error("log in: authentication is off")]
    Disabled,
    /// There is no such user, or the password is wrong; the error does not show which.
    // The text is etcd's, in the log.
    #[error("auth: authentication failed, invalid user ID or password")]
    Failed,
    /// The user has no password.
    #[error("auth: authentication failed, password was given for no password user")]
    NoPassword,
    /// A user without a name, or a request without a user while authentication is on.
    #[error("the user has no name")]
    NoUser,
    /// The name is that of a user.
    #[error("add a user: the name is in use")]
    UserExists,
    /// No user has the name.
    #[error("there is no such user")]
    UserNotFound,
    /// A role without a name.
    #[error("add a role: it has no name")]
    NoRole,
    /// The name is that of a role.
    #[error("add a role: the name is in use")]
    RoleExists,
    /// No role has the name.
    #[error("there is no such role")]
    RoleNotFound,
    /// The user does not have the role.
    #[error("revoke a role: the user does not have it")]
    RoleNotGranted,
    /// A request to grant a permission that has none in it.
    #[error("grant a permission: none was given")]
    NoPermission,
    /// The role does not have exactly this permission.
    #[error("revoke a permission: the role does not have it")]
    PermissionNotGranted,
    /// A change that would lock all users out, or a permission on a range that has no key.
    #[error("the change would lock all users out, or concerns no key")]
    InvalidChange,
    /// The user may not do this.
    #[error("the user may not do this")]
    Denied,
    /// Users or roles have changed since the request was admitted.
    #[error("users or roles have changed since the request was admitted")]
    OldRevision,
    /// The token is unknown, has expired or is malformed.
    #[error("the token is not valid")]
    InvalidToken,
}

/// Why the stored users and roles could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state file could not be read.
    #[error("read users and roles from the state file: {0}")]
    Backend(#[from] ferretcd_backend::Error),
    /// A row does not have the form that it must have.
    #[error("read users and roles from the state file: bucket {bucket} has a row that is none: {row}")]
    Corrupt {
        /// The bucket's name.
        bucket: &'static str,
        /// The row's key, in hexadecimal.
        row: String,
    },
}
