//! Users, roles and what they may do, at one revision.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use ferretcd_api_proto::authpb;
use ferretcd_api_proto::authpb::permission::Type;
use ferretcd_base::KeyRange;

use crate::{AuthError, KeyRanges};

/// The user and the role that may do everything.
pub const ROOT: &str = "root";

/// The user of a request, as a log entry names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthInfo<'a> {
    /// The user's name; it need not be that of a user that there is. Empty without a user.
    pub username: &'a str,
    /// The revision at which the user was admitted, or the token was made. 0 without a user.
    pub revision: u64,
}

/// What is done with keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// They are read.
    Read,
    /// They are written or deleted.
    Write,
}

/// Users, roles and rights at one revision: immutable, so that readers need no lock.
#[derive(Clone, Debug)]
pub struct AuthState {
    pub(crate) is_enabled: bool,
    pub(crate) revision: u64,
    pub(crate) users: Arc<BTreeMap<Arc<str>, User>>,
    pub(crate) roles: Arc<BTreeMap<Arc<str>, Arc<authpb::Role>>>,
}

/// A user, and what the roles of the user allow.
#[derive(Clone, Debug)]
pub struct User {
    pub(crate) row: Arc<authpb::User>,
    /// Merged when they are first wanted; new with each change of the user or of a role of the user.
    pub(crate) rights: Arc<OnceLock<Rights>>,
}

/// The union of permissions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    read: KeyRanges,
    write: KeyRanges,
}

impl User {
    pub(crate) fn new(row: authpb::User) -> Self {
        Self { row: Arc::new(row), rights: Arc::default() }
    }

    /// The roles, by name.
    pub fn roles(&self) -> &[String] {
        &self.row.roles
    }

    /// What the password is verified against; `None` if the user authenticates by certificate alone.
    pub fn password_hash(&self) -> Option<&[u8]> {
        (!self.is_without_password()).then_some(&self.row.password[..])
    }

    pub(crate) fn is_without_password(&self) -> bool {
        self.row.options.as_ref().is_some_and(|options| options.no_password)
    }

    /// Whether the user has a role.
    pub fn has_role(&self, role: &str) -> bool {
        self.row.roles.iter().any(|granted| granted == role)
    }
}

impl AuthState {
    /// Whether authentication is on.
    pub fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    /// Rises with each change of users, roles and permissions, and when authentication is turned off.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A user, if there is one of this name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// The names of all users, in byte order.
    pub fn usernames(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(|name| &**name)
    }

    /// The permissions of a role, by key; `None` if there is no such role.
    pub fn permissions(&self, role: &str) -> Option<&[authpb::Permission]> {
        self.roles.get(role).map(|role| &role.key_permission[..])
    }

    /// The names of all roles, in byte order.
    pub fn role_names(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(|name| &**name)
    }

    /// Whether the user may do what needs the role root. Every caller may while authentication is off.
    ///
    /// # Errors
    /// [`AuthError::NoUser`], [`AuthError::UserNotFound`], [`AuthError::Denied`].
    pub fn check_root(&self, info: AuthInfo<'_>) -> Result<(), AuthError> {
        if !self.is_enabled {
            return Ok(());
        }
        if info.username.is_empty() {
            return Err(AuthError::NoUser);
        }
        let user = self.user(info.username).ok_or(AuthError::UserNotFound)?;
        if user.has_role(ROOT) { Ok(()) } else { Err(AuthError::Denied) }
    }

    /// Whether the user may have access to all keys of a range. Every caller may while authentication is off. Costs a few
    /// hundred nanoseconds; the first check after a change merges the permissions of the user.
    ///
    /// # Errors
    /// [`AuthError::NoUser`], [`AuthError::OldRevision`], [`AuthError::Denied`].
    pub fn check_access(
        &self,
        info: AuthInfo<'_>,
        access: Access,
        range: &KeyRange,
    ) -> Result<(), AuthError> {
        if !self.is_enabled {
            return Ok(());
        }
        if info.revision == 0 {
            return Err(AuthError::NoUser);
        }
        if info.revision < self.revision {
            return Err(AuthError::OldRevision);
        }
        let user = self.user(info.username).ok_or(AuthError::Denied)?;
        if user.has_role(ROOT) || self.rights(user).of(access).covers(range) {
            return Ok(());
        }
        Err(AuthError::Denied)
    }

    fn rights<'a>(&self, user: &'a User) -> &'a Rights {
        user.rights.get_or_init(|| {
            let roles = user.row.roles.iter().filter_map(|role| self.roles.get(&**role));
            Rights::union(roles.flat_map(|role| &role.key_permission))
        })
    }
}

impl Rights {
    fn union<'a>(permissions: impl Iterator<Item = &'a authpb::Permission> + Clone) -> Self {
        let of =
            |wanted| {
                let granted = permissions.clone().filter(|permission| {
                    // An unknown kind allows nothing; the generated accessor would make it READ.
                    Type::try_from(permission.perm_type)
                        .is_ok_and(|kind| kind == wanted || kind == Type::Readwrite)
                });
                KeyRanges::union(granted.map(|permission| {
                    KeyRange::from_wire(permission.key.clone(), permission.range_end.clone())
                }))
            };
        Self { read: of(Type::Read), write: of(Type::Write) }
    }

    fn of(&self, access: Access) -> &KeyRanges {
        match access {
            Access::Read => &self.read,
            Access::Write => &self.write,
        }
    }
}
