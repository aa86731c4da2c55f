//! Messages against bytes that a running etcd has written.

use std::fmt::Debug;

use ferretcd_api_proto::authpb::{Permission, Role, User, UserAddOptions, permission};
use ferretcd_api_proto::etcdserverpb::{
    AlarmMember, AlarmType, InternalRaftRequest, Metadata, PutRequest, RequestHeader,
};
use ferretcd_api_proto::leasepb::Lease;
use ferretcd_api_proto::mvccpb::KeyValue;
use ferretcd_api_proto::raftpb::{self, ConfState, EntryType, HardState};
use ferretcd_api_proto::walpb::{Record, Snapshot};
use prost::Message;

/// `hex` may contain blanks.
fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|c| c.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// Encodes to exactly these bytes and decodes from them.
fn check<M: Message + Default + PartialEq + Debug>(message: &M, hex: &str) {
    let wire = bytes(hex);
    assert_eq!(message.encode_to_vec(), wire, "{message:?}");
    assert_eq!(&M::decode(wire.as_slice()).unwrap(), message);
}

fn put_foo_bar() -> InternalRaftRequest {
    InternalRaftRequest {
        header: Some(RequestHeader { id: 0xcd10_a1f9_36ba_8d05, ..RequestHeader::default() }),
        put: Some(PutRequest { key: "foo".into(), value: "bar".into(), ..PutRequest::default() }),
        ..InternalRaftRequest::default()
    }
}

const PUT_FOO_BAR: &str = "220a 0a03666f6f 1203626172 a2060b 08 859aeab593bfa888cd01";

#[test]
fn rows() {
    let kv = |key: &str, create_revision, mod_revision, version, value: &str| KeyValue {
        key: key.to_owned().into(),
        create_revision,
        mod_revision,
        version,
        value: value.to_owned().into(),
        lease: 0,
    };
    check(&kv("foo", 2, 2, 1, "bar"), "0a03666f6f1002180220012a03626172");
    check(&kv("foo", 2, 3, 2, "bar2"), "0a03666f6f1002180320022a0462617232");
    check(&kv("a", 4, 8, 2, "9"), "0a01611004180820022a0139");
    check(&KeyValue { key: "foo".into(), ..KeyValue::default() }, "0a03666f6f");
}

#[test]
fn leases_and_alarms() {
    check(&Lease { id: 0x1234, ttl: 600, remaining_ttl: 0 }, "08b42410d804");
    check(&AlarmMember { member_id: 5, alarm: AlarmType::Corrupt.into() }, "08051002");
}

#[test]
fn users_and_roles() {
    let permission = |perm_type: permission::Type, key: &str, range_end: &str| Permission {
        perm_type: perm_type.into(),
        key: key.to_owned().into(),
        range_end: range_end.to_owned().into(),
    };
    let role = Role {
        name: "r1".into(),
        key_permission: vec![
            permission(permission::Type::Readwrite, "foo", "goo"),
            permission(permission::Type::Read, "k", ""),
        ],
    };
    check(&role, "0a027231 120c 0802 1203666f6f 1a03676f6f 1203 12016b");
    let options = Some(UserAddOptions { no_password: true });
    check(&User { name: "u2".into(), options, ..User::default() }, "0a027532 22020801");
    // Options that say nothing are written all the same.
    let options = Some(UserAddOptions::default());
    check(&User { name: "u2".into(), options, ..User::default() }, "0a027532 2200");
}

#[test]
fn proposals() {
    check(&put_foo_bar(), PUT_FOO_BAR);
}

/// Releases before 3.7 write every field of an entry, also the zero type.
#[test]
fn entries() {
    let entry = raftpb::Entry {
        r#type: Some(EntryType::EntryNormal.into()),
        term: Some(2),
        index: Some(5),
        data: Some(put_foo_bar().encode_to_vec().into()),
    };
    check(&entry, &format!("0800 1002 1805 221a {PUT_FOO_BAR}"));
    let empty = raftpb::Entry { data: None, index: Some(2), ..entry };
    check(&empty, "0800 1002 1802");
}

#[test]
fn head_of_a_log() {
    check(&Record { r#type: Some(4), crc: Some(0), data: None }, "08041000");
    let metadata =
        Metadata { node_id: Some(6_898_171_603_489_705_232), cluster_id: Some(1_112_788_720_337_101_170) };
    check(&metadata, "08909ac3cde7d0cedd5f 10f2c2848ea0eedab80f");
    let record =
        Record { r#type: Some(1), crc: Some(0x03a8_f174), data: Some(metadata.encode_to_vec().into()) };
    check(&record, "0801 10f4e2a31d 1a14 08909ac3cde7d0cedd5f 10f2c2848ea0eedab80f");
    let snapshot = Snapshot { index: Some(0), term: Some(0), conf_state: None };
    check(&snapshot, "08001000");
    check(&HardState { term: Some(1), vote: Some(0), commit: Some(1) }, "0801 1000 1801");
}

/// Repeated numbers of the raft messages are written one by one, not packed.
#[test]
fn voters_are_not_packed() {
    let state = ConfState { voters: vec![1, 2], auto_leave: Some(false), ..ConfState::default() };
    check(&state, "0801 0802 2800");
}
