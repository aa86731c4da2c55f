//! The same log gives the same responses and the same state, whenever a member writes its state file, removes what
//! compactions drop, or dies.
//!
//! One member applies a random log undisturbed. Another one applies it with commits, steps of compactions and
//! crashes at random points; a crash loses what was not committed, which is then applied again. A crash inside a
//! commit is the business of `backend`.

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use ferretcd_api_proto::etcdserverpb::request_op::Request as Op;
use ferretcd_api_proto::etcdserverpb::{
    AlarmRequest, AlarmType, CompactionRequest, Compare, DeleteRangeRequest, LeaseCheckpoint,
    LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp,
    TxnRequest,
};
use ferretcd_api_proto::membershippb::{
    Attributes, ClusterMemberAttrSetRequest, ClusterVersionSetRequest, DowngradeInfoSetRequest,
};
use ferretcd_apply::{
    ApplyError, Command, Config, MemberChange, Outcome, Request, StateMachine, backend_hash,
};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{LeaseId, LogPosition, MemberId};
use ferretcd_lease::Lease;
use ferretcd_membership::Member as Description;
use ferretcd_mvcc::Scrub;
use proptest::collection::vec;
use proptest::prelude::*;

const CONFIG: Config = Config {
    mvcc: ferretcd_mvcc::Config { cache_bytes: 1 << 16 },
    lease: ferretcd_lease::Config { ttl_min: 2 },
};
/// The only member; the first entry of the log adds it.
const MEMBER: MemberId = MemberId(7);

/// A state machine and the rows that it has not committed.
struct Member {
    backend: Backend,
    machine: StateMachine,
    batch: Batch,
}

impl Member {
    fn open(backend: Backend) -> Self {
        let mut batch = Batch::default();
        let machine = StateMachine::open(backend.clone(), &CONFIG, &mut batch).expect("own rows");
        Self { backend, machine, batch }
    }

    /// Applies the entry behind the last one.
    fn apply_next(&mut self, log: &[Bytes]) -> Outcome {
        let index = self.machine.applied().position.index + 1;
        let (entry, position) = (&log[index as usize - 1], LogPosition::new(index, 1));
        if index > 1 {
            return self.machine.apply(position, entry.clone(), &mut self.batch).expect("a readable entry");
        }
        let add = MemberChange::Add { node: MEMBER, context: entry.clone() };
        let outcome =
            self.machine.apply_members(position, 0, add, &mut self.batch).expect("a readable entry");
        assert_eq!(self.machine.applied().conf_state, r#"{"voters":[7],"auto_leave":false}"#);
        outcome
    }

    fn commit(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        self.machine.applied().store(&mut batch);
        self.backend.commit(&batch).expect("memory");
        self.machine.release(self.machine.revision());
    }

    fn crash(&mut self) {
        *self = Self::open(self.backend.clone());
    }

    fn scrub(&mut self, limit: usize) -> Scrub {
        self.machine.scrub(limit, &mut self.batch).expect("own rows")
    }

    /// The leases and their keys.
    fn leases(&self) -> Vec<(LeaseId, Lease, Vec<Bytes>)> {
        let reader = self.machine.lease_reader();
        reader.all().into_iter().map(|(id, lease)| (id, lease, reader.keys(id))).collect()
    }

    /// Brings everything that was begun to its end; returns the state of the file, the history and the index.
    fn settle(&mut self) -> (u32, u32, Vec<Bytes>) {
        self.commit();
        while !matches!(self.scrub(100), Scrub::Idle) {
            self.commit();
        }
        let file = backend_hash(&self.backend.view()).expect("a readable file");
        let reader = self.machine.reader();
        let history = reader.compute_hash_kv(self.machine.revision()).expect("the newest revision").hash;
        let everything =
            RangeRequest { key: vec![0].into(), range_end: vec![0].into(), ..RangeRequest::default() };
        let rows = ferretcd_apply::range(&reader.view(), &everything).expect("the newest revision").kvs;
        (file, history, rows.into_iter().map(|row| row.as_bytes().clone()).collect())
    }
}

/// Events on the second member; the first one only applies the entries.
#[derive(Clone, Debug)]
enum Step {
    Apply,
    Commit,
    Scrub(usize),
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Apply),
        2 => Just(Step::Commit),
        2 => (1..5usize).prop_map(Step::Scrub),
        1 => Just(Step::Crash),
    ]
}

fn key() -> impl Strategy<Value = Bytes> {
    (0..6u8).prop_map(|n| vec![b'a' + n].into())
}

/// Often one that was never granted.
fn lease_id() -> impl Strategy<Value = i64> {
    -1..3i64
}

/// One key, an interval, or everything from a key on.
fn range_end() -> impl Strategy<Value = Bytes> {
    prop_oneof![4 => Just(Bytes::new()), 2 => key(), 1 => Just(Bytes::from_static(&[0]))]
}

prop_compose! {
    fn put()(
        key in key(), value in "[a-z]{0,3}", prev_kv: bool, ignore_value in prop::bool::weighted(0.2),
        ignore_lease in prop::bool::weighted(0.2), lease in prop_oneof![3 => Just(0), 2 => lease_id()],
    ) -> PutRequest {
        let value = if ignore_value { Bytes::new() } else { value.into() };
        let lease = if ignore_lease { 0 } else { lease };
        PutRequest { key, value, lease, prev_kv, ignore_value, ignore_lease }
    }
}

prop_compose! {
    fn delete()(key in key(), range_end in range_end(), prev_kv: bool) -> DeleteRangeRequest {
        DeleteRangeRequest { key, range_end, prev_kv }
    }
}

prop_compose! {
    fn range()(key in key(), range_end in range_end(), limit in 0..3i64, revision in 0..40i64) -> RangeRequest {
        RangeRequest { key, range_end, limit, revision, ..RangeRequest::default() }
    }
}

prop_compose! {
    fn compare()(
        key in key(), range_end in range_end(), (target, union) in prop_oneof![
            (0..3i64).prop_map(|n| (CompareTarget::Version, TargetUnion::Version(n))),
            (0..40i64).prop_map(|n| (CompareTarget::Mod, TargetUnion::ModRevision(n))),
            lease_id().prop_map(|id| (CompareTarget::Lease, TargetUnion::Lease(id))),
            "[a-z]{0,1}".prop_map(|text| (CompareTarget::Value, TargetUnion::Value(text.into()))),
        ], result in 0..4i32,
    ) -> Compare {
        let result = CompareResult::try_from(result).expect("there are four").into();
        Compare { result, target: target.into(), key, range_end, target_union: Some(union) }
    }
}

/// Operations as a server lets them in: no key is written twice.
fn branch(depth: u32) -> BoxedStrategy<Vec<RequestOp>> {
    let op = |op| RequestOp { request: Some(op) };
    let puts = vec(put(), 0..3).prop_map(move |mut puts| {
        puts.sort_by(|a, b| a.key.cmp(&b.key));
        puts.dedup_by(|a, b| a.key == b.key);
        puts.into_iter().map(|put| op(Op::RequestPut(put))).collect::<Vec<_>>()
    });
    let deletes = vec(delete().prop_map(move |delete| op(Op::RequestDeleteRange(delete))), 0..3);
    let writes = if depth == 0 {
        prop_oneof![puts, deletes].boxed()
    } else {
        let nested = txn(depth - 1).prop_map(move |txn| vec![op(Op::RequestTxn(txn))]);
        prop_oneof![puts, deletes, nested].boxed()
    };
    (vec(range().prop_map(move |range| op(Op::RequestRange(range))), 0..2), writes)
        .prop_map(|(reads, writes)| reads.into_iter().chain(writes).collect())
        .boxed()
}

fn txn(depth: u32) -> impl Strategy<Value = TxnRequest> {
    (vec(compare(), 0..2), branch(depth), branch(depth)).prop_map(|(compare, success, failure)| TxnRequest {
        compare,
        success,
        failure,
    })
}

fn lease_request() -> impl Strategy<Value = Request> {
    let grant = (lease_id(), -1..20i64).prop_map(|(id, ttl)| LeaseGrantRequest { id, ttl });
    let checkpoint =
        (lease_id(), 0..20i64).prop_map(|(id, left)| LeaseCheckpoint { id, remaining_ttl: left });
    prop_oneof![
        6 => grant.prop_map(Request::LeaseGrant),
        2 => lease_id().prop_map(|id| Request::LeaseRevoke(LeaseRevokeRequest { id })),
        1 => vec(checkpoint, 0..4).prop_map(|checkpoints| {
            Request::LeaseCheckpoint(LeaseCheckpointRequest { checkpoints })
        }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let alarm = (0..3i32, prop_oneof![8 => Just(AlarmType::Nospace), 1 => Just(AlarmType::Corrupt)]);
    let attributes = Attributes { name: "m".to_owned(), client_urls: vec!["http://c:1".to_owned()] };
    let attributes = ClusterMemberAttrSetRequest { member_id: MEMBER.0, member_attributes: Some(attributes) };
    let version = (5..8u32).prop_map(|minor| format!("3.{minor}.0"));
    prop_oneof![
        20 => put().prop_map(Request::Put),
        6 => delete().prop_map(Request::DeleteRange),
        12 => txn(1).prop_map(Request::Txn),
        15 => lease_request(),
        6 => (0..40i64, any::<bool>()).prop_map(|(revision, physical)| {
            Request::Compaction(CompactionRequest { revision, physical })
        }),
        2 => alarm.prop_map(|(action, alarm)| {
            Request::Alarm(AlarmRequest { action, member_id: MEMBER.0, alarm: alarm.into() })
        }),
        1 => version.clone().prop_map(|ver| Request::ClusterVersionSet(ClusterVersionSetRequest { ver })),
        1 => (any::<bool>(), version).prop_map(|(enabled, ver)| {
            Request::DowngradeInfoSet(DowngradeInfoSetRequest { enabled, ver })
        }),
        1 => Just(Request::ClusterMemberAttrSet(attributes)),
    ]
}

fn log() -> impl Strategy<Value = Vec<Bytes>> {
    vec(request(), 1..60).prop_map(|requests| {
        let description =
            Description { id: MEMBER, peer_urls: vec!["http://p:1".to_owned()], ..Description::default() };
        let commands = requests
            .into_iter()
            .zip(1..)
            .map(|(request, id)| Command { id, username: String::new(), auth_revision: 0, request }.encode());
        [Bytes::from(description.to_json())].into_iter().chain(commands).collect()
    })
}

proptest! {
    #[test]
    fn equal_logs_give_equal_states(log in log(), steps in vec(step(), 1..200)) {
        let mut undisturbed = Member::open(Backend::in_memory());
        let mut expected = Vec::new();
        for _ in &log {
            let trace = |member: &Member| (member.batch.len(), member.machine.revision(), member.leases());
            let before = trace(&undisturbed);
            let outcome = undisturbed.apply_next(&log);
            if outcome.result.is_err() {
                prop_assert_eq!(trace(&undisturbed), before, "rejected, and still something has changed");
            }
            expected.push(format!("{outcome:?}"));
        }

        let mut disturbed = Member::open(Backend::in_memory());
        let rest = std::iter::repeat_n(Step::Apply, log.len());
        for step in steps.into_iter().chain(rest) {
            let next = disturbed.machine.applied().position.index as usize;
            match step {
                Step::Apply if next == log.len() => {}
                Step::Apply => {
                    let outcome = disturbed.apply_next(&log);
                    prop_assert_eq!(&format!("{outcome:?}"), &expected[next], "entry {}", next + 1);
                }
                Step::Commit => disturbed.commit(),
                Step::Scrub(limit) => drop(disturbed.scrub(limit)),
                Step::Crash => disturbed.crash(),
            }
        }
        prop_assert_eq!(disturbed.machine.applied(), undisturbed.machine.applied());
        prop_assert_eq!(disturbed.machine.alarms(), undisturbed.machine.alarms());
        prop_assert_eq!(disturbed.leases(), undisturbed.leases());
        let members = [&disturbed, &undisturbed].map(|member| format!("{:?}", member.machine.membership()));
        prop_assert_eq!(&members[0], &members[1]);
        let expected = undisturbed.settle();
        prop_assert_eq!(&disturbed.settle(), &expected);
        disturbed.crash();
        prop_assert_eq!(&disturbed.settle(), &expected, "what is committed outlives the process");
        prop_assert_eq!(disturbed.leases(), undisturbed.leases(), "the keys tell their leases");
    }
}

/// Each alarm rejects its kind of requests and nothing else.
#[test]
fn each_alarm_rejects_its_kind_of_requests() {
    fn check(alarm: AlarmType, request: Request, expected: &str) {
        let mut member = Member::open(Backend::in_memory());
        let raise = AlarmRequest { action: 1, member_id: MEMBER.0, alarm: alarm.into() };
        let mut index = 0;
        let mut apply = |request: Request| {
            index += 1;
            let command = Command { id: index, username: String::new(), auth_revision: 0, request }.encode();
            member
                .machine
                .apply(LogPosition::new(index, 1), command, &mut member.batch)
                .expect("a readable entry")
                .result
        };
        apply(Request::LeaseGrant(LeaseGrantRequest { id: 1, ttl: 60 })).expect("a free id");
        apply(Request::Alarm(raise)).expect("alarms can be raised");
        let outcome = match apply(request.clone()) {
            Ok(_) => "done",
            Err(ApplyError::NoSpace) => "no space",
            Err(ApplyError::Corrupt) => "corrupt",
            Err(other) => panic!("{other}"),
        };
        assert_eq!(outcome, expected, "{request:?} under {alarm:?}");
    }
    let put = || PutRequest { key: "a".into(), ..PutRequest::default() };
    let delete = || DeleteRangeRequest { key: "a".into(), ..DeleteRangeRequest::default() };
    let txn = |op| TxnRequest { success: vec![RequestOp { request: Some(op) }], ..TxnRequest::default() };
    let version = || ClusterVersionSetRequest { ver: "3.7.0".to_owned() };
    for (alarm, rejected) in [(AlarmType::Nospace, "no space"), (AlarmType::Corrupt, "corrupt")] {
        let growing_only = if alarm == AlarmType::Corrupt { rejected } else { "done" };
        check(alarm, Request::Put(put()), rejected);
        check(alarm, Request::Txn(txn(Op::RequestPut(put()))), rejected);
        check(alarm, Request::Txn(txn(Op::RequestDeleteRange(delete()))), growing_only);
        check(alarm, Request::DeleteRange(delete()), growing_only);
        check(alarm, Request::Compaction(CompactionRequest { revision: 1, physical: false }), growing_only);
        check(alarm, Request::LeaseGrant(LeaseGrantRequest { id: 2, ttl: 60 }), rejected);
        check(alarm, Request::LeaseRevoke(LeaseRevokeRequest { id: 1 }), growing_only);
        check(alarm, Request::LeaseCheckpoint(LeaseCheckpointRequest::default()), "done");
        check(alarm, Request::Alarm(AlarmRequest::default()), "done");
        check(alarm, Request::ClusterVersionSet(version()), "done");
        check(alarm, Request::DowngradeInfoSet(DowngradeInfoSetRequest::default()), "done");
    }
}
