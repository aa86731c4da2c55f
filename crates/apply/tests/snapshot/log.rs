//! Random logs.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::request_op::Request as Op;
use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, DeleteRangeRequest, LeaseCheckpoint, LeaseCheckpointRequest,
    LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RequestOp, TxnRequest,
};
use ferretcd_api_proto::membershippb::{
    Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest,
};
use ferretcd_apply::{MemberChange, Request};
use ferretcd_base::MemberId;
use ferretcd_membership::Member as Description;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::member::MEMBER;

/// Events on a member, in or beside its log.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Members(MemberChange),
    Command(Request),
    Commit,
    Scrub(usize),
}

pub(crate) fn key() -> impl Strategy<Value = Bytes> {
    (0..6u8).prop_map(|n| vec![b'a' + n].into())
}

pub(crate) fn put() -> impl Strategy<Value = PutRequest> {
    let value = prop_oneof![8 => "[a-z]{0,3}", 1 => Just("v".repeat(9_000))];
    (key(), value, 0..3i64).prop_map(|(key, value, lease)| PutRequest {
        key,
        value: value.into(),
        lease,
        ..PutRequest::default()
    })
}

pub(crate) fn txn() -> impl Strategy<Value = TxnRequest> {
    vec(put(), 0..4).prop_map(|puts| {
        // A server lets no transaction write a key twice.
        let puts: BTreeMap<_, _> = puts.into_iter().map(|put| (put.key.clone(), put)).collect();
        let op = |put| RequestOp { request: Some(Op::RequestPut(put)) };
        TxnRequest { success: puts.into_values().map(op).collect(), ..TxnRequest::default() }
    })
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let delete = (key(), key()).prop_map(|(key, range_end)| DeleteRangeRequest {
        key,
        range_end,
        ..DeleteRangeRequest::default()
    });
    let compaction = (0..40i64).prop_map(|revision| CompactionRequest { revision, physical: false });
    let grant = (1..3i64, 1..20i64).prop_map(|(id, ttl)| LeaseGrantRequest { id, ttl });
    let checkpoint = (1..3i64, 0..20i64).prop_map(|(id, remaining_ttl)| LeaseCheckpointRequest {
        checkpoints: vec![LeaseCheckpoint { id, remaining_ttl }],
    });
    let alarm = (1..3i32, 7..9u64).prop_map(|(action, member_id)| AlarmRequest {
        action,
        member_id,
        alarm: AlarmType::Nospace.into(),
    });
    let attributes = Attributes { name: "<m>".to_owned(), client_urls: vec!["http://c:1".to_owned()] };
    let version = (5..8u32).prop_map(|minor| format!("3.{minor}.0"));
    prop_oneof![
        20 => put().prop_map(Request::Put),
        8 => txn().prop_map(Request::Txn),
        4 => delete.prop_map(Request::DeleteRange),
        3 => compaction.prop_map(Request::Compaction),
        4 => grant.prop_map(Request::LeaseGrant),
        1 => (1..3i64).prop_map(|id| Request::LeaseRevoke(LeaseRevokeRequest { id })),
        1 => checkpoint.prop_map(Request::LeaseCheckpoint),
        1 => alarm.prop_map(Request::Alarm),
        1 => version.clone().prop_map(|ver| Request::ClusterVersionSet(ClusterVersionSetRequest { ver })),
        1 => (any::<bool>(), version).prop_map(|(enabled, ver)| {
            Request::DowngradeInfoSet(DowngradeInfoSetRequest { enabled, ver })
        }),
        1 => Just(Request::ClusterMemberAttrSet(ClusterMemberAttrSetRequest {
            member_id: MEMBER.0,
            member_attributes: Some(attributes),
        })),
    ]
}

pub(crate) fn add(id: MemberId) -> MemberChange {
    let peer_urls = vec![format!("http://p:{id}")];
    let context = Description { id, peer_urls, ..Description::default() }.to_json().into();
    MemberChange::Add { node: id, context }
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    let change = prop_oneof![
        (8..11u64).prop_map(|id| add(MemberId(id))),
        (8..11u64).prop_map(|id| MemberChange::Remove(MemberId(id))),
    ];
    prop_oneof![
        40 => request().prop_map(Entry::Command),
        2 => change.prop_map(Entry::Members),
        8 => Just(Entry::Commit),
        6 => (1..5usize).prop_map(Entry::Scrub),
    ]
}

pub(crate) fn log(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Entry>> {
    vec(entry(), len).prop_map(|mut log| {
        log.insert(0, Entry::Members(add(MEMBER)));
        log
    })
}
