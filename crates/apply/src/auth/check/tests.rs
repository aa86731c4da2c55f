mod users;

use ferretcd_api_proto::authpb::{Permission, permission::Type};
use ferretcd_api_proto::etcdserverpb::{LeaseRevokeRequest, request_op::Request as Op};
use ferretcd_auth::{AuthStore, ROOT};
use ferretcd_backend::{Backend, Batch};
use ferretcd_lease::Leases;

use super::*;

const ALICE: &str = "alice";
/// A user that was deleted after its request had been admitted.
const GONE: &str = "gone";
const DENIED: Result<(), AuthError> = Err(AuthError::Denied);

/// The kinds of permission of alice, each on some keys.
const PERMISSIONS: [(Type, &str, &str); 6] = [
    (Type::Read, "r", ""),
    (Type::Write, "w", ""),
    (Type::Readwrite, "rw", ""),
    (Type::Readwrite, "b", "d"),
    (Type::Write, "e", "h"),
    (Type::Read, "e", "g"),
];

/// Leases and the keys that they have; a key has at most one.
const LEASES: [(i64, &[&str]); 5] =
    [(1, &["c", "w"]), (2, &["secret"]), (3, &["b", "hidden"]), (4, &["r"]), (5, &[])];
const NO_LEASE: i64 = 99;

/// What checks look at.
struct Stores {
    auth: AuthStore,
    leases: Leases,
}

impl Stores {
    /// Authentication is on; users are root and alice.
    fn new() -> Self {
        let backend = Backend::in_memory();
        let mut batch = Batch::default();
        let mut auth = AuthStore::open(&backend).expect("an empty file");
        for user in [ROOT, ALICE, GONE] {
            auth.add_user(user, None, &mut batch).expect("a new user");
        }
        auth.grant_role(ROOT, ROOT, &mut batch).expect("the role need not be there");
        for role in ["keys", "other"] {
            auth.add_role(role, &mut batch).expect("a new role");
        }
        auth.grant_role(ALICE, "keys", &mut batch).expect("both are there");
        for (kind, key, range_end) in PERMISSIONS {
            let permission =
                Permission { perm_type: kind.into(), key: key.into(), range_end: range_end.into() };
            auth.grant_permission("keys", Some(permission), &mut batch).expect("a role and a range");
        }
        auth.delete_user(GONE, &mut batch).expect("a user");
        auth.enable(&mut batch).expect("root is there");
        let mut leases =
            Leases::open(&backend, ferretcd_lease::Config { ttl_min: 1 }).expect("an empty file");
        for (id, keys) in LEASES {
            leases.grant(LeaseId(id), 60, &mut batch).expect("a new id");
            leases.attach(keys.iter().map(|key| (key.as_bytes(), LeaseId(id))));
        }
        Self { auth, leases }
    }

    fn revision(&self) -> u64 {
        self.auth.state().revision()
    }

    fn check_at(&self, username: &str, auth_revision: u64, request: Request) -> Result<(), AuthError> {
        let command = Command { id: 1, username: username.to_owned(), auth_revision, request };
        command.check(self.auth.state(), &self.leases.reader())
    }

    /// As a user that was admitted at the revision of the moment; without a user there is no revision.
    fn check(&self, username: &str, request: Request) -> Result<(), AuthError> {
        self.check_at(username, if username.is_empty() { 0 } else { self.revision() }, request)
    }

    /// Checks an operation of alice's at every place where it can stand. Root may have it executed at each.
    #[track_caller]
    fn check_everywhere(&self, op: &Op, expected: Result<(), AuthError>) {
        for request in everywhere(op) {
            assert_eq!(self.check(ALICE, request.clone()), expected, "{request:?}");
            assert_eq!(self.check(ROOT, request.clone()), Ok(()), "{request:?}");
            assert_eq!(self.check("", request.clone()), Err(AuthError::NoUser), "{request:?}");
            assert_eq!(self.check(GONE, request.clone()), DENIED, "{request:?}");
            let before = self.revision() - 1;
            for user in [ALICE, ROOT, GONE] {
                assert_eq!(
                    self.check_at(user, before, request.clone()),
                    Err(AuthError::OldRevision),
                    "{user} {request:?}"
                );
            }
        }
    }
}

fn success(ops: Vec<Op>) -> TxnRequest {
    let ops = ops.into_iter().map(|op| RequestOp { request: Some(op) }).collect();
    TxnRequest { success: ops, ..TxnRequest::default() }
}

fn failure(ops: Vec<Op>) -> TxnRequest {
    let TxnRequest { success, .. } = success(ops);
    TxnRequest { failure: success, ..TxnRequest::default() }
}

/// The transaction itself, and nested in others, in either branch.
fn nested(txn: TxnRequest) -> Vec<Request> {
    let inner = Op::RequestTxn(txn.clone());
    let deep = failure(vec![Op::RequestTxn(success(vec![inner.clone()]))]);
    [txn, success(vec![inner.clone()]), failure(vec![inner]), deep].map(Request::Txn).into()
}

/// An operation alone, if it can be, and in either branch of transactions, behind one that alice may have executed.
fn everywhere(op: &Op) -> Vec<Request> {
    let alone = match op {
        Op::RequestPut(put) => Some(Request::Put(put.clone())),
        Op::RequestDeleteRange(delete) => Some(Request::DeleteRange(delete.clone())),
        _ => None,
    };
    let harmless = range("r", "");
    let txns = [success(vec![op.clone()]), failure(vec![harmless, op.clone()])];
    alone.into_iter().chain(txns.into_iter().flat_map(nested)).collect()
}

fn range(key: &str, range_end: &str) -> Op {
    Op::RequestRange(RangeRequest {
        key: Bytes::copy_from_slice(key.as_bytes()),
        range_end: Bytes::copy_from_slice(range_end.as_bytes()),
        ..RangeRequest::default()
    })
}

fn put(key: &str, lease: i64, prev_kv: bool) -> Op {
    let key = Bytes::copy_from_slice(key.as_bytes());
    Op::RequestPut(PutRequest { key, lease, prev_kv, ..PutRequest::default() })
}

fn delete(key: &str, range_end: &str, prev_kv: bool) -> Op {
    let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
    Op::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv })
}

fn revoke(id: i64) -> Request {
    Request::LeaseRevoke(LeaseRevokeRequest { id })
}

#[test]
fn a_range_needs_the_right_to_read_all_of_it() {
    let stores = Stores::new();
    for (key, range_end, expected) in [
        ("r", "", Ok(())),
        ("rw", "", Ok(())),
        ("w", "", DENIED),
        ("secret", "", DENIED),
        ("b", "d", Ok(())),
        ("b", "d\0", DENIED),
        ("a", "d", DENIED),
        ("e", "g", Ok(())),
        ("e", "h", DENIED),
        ("r", "\0", DENIED),
    ] {
        stores.check_everywhere(&range(key, range_end), expected);
    }
}

/// The previous value is in the response, so it takes the right to read.
#[test]
fn a_put_that_returns_the_previous_value_needs_both_rights() {
    let stores = Stores::new();
    for (key, without, with) in [
        ("rw", Ok(()), Ok(())),
        ("w", Ok(()), DENIED),
        ("r", DENIED, DENIED),
        ("secret", DENIED, DENIED),
        ("g", Ok(()), DENIED),
        ("f", Ok(()), Ok(())),
    ] {
        stores.check_everywhere(&put(key, 0, false), without);
        stores.check_everywhere(&put(key, 0, true), with);
    }
}

#[test]
fn a_deletion_that_returns_previous_values_needs_both_rights_to_all_of_it() {
    let stores = Stores::new();
    for (key, range_end, without, with) in [
        ("rw", "", Ok(()), Ok(())),
        ("w", "", Ok(()), DENIED),
        ("r", "", DENIED, DENIED),
        ("b", "d", Ok(()), Ok(())),
        ("b", "e", DENIED, DENIED),
        ("a", "c", DENIED, DENIED),
        ("e", "h", Ok(()), DENIED),
        ("e", "g", Ok(()), Ok(())),
        ("rw", "\0", DENIED, DENIED),
        ("\0", "\0", DENIED, DENIED),
    ] {
        stores.check_everywhere(&delete(key, range_end, false), without);
        stores.check_everywhere(&delete(key, range_end, true), with);
    }
}

/// The keys of a lease end together: a user that could attach a key to any lease could have it end with keys of others.
#[test]
fn a_put_with_a_lease_needs_the_right_to_write_every_key_of_the_lease() {
    let stores = Stores::new();
    for (lease, expected) in
        [(1, Ok(())), (2, DENIED), (3, DENIED), (4, DENIED), (5, Ok(())), (NO_LEASE, Ok(()))]
    {
        stores.check_everywhere(&put("rw", lease, false), expected);
        stores.check_everywhere(&put("rw", lease, true), expected);
        stores.check_everywhere(&put("secret", lease, false), DENIED);
    }
}

#[test]
fn a_revoke_needs_the_right_to_write_every_key_of_the_lease() {
    let stores = Stores::new();
    let before = stores.revision() - 1;
    for (lease, expected) in [(1, Ok(())), (2, DENIED), (3, DENIED), (4, DENIED)] {
        assert_eq!(stores.check(ALICE, revoke(lease)), expected, "{lease}");
        assert_eq!(stores.check(GONE, revoke(lease)), DENIED, "{lease}");
        assert_eq!(stores.check("", revoke(lease)), Err(AuthError::NoUser), "{lease}");
        assert_eq!(stores.check_at(ALICE, before, revoke(lease)), Err(AuthError::OldRevision), "{lease}");
        // For what root may do to a lease it does not matter when root was admitted, as in etcd.
        assert_eq!(stores.check_at(ROOT, before, revoke(lease)), Ok(()), "{lease}");
    }
    // There is no key that a right could be missing for.
    for (lease, user) in
        [5, NO_LEASE].into_iter().flat_map(|lease| [ALICE, "", GONE].map(|user| (lease, user)))
    {
        assert_eq!(stores.check(user, revoke(lease)), Ok(()), "{lease} {user}");
    }
}

/// As a request for the keys of a lease is checked.
#[test]
fn keys_of_a_lease_are_checked_for_the_access_in_question() {
    let stores = Stores::new();
    let (state, reader, revision) = (stores.auth.state(), stores.leases.reader(), stores.revision());
    let check = |username, lease, access| {
        check_lease(state, AuthInfo { username, revision }, &reader, LeaseId(lease), access)
    };
    for (lease, read, write) in [
        (1, DENIED, Ok(())),
        (2, DENIED, DENIED),
        (3, DENIED, DENIED),
        (4, Ok(()), DENIED),
        (5, Ok(()), Ok(())),
        (NO_LEASE, Ok(()), Ok(())),
    ] {
        assert_eq!((check(ALICE, lease, Access::Read), check(ALICE, lease, Access::Write)), (read, write));
        assert_eq!((check(ROOT, lease, Access::Read), check(ROOT, lease, Access::Write)), (Ok(()), Ok(())));
    }
}

/// A comparison tells a client about values.
#[test]
fn every_comparison_needs_the_right_to_read_all_of_its_range() {
    let stores = Stores::new();
    let compare = |key: &str, range_end: &str| Compare {
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
        ..Compare::default()
    };
    for (key, range_end, expected) in [
        ("r", "", Ok(())),
        ("w", "", DENIED),
        ("secret", "", DENIED),
        ("b", "d", Ok(())),
        ("b", "e", DENIED),
        ("r", "\0", DENIED),
    ] {
        let txn = TxnRequest {
            compare: vec![compare("rw", ""), compare(key, range_end)],
            ..success(vec![put("rw", 0, false)])
        };
        for request in nested(txn) {
            assert_eq!(stores.check(ALICE, request.clone()), expected, "{request:?}");
            assert_eq!(stores.check(ROOT, request.clone()), Ok(()), "{request:?}");
        }
    }
}

/// Whichever branch is taken, and whichever operation comes first.
#[test]
fn one_operation_without_a_right_denies_the_whole_transaction() {
    let stores = Stores::new();
    let allowed = || vec![range("r", ""), put("rw", 1, true), delete("b", "d", true)];
    for hidden in [range("secret", ""), put("secret", 0, false), delete("secret", "", false)] {
        for place in 0..=allowed().len() {
            let mut ops = allowed();
            ops.insert(place, hidden.clone());
            for request in [success(ops.clone()), failure(ops)].into_iter().flat_map(nested) {
                assert_eq!(stores.check(ALICE, request.clone()), DENIED, "{request:?}");
            }
        }
    }
    for request in [success(allowed()), failure(allowed())].into_iter().flat_map(nested) {
        assert_eq!(stores.check(ALICE, request.clone()), Ok(()), "{request:?}");
    }
}

#[test]
fn a_transaction_without_keys_needs_no_user() {
    let stores = Stores::new();
    let no_request = TxnRequest { success: vec![RequestOp { request: None }], ..TxnRequest::default() };
    for request in [TxnRequest::default(), no_request].into_iter().flat_map(nested) {
        for user in ["", GONE, ALICE] {
            assert_eq!(stores.check_at(user, 0, request.clone()), Ok(()), "{user} {request:?}");
        }
    }
}

/// Another member may have applied a change of rights that this one is still to apply.
#[test]
fn a_later_revision_of_rights_is_accepted() {
    let stores = Stores::new();
    let later = stores.revision() + 1;
    for (op, expected) in [(put("rw", 1, true), Ok(())), (put("secret", 0, false), DENIED)] {
        for request in everywhere(&op) {
            assert_eq!(stores.check_at(ALICE, later, request.clone()), expected, "{request:?}");
        }
    }
}

#[test]
fn reads_of_a_transaction_are_checked_only_while_authentication_is_on() {
    let mut stores = Stores::new();
    let txn = success(vec![range("secret", "")]);
    let check = |stores: &Stores, username| {
        let info = AuthInfo { username, revision: stores.revision() };
        check_txn(stores.auth.state(), info, &stores.leases.reader(), &txn)
    };
    assert_eq!([ROOT, ALICE, GONE].map(|user| check(&stores, user)), [Ok(()), DENIED, DENIED]);
    stores.auth.disable(&mut Batch::default());
    assert_eq!([ROOT, ALICE, GONE, ""].map(|user| check(&stores, user)), [Ok(()); 4]);
}
