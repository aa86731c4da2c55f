//! The store against a model that keeps users, roles and permissions as lists and decides by looking at every key.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ferretcd_api_proto::authpb::{Permission, permission::Type};
use ferretcd_auth::{Access, AuthError, AuthInfo, AuthState, AuthStore, ROOT};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::KeyRange;
use proptest::prelude::*;

const USERS: [&str; 4] = [ROOT, "alice", "bob", ""];
const ROLES: [&str; 4] = [ROOT, "reader", "writer", ""];

#[derive(Clone, Debug)]
enum Op {
    Enable,
    Disable,
    AddUser(&'static str),
    DeleteUser(&'static str),
    GrantRole(&'static str, &'static str),
    RevokeRole(&'static str, &'static str),
    AddRole(&'static str),
    DeleteRole(&'static str),
    Grant(&'static str, Type, Bytes, Bytes),
    Revoke(&'static str, Bytes, Bytes),
}

#[derive(Default)]
struct Model {
    is_enabled: bool,
    users: BTreeMap<&'static str, BTreeSet<&'static str>>,
    roles: BTreeMap<&'static str, Vec<(Bytes, Bytes, Type)>>,
}

impl Model {
    /// Whether the operation changes something, or why it is rejected.
    fn apply(&mut self, op: &Op) -> Result<bool, AuthError> {
        match op {
            Op::Enable => {
                let root = self.users.get(ROOT);
                if !self.is_enabled {
                    let roles = root.ok_or(AuthError::NoRootUser)?;
                    roles.get(ROOT).ok_or(AuthError::RootLacksRole)?;
                }
                self.is_enabled = true;
                Ok(false)
            }
            Op::Disable => Ok(std::mem::take(&mut self.is_enabled)),
            Op::AddUser("") => Err(AuthError::NoUser),
            Op::AddUser(user) if self.users.contains_key(user) => Err(AuthError::UserExists),
            Op::AddUser(user) => Ok(self.users.insert(user, BTreeSet::new()).is_none()),
            Op::DeleteUser(user) if self.is_enabled && *user == ROOT => Err(AuthError::InvalidChange),
            Op::DeleteUser(user) => self.users.remove(user).map(|_| true).ok_or(AuthError::UserNotFound),
            Op::GrantRole(user, role) => {
                let roles = self.users.get_mut(user).ok_or(AuthError::UserNotFound)?;
                let exists = *role == ROOT || self.roles.contains_key(role);
                if exists { Ok(roles.insert(role)) } else { Err(AuthError::RoleNotFound) }
            }
            Op::RevokeRole(user, role) if self.is_enabled && (*user, *role) == (ROOT, ROOT) => {
                Err(AuthError::InvalidChange)
            }
            Op::RevokeRole(user, role) => {
                let roles = self.users.get_mut(user).ok_or(AuthError::UserNotFound)?;
                if roles.remove(role) { Ok(true) } else { Err(AuthError::RoleNotGranted) }
            }
            Op::AddRole("") => Err(AuthError::NoRole),
            Op::AddRole(role) if self.roles.contains_key(role) => Err(AuthError::RoleExists),
            Op::AddRole(role) => Ok(self.roles.insert(role, Vec::new()).is_none()),
            Op::DeleteRole(role) if self.is_enabled && *role == ROOT => Err(AuthError::InvalidChange),
            Op::DeleteRole(role) => {
                self.roles.remove(role).ok_or(AuthError::RoleNotFound)?;
                for roles in self.users.values_mut() {
                    roles.remove(role);
                }
                Ok(true)
            }
            Op::Grant(role, kind, key, end) => {
                let is_range = end.is_empty() || &end[..] == b"\0" || key < end;
                if key.is_empty() || !is_range {
                    return Err(AuthError::InvalidChange);
                }
                let granted = self.roles.get_mut(role).ok_or(AuthError::RoleNotFound)?;
                // In the order of keys, those with equal keys as they were granted; only the first is looked at.
                match granted.iter_mut().find(|(of, ..)| of == key) {
                    Some((_, of_end, of_kind)) if of_end == end => *of_kind = *kind,
                    _ => {
                        granted.push((key.clone(), end.clone(), *kind));
                        granted.sort_by(|a, b| a.0.cmp(&b.0));
                    }
                }
                Ok(true)
            }
            Op::Revoke(role, key, end) => {
                let granted = self.roles.get_mut(role).ok_or(AuthError::RoleNotFound)?;
                let n_before = granted.len();
                granted.retain(|(of, of_end, _)| of != key || of_end != end);
                if granted.len() < n_before { Ok(true) } else { Err(AuthError::PermissionNotGranted) }
            }
        }
    }

    fn may(&self, user: &str, access: Access, key: &[u8]) -> bool {
        let Some(roles) = self.users.get(user) else { return false };
        let granted = roles.iter().filter_map(|role| self.roles.get(role)).flatten();
        roles.contains(ROOT)
            || granted.into_iter().any(|(of, end, kind)| {
                let is_kind = match kind {
                    Type::Readwrite => true,
                    Type::Read => access == Access::Read,
                    Type::Write => access == Access::Write,
                };
                is_kind && KeyRange::from_wire(of.clone(), end.clone()).contains(key)
            })
    }
}

fn apply(store: &mut AuthStore, op: &Op, batch: &mut Batch) -> Result<(), AuthError> {
    match op {
        Op::Enable => store.enable(batch),
        Op::Disable => {
            store.disable(batch);
            Ok(())
        }
        Op::AddUser(user) => store.add_user(user, Some(Bytes::from_static(b"hash")), batch),
        Op::DeleteUser(user) => store.delete_user(user, batch),
        Op::GrantRole(user, role) => store.grant_role(user, role, batch),
        Op::RevokeRole(user, role) => store.revoke_role(user, role, batch),
        Op::AddRole(role) => store.add_role(role, batch),
        Op::DeleteRole(role) => store.delete_role(role, batch),
        Op::Grant(role, kind, key, end) => {
            let permission =
                Permission { perm_type: (*kind).into(), key: key.clone(), range_end: end.clone() };
            store.grant_permission(role, Some(permission), batch)
        }
        Op::Revoke(role, key, end) => store.revoke_permission(role, key, end, batch),
    }
}

fn key() -> impl Strategy<Value = Bytes> {
    prop::sample::select(&["", "\0", "a", "a\0", "ab", "b", "c"][..]).prop_map(Bytes::from_static_str)
}

trait FromStaticStr {
    fn from_static_str(text: &'static str) -> Self;
}

impl FromStaticStr for Bytes {
    fn from_static_str(text: &'static str) -> Self {
        Self::from_static(text.as_bytes())
    }
}

fn op() -> impl Strategy<Value = Op> {
    let user = || prop::sample::select(&USERS[..]);
    let role = || prop::sample::select(&ROLES[..]);
    let kind = prop::sample::select(&[Type::Read, Type::Write, Type::Readwrite][..]);
    prop_oneof![
        1 => Just(Op::Enable),
        1 => Just(Op::Disable),
        3 => user().prop_map(Op::AddUser),
        1 => user().prop_map(Op::DeleteUser),
        4 => (user(), role()).prop_map(|(user, role)| Op::GrantRole(user, role)),
        1 => (user(), role()).prop_map(|(user, role)| Op::RevokeRole(user, role)),
        3 => role().prop_map(Op::AddRole),
        1 => role().prop_map(Op::DeleteRole),
        6 => (role(), kind, key(), key()).prop_map(|(role, kind, key, end)| Op::Grant(role, kind, key, end)),
        2 => (role(), key(), key()).prop_map(|(role, key, end)| Op::Revoke(role, key, end)),
    ]
}

proptest! {
    #[test]
    fn store_does_what_the_model_does(ops in prop::collection::vec(op(), 1..40)) {
        let backend = Backend::in_memory();
        let mut store = AuthStore::open(&backend).expect("an empty file");
        let mut model = Model::default();
        for op in &ops {
            let revision = store.state().revision();
            let mut batch = Batch::default();
            let expected = model.apply(op);
            prop_assert_eq!(apply(&mut store, op, &mut batch), expected.map(drop), "{:?}", op);
            prop_assert_eq!(store.state().revision() - revision, u64::from(expected == Ok(true)), "{:?}", op);
            prop_assert!(expected.is_ok() || batch.is_empty(), "{:?} is rejected and leaves rows", op);
            backend.commit(&batch).expect("in memory");
        }
        let reopened = AuthStore::open(&backend).expect("own rows");
        for state in [store.state(), reopened.state(), &store.reader().load()] {
            prop_assert_eq!(state.is_enabled(), model.is_enabled);
            prop_assert_eq!(state.revision(), store.state().revision());
            prop_assert_eq!(state.usernames().collect::<Vec<_>>(), model.users.keys().copied().collect::<Vec<_>>());
            prop_assert_eq!(state.role_names().collect::<Vec<_>>(), model.roles.keys().copied().collect::<Vec<_>>());
            for (user, access) in USERS.into_iter().flat_map(|user| [(user, Access::Read), (user, Access::Write)]) {
                let info = AuthInfo { username: user, revision: state.revision() };
                for key in ["\0", "a", "a\0", "aa", "ab", "b", "bz", "c", "d"] {
                    let may = state.check_access(info, access, &KeyRange::Key(Bytes::from_static_str(key))).is_ok();
                    prop_assert_eq!(may, !model.is_enabled || model.may(user, access, key.as_bytes()), "{} {:?} {:?}", user, access, key);
                }
            }
        }
    }
}

#[test]
fn check_fails_for_the_first_reason() {
    let mut batch = Batch::default();
    let mut store = AuthStore::open(&Backend::in_memory()).expect("an empty file");
    let range = KeyRange::Key("k".into());
    let check = |store: &AuthStore, username, revision| {
        store.state().check_access(AuthInfo { username, revision }, Access::Read, &range)
    };
    assert_eq!(check(&store, "", 0), Ok(()), "authentication is off");
    store.add_user(ROOT, None, &mut batch).expect("a new user");
    store.grant_role(ROOT, ROOT, &mut batch).expect("the role need not be there");
    store.enable(&mut batch).expect("root is there");
    let revision = store.state().revision();
    assert_eq!(check(&store, "", 0), Err(AuthError::NoUser));
    assert_eq!(check(&store, "nobody", revision - 1), Err(AuthError::OldRevision));
    assert_eq!(check(&store, "nobody", revision), Err(AuthError::Denied));
    assert_eq!(check(&store, ROOT, revision), Ok(()));
    let root = |username| store.state().check_root(AuthInfo { username, revision: 0 });
    assert_eq!(
        (root(""), root("nobody"), root(ROOT)),
        (Err(AuthError::NoUser), Err(AuthError::UserNotFound), Ok(()))
    );
}

/// A row of a later version.
#[test]
fn unknown_kind_of_permission_allows_nothing() {
    let mut batch = Batch::default();
    let mut store = AuthStore::open(&Backend::in_memory()).expect("an empty file");
    for user in [ROOT, "alice"] {
        store.add_user(user, None, &mut batch).expect("a new user");
    }
    store.grant_role(ROOT, ROOT, &mut batch).expect("the role need not be there");
    store.add_role("later", &mut batch).expect("a new role");
    store.grant_role("alice", "later", &mut batch).expect("both are there");
    let permission = Permission { perm_type: 7, key: "k".into(), range_end: Bytes::new() };
    store.grant_permission("later", Some(permission), &mut batch).expect("etcd takes it, too");
    store.enable(&mut batch).expect("root is there");
    let info = AuthInfo { username: "alice", revision: store.state().revision() };
    for access in [Access::Read, Access::Write] {
        assert_eq!(
            store.state().check_access(info, access, &KeyRange::Key("k".into())),
            Err(AuthError::Denied)
        );
    }
}

/// A store with the user alice, whose role has one permission.
fn with_alice(kind: Type, key: &str) -> AuthStore {
    let mut batch = Batch::default();
    let mut store = AuthStore::open(&Backend::in_memory()).expect("an empty file");
    for user in [ROOT, "alice"] {
        store.add_user(user, None, &mut batch).expect("a new user");
    }
    store.grant_role(ROOT, ROOT, &mut batch).expect("the role need not be there");
    store.add_role("keys", &mut batch).expect("a new role");
    store.grant_role("alice", "keys", &mut batch).expect("both are there");
    store.grant_permission("keys", Some(permission(kind, key)), &mut batch).expect("a role and a key");
    store.enable(&mut batch).expect("root is there");
    store
}

fn permission(kind: Type, key: &str) -> Permission {
    Permission { perm_type: kind.into(), key: key.to_owned().into(), range_end: Bytes::new() }
}

/// Whether alice may read and write a key.
fn may_alice(state: &AuthState, key: &str) -> (bool, bool) {
    let info = AuthInfo { username: "alice", revision: state.revision() };
    let range = KeyRange::Key(key.to_owned().into());
    let may = |access| state.check_access(info, access, &range).is_ok();
    (may(Access::Read), may(Access::Write))
}

/// As a snapshot does that a member gets from another one.
#[test]
fn a_restored_store_leaves_a_state_as_it_was_and_reaches_all_readers() {
    let mut store = with_alice(Type::Readwrite, "old");
    let readers = [store.reader(), store.reader()];
    let before = readers[0].load().clone();
    let mut other = with_alice(Type::Read, "new");
    other.add_user("bob", None, &mut Batch::default()).expect("a new user");
    let others_reader = other.reader();
    store.restore(other);
    // Rights are merged when they are first wanted; they must be those of the state that is asked.
    assert_eq!((may_alice(&before, "old"), may_alice(&before, "new")), ((true, true), (false, false)));
    assert!(before.user("bob").is_none());
    for reader in &readers {
        let after = reader.load();
        assert_eq!((may_alice(&after, "old"), may_alice(&after, "new")), ((false, false), (true, false)));
        assert!(after.user("bob").is_some());
        assert_eq!(after.revision(), store.state().revision());
    }
    // Further changes are seen through the readers of this store alone.
    store.disable(&mut Batch::default());
    assert!(readers.iter().all(|reader| !reader.load().is_enabled()));
    assert!(before.is_enabled() && others_reader.load().is_enabled());
}

#[test]
fn a_state_that_is_held_does_not_change_with_the_store() {
    fn check(what: &str, change: impl FnOnce(&mut AuthStore, &mut Batch) -> Result<(), AuthError>) {
        let mut store = with_alice(Type::Read, "k");
        let reader = store.reader();
        let before = reader.load().clone();
        change(&mut store, &mut Batch::default()).expect("nothing forbids it");
        assert_eq!(may_alice(&before, "k"), (true, false), "{what}");
        assert_eq!(before.usernames().collect::<Vec<_>>(), ["alice", ROOT], "{what}");
        assert_eq!(before.role_names().collect::<Vec<_>>(), ["keys"], "{what}");
        assert!(before.revision() < reader.load().revision(), "{what}");
        assert_ne!(may_alice(&reader.load(), "k"), (true, false), "{what}");
    }
    check("another permission", |store, batch| {
        store.grant_permission("keys", Some(permission(Type::Readwrite, "k")), batch)
    });
    check("no permission", |store, batch| store.revoke_permission("keys", b"k", b"", batch));
    check("no role", |store, batch| store.revoke_role("alice", "keys", batch));
    check("the role is gone", |store, batch| store.delete_role("keys", batch));
    check("the user is gone", |store, batch| store.delete_user("alice", batch));
    check("root", |store, batch| store.grant_role("alice", ROOT, batch));
}
