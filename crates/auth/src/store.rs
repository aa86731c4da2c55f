//! The replicated half: users and roles, and the rows that they are stored in.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use ferretcd_api_proto::authpb::{Permission, Role, User as UserRow, UserAddOptions};
use ferretcd_backend::{Backend, Batch, Bucket, View};
use prost::Message;

use crate::state::User;
use crate::{AuthError, AuthState, OpenError, ROOT};

const ENABLED_ROW: &[u8] = b"authEnabled";
const REVISION_ROW: &[u8] = b"authRevision";

/// Users and roles; the only writer. Each change adds its rows to a batch, and replaces the state that readers see.
///
/// A change copies a pointer for each user or role, some 20 ns for each; it is for hundreds of changes a second among some
/// ten thousand users.
#[derive(Debug)]
pub struct AuthStore {
    state: AuthState,
    shared: Arc<ArcSwap<AuthState>>,
}

/// A handle for looking at users and rights from any thread, without a lock.
#[derive(Clone, Debug)]
pub struct AuthReader(Arc<ArcSwap<AuthState>>);

impl AuthReader {
    /// The state as it is now. Cheap; the state does not change any more.
    pub fn load(&self) -> impl std::ops::Deref<Target = Arc<AuthState>> + use<> {
        self.0.load()
    }
}

impl AuthStore {
    /// Reads users and roles from a state file. The revision begins with 1.
    ///
    /// # Errors
    /// When the file cannot be read, or a row is none.
    pub fn open(backend: &Backend) -> Result<Self, OpenError> {
        let state = read(&backend.view())?;
        let shared = Arc::new(ArcSwap::from_pointee(state.clone()));
        Ok(Self { state, shared })
    }

    /// Goes on with the users and roles of `other`, under the readers that there are.
    pub fn restore(&mut self, other: Self) {
        self.state = other.state;
        self.publish();
    }

    /// A handle for readers.
    pub fn reader(&self) -> AuthReader {
        AuthReader(Arc::clone(&self.shared))
    }

    /// Users, roles and rights as they are now.
    pub fn state(&self) -> &AuthState {
        &self.state
    }

    /// Turns authentication on; nothing happens if it is on. The revision stays.
    ///
    /// # Errors
    /// When there is no user root, or root does not have the role root.
    pub fn enable(&mut self, batch: &mut Batch) -> Result<(), AuthError> {
        if self.state.is_enabled {
            return Ok(());
        }
        let root = self.state.user(ROOT).ok_or(AuthError::NoRootUser)?;
        if !root.has_role(ROOT) {
            return Err(AuthError::RootLacksRole);
        }
        self.state.is_enabled = true;
        put_enabled(true, batch);
        self.publish();
        Ok(())
    }

    /// Turns authentication off; nothing happens if it is off.
    pub fn disable(&mut self, batch: &mut Batch) {
        if !self.state.is_enabled {
            return;
        }
        self.state.is_enabled = false;
        put_enabled(false, batch);
        self.commit(batch);
    }

    /// Adds a user with the bcrypt text of a password, or without a password.
    ///
    /// # Errors
    /// When the user has no name, or there is one of the name.
    pub fn add_user(
        &mut self,
        name: &str,
        password_hash: Option<Bytes>,
        batch: &mut Batch,
    ) -> Result<(), AuthError> {
        if name.is_empty() {
            return Err(AuthError::NoUser);
        }
        if self.state.users.contains_key(name) {
            return Err(AuthError::UserExists);
        }
        let options = Some(UserAddOptions { no_password: password_hash.is_none() });
        let password = password_hash.unwrap_or_default();
        self.put_user(
            UserRow { name: Bytes::copy_from_slice(name.as_bytes()), password, options, roles: vec![] },
            batch,
        );
        self.commit(batch);
        Ok(())
    }

    /// Deletes a user.
    ///
    /// # Errors
    /// When there is no such user, and for root while authentication is on.
    pub fn delete_user(&mut self, name: &str, batch: &mut Batch) -> Result<(), AuthError> {
        if self.state.is_enabled && name == ROOT {
            return Err(AuthError::InvalidChange);
        }
        if Arc::make_mut(&mut self.state.users).remove(name).is_none() {
            return Err(AuthError::UserNotFound);
        }
        batch.delete(Bucket::AuthUsers, Bytes::copy_from_slice(name.as_bytes()));
        self.commit(batch);
        Ok(())
    }

    /// Sets the bcrypt text of a password. A user without a password stays without one.
    ///
    /// # Errors
    /// When there is no such user.
    pub fn change_password(&mut self, name: &str, hash: Bytes, batch: &mut Batch) -> Result<(), AuthError> {
        let user = self.user(name)?;
        let password = if user.is_without_password() { Bytes::new() } else { hash };
        let row = UserRow { password, ..UserRow::clone(&user.row) };
        self.put_user(row, batch);
        self.commit(batch);
        Ok(())
    }

    /// Gives a user a role; nothing happens if the user has it.
    ///
    /// # Errors
    /// When there is no such user, or no such role; the role root need not be there.
    pub fn grant_role(&mut self, name: &str, role: &str, batch: &mut Batch) -> Result<(), AuthError> {
        let user = self.user(name)?;
        if role != ROOT && !self.state.roles.contains_key(role) {
            return Err(AuthError::RoleNotFound);
        }
        if user.has_role(role) {
            return Ok(());
        }
        let mut row = UserRow::clone(&user.row);
        row.roles.push(role.to_owned());
        row.roles.sort_unstable();
        self.put_user(row, batch);
        self.commit(batch);
        Ok(())
    }

    /// Takes a role from a user.
    ///
    /// # Errors
    /// When there is no such user, or the user does not have the role; and for root's own role root while authentication is
    /// on.
    pub fn revoke_role(&mut self, name: &str, role: &str, batch: &mut Batch) -> Result<(), AuthError> {
        if self.state.is_enabled && name == ROOT && role == ROOT {
            return Err(AuthError::InvalidChange);
        }
        let user = self.user(name)?;
        if !user.has_role(role) {
            return Err(AuthError::RoleNotGranted);
        }
        let row = without_role(&user.row, role);
        self.put_user(row, batch);
        self.commit(batch);
        Ok(())
    }

    /// Adds a role without permissions.
    ///
    /// # Errors
    /// When the role has no name, or there is one of the name.
    pub fn add_role(&mut self, name: &str, batch: &mut Batch) -> Result<(), AuthError> {
        if name.is_empty() {
            return Err(AuthError::NoRole);
        }
        if self.state.roles.contains_key(name) {
            return Err(AuthError::RoleExists);
        }
        self.put_role(Role { name: Bytes::copy_from_slice(name.as_bytes()), key_permission: vec![] }, batch);
        self.commit(batch);
        Ok(())
    }

    /// Deletes a role, and takes it from every user.
    ///
    /// # Errors
    /// When there is no such role, and for root while authentication is on.
    pub fn delete_role(&mut self, name: &str, batch: &mut Batch) -> Result<(), AuthError> {
        if self.state.is_enabled && name == ROOT {
            return Err(AuthError::InvalidChange);
        }
        if Arc::make_mut(&mut self.state.roles).remove(name).is_none() {
            return Err(AuthError::RoleNotFound);
        }
        batch.delete(Bucket::AuthRoles, Bytes::copy_from_slice(name.as_bytes()));
        let holders = self.state.users.values().filter(|user| user.has_role(name));
        for row in holders.map(|user| without_role(&user.row, name)).collect::<Vec<_>>() {
            self.put_user(row, batch);
        }
        self.commit(batch);
        Ok(())
    }

    /// Gives a role a permission. One with the same range takes the new kind, but only if it is the first one with its key.
    /// The revision rises also if nothing has changed.
    ///
    /// # Errors
    /// When there is no permission or no such role, or the permission's range can hold no key.
    pub fn grant_permission(
        &mut self,
        role: &str,
        permission: Option<Permission>,
        batch: &mut Batch,
    ) -> Result<(), AuthError> {
        let permission = permission.ok_or(AuthError::NoPermission)?;
        let (key, end) = (&permission.key, &permission.range_end);
        let is_open = end.is_empty() || &end[..] == b"\0";
        if key.is_empty() || !is_open && key >= end {
            return Err(AuthError::InvalidChange);
        }
        let mut row = Role::clone(self.role(role)?);
        let place = row.key_permission.partition_point(|granted| granted.key < permission.key);
        match row.key_permission.get_mut(place) {
            Some(granted) if granted.key == permission.key && granted.range_end == permission.range_end => {
                granted.perm_type = permission.perm_type;
            }
            _ => {
                row.key_permission.push(permission);
                row.key_permission.sort_by(|a, b| a.key.cmp(&b.key));
            }
        }
        self.put_role(row, batch);
        self.commit(batch);
        Ok(())
    }

    /// Takes from a role every permission with exactly this range.
    ///
    /// # Errors
    /// When there is no such role, or the role has no such permission.
    pub fn revoke_permission(
        &mut self,
        role: &str,
        key: &[u8],
        range_end: &[u8],
        batch: &mut Batch,
    ) -> Result<(), AuthError> {
        let mut row = Role::clone(self.role(role)?);
        let n_before = row.key_permission.len();
        row.key_permission.retain(|granted| granted.key != key || granted.range_end != range_end);
        if row.key_permission.len() == n_before {
            return Err(AuthError::PermissionNotGranted);
        }
        self.put_role(row, batch);
        self.commit(batch);
        Ok(())
    }

    fn user(&self, name: &str) -> Result<&User, AuthError> {
        self.state.user(name).ok_or(AuthError::UserNotFound)
    }

    fn role(&self, name: &str) -> Result<&Role, AuthError> {
        self.state.roles.get(name).map(|role| &**role).ok_or(AuthError::RoleNotFound)
    }

    fn put_user(&mut self, row: UserRow, batch: &mut Batch) {
        batch.put(Bucket::AuthUsers, row.name.clone(), row.encode_to_vec());
        let name = str::from_utf8(&row.name).expect("names are checked when they are read").into();
        Arc::make_mut(&mut self.state.users).insert(name, User::new(row));
    }

    /// Sets a role. What its holders may do is merged anew when it is wanted.
    fn put_role(&mut self, row: Role, batch: &mut Batch) {
        batch.put(Bucket::AuthRoles, row.name.clone(), row.encode_to_vec());
        let name: Arc<str> = str::from_utf8(&row.name).expect("names are checked when they are read").into();
        if self.state.users.values().any(|user| user.has_role(&name)) {
            for user in Arc::make_mut(&mut self.state.users).values_mut().filter(|user| user.has_role(&name))
            {
                user.rights = Arc::default();
            }
        }
        Arc::make_mut(&mut self.state.roles).insert(name, Arc::new(row));
    }

    /// Ends a change.
    fn commit(&mut self, batch: &mut Batch) {
        // It comes from a file, which may say anything.
        self.state.revision = self.state.revision.wrapping_add(1);
        put_revision(self.state.revision, batch);
        self.publish();
    }

    fn publish(&self) {
        self.shared.store(Arc::new(self.state.clone()));
    }
}

fn without_role(row: &UserRow, role: &str) -> UserRow {
    let mut row = row.clone();
    row.roles.retain(|granted| granted != role);
    row
}

fn put_enabled(is_enabled: bool, batch: &mut Batch) {
    batch.put(Bucket::Auth, ENABLED_ROW, Bytes::from(vec![u8::from(is_enabled)]));
}

fn put_revision(revision: u64, batch: &mut Batch) {
    batch.put(Bucket::Auth, REVISION_ROW, Bytes::copy_from_slice(&revision.to_be_bytes()));
}

fn read(view: &View) -> Result<AuthState, OpenError> {
    let is_enabled = match view.get(Bucket::Auth, ENABLED_ROW)?.as_deref() {
        None | Some([0]) => false,
        Some([1]) => true,
        Some(_) => return Err(corrupt(Bucket::Auth, ENABLED_ROW)),
    };
    let revision = match view.get(Bucket::Auth, REVISION_ROW)? {
        None => 1,
        Some(row) => {
            u64::from_be_bytes((&row[..]).try_into().map_err(|_| corrupt(Bucket::Auth, REVISION_ROW))?)
        }
    };
    let users = rows(view, Bucket::AuthUsers, |row: &UserRow| &row.name)?;
    let roles = rows(view, Bucket::AuthRoles, |row: &Role| &row.name)?;
    Ok(AuthState {
        is_enabled,
        revision,
        users: Arc::new(users.into_iter().map(|(name, row)| (name, User::new(row))).collect()),
        roles: Arc::new(roles.into_iter().map(|(name, row)| (name, Arc::new(row))).collect()),
    })
}

/// The rows of a bucket whose keys are the names in them.
fn rows<R: Message + Default>(
    view: &View,
    bucket: Bucket,
    name: impl Fn(&R) -> &Bytes,
) -> Result<BTreeMap<Arc<str>, R>, OpenError> {
    let mut rows = BTreeMap::new();
    for row in view.range(bucket, (Bound::Unbounded, Bound::Unbounded))? {
        let (key, value) = row?;
        let row = R::decode(value).ok().filter(|row| *name(row) == key);
        let (row, key) = row.zip(str::from_utf8(&key).ok()).ok_or_else(|| corrupt(bucket, &key))?;
        rows.insert(key.into(), row);
    }
    Ok(rows)
}

fn corrupt(bucket: Bucket, key: &[u8]) -> OpenError {
    OpenError::Corrupt { bucket: bucket.name(), row: key.iter().map(|byte| format!("{byte:02x}")).collect() }
}
