//! Rows that no version writes: a store says which one it cannot read, and does not open.

use bytes::Bytes;
use ferretcd_api_proto::authpb::{Permission, Role, User, UserAddOptions, permission::Type};
use ferretcd_auth::{AuthStore, OpenError};
use ferretcd_backend::{Backend, Batch, Bucket};
use prost::Message as _;

fn with_rows(rows: &[(Bucket, &[u8], &[u8])]) -> Backend {
    let backend = Backend::in_memory();
    let mut batch = Batch::default();
    for (bucket, key, value) in rows {
        batch.put(*bucket, Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    }
    backend.commit(&batch).expect("in memory");
    backend
}

fn user(name: &[u8]) -> Vec<u8> {
    let options = Some(UserAddOptions { no_password: true });
    let roles = vec!["role".to_owned()];
    User { name: Bytes::copy_from_slice(name), options, roles, ..User::default() }.encode_to_vec()
}

fn role(name: &[u8]) -> Vec<u8> {
    let permission = Permission { perm_type: Type::Read.into(), key: "k".into(), range_end: Bytes::new() };
    Role { name: Bytes::copy_from_slice(name), key_permission: vec![permission] }.encode_to_vec()
}

/// Beside the row there are good ones.
#[track_caller]
fn rejected(bucket: Bucket, key: &[u8], value: &[u8], expected_row: &str) {
    let (good_user, good_role) = (user(b"good"), role(b"good"));
    let backend = with_rows(&[
        (Bucket::Auth, b"authEnabled", &[1]),
        (Bucket::Auth, b"authRevision", &[0, 0, 0, 0, 0, 0, 0, 9]),
        (Bucket::AuthUsers, b"good", &good_user),
        (Bucket::AuthRoles, b"good", &good_role),
        (bucket, key, value),
    ]);
    let error = AuthStore::open(&backend).expect_err("the row is none");
    let expected = format!(
        "read users and roles from the state file: bucket {} has a row that is none: {expected_row}",
        bucket.name()
    );
    assert_eq!(error.to_string(), expected);
    assert!(
        matches!(error, OpenError::Corrupt { bucket: found, row } if found == bucket.name() && row == expected_row)
    );
}

#[test]
fn a_switch_that_is_neither_on_nor_off_is_reported() {
    for value in [&[][..], &[2], &[0xff], &[0, 0], &[1, 0], b"1"] {
        rejected(Bucket::Auth, b"authEnabled", value, "61757468456e61626c6564");
    }
}

#[test]
fn a_revision_of_other_than_eight_bytes_is_reported() {
    for n_bytes in [0, 1, 7, 9, 16] {
        rejected(Bucket::Auth, b"authRevision", &vec![1; n_bytes], "617574685265766973696f6e");
    }
}

#[test]
fn users_and_roles_that_cannot_be_read_are_reported() {
    for (bucket, row) in [(Bucket::AuthUsers, user(b"name")), (Bucket::AuthRoles, role(b"name"))] {
        rejected(bucket, b"name", b"\xff", "6e616d65");
        rejected(bucket, b"name", &row[..row.len() - 1], "6e616d65");
        // An empty message is one, but has no name.
        rejected(bucket, b"name", b"", "6e616d65");
        // The row of another: it must not be found under this name.
        rejected(bucket, b"eman", &row, "656d616e");
        rejected(bucket, b"name2", &row, "6e616d6532");
    }
}

/// Log entries name users and roles as text.
#[test]
fn names_that_are_no_text_are_reported() {
    rejected(Bucket::AuthUsers, b"a\xff", &user(b"a\xff"), "61ff");
    rejected(Bucket::AuthRoles, b"\xc3", &role(b"\xc3"), "c3");
    // The name of a role that a user has.
    let row = [&user(b"name")[..], b"\x1a\x01\xff"].concat();
    rejected(Bucket::AuthUsers, b"name", &row, "6e616d65");
}

#[test]
fn rows_at_the_bounds_of_their_form_are_read() {
    let name = "\u{fc}".as_bytes();
    let (user, role) = (user(name), role(name));
    let backend = with_rows(&[
        (Bucket::Auth, b"authEnabled", &[0]),
        (Bucket::Auth, b"authRevision", &[0xff; 8]),
        (Bucket::AuthUsers, name, &user),
        (Bucket::AuthRoles, name, &role),
    ]);
    let store = AuthStore::open(&backend).expect("nothing is wrong");
    let state = store.state();
    assert_eq!((state.is_enabled(), state.revision()), (false, u64::MAX));
    assert!(state.user("\u{fc}").is_some_and(|user| user.has_role("role") && user.password_hash().is_none()));
    assert_eq!(state.permissions("\u{fc}").map(<[_]>::len), Some(1));
}

#[test]
fn an_empty_file_has_the_first_revision_and_no_user() {
    let store = AuthStore::open(&Backend::in_memory()).expect("an empty file");
    let state = store.state();
    assert_eq!((state.is_enabled(), state.revision(), state.usernames().count()), (false, 1, 0));
}
