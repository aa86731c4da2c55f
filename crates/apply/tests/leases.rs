//! Leases and keys together, against a model of what each command does: its response, the changes that it makes with
//! their revisions, and which keys each lease has afterwards, also when the state file is opened again.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::request_op::Request as Operation;
use ferretcd_api_proto::etcdserverpb::{
    DeleteRangeRequest, LeaseCheckpoint, LeaseCheckpointRequest, LeaseGrantRequest, LeaseRevokeRequest,
    PutRequest, RequestOp, TxnRequest,
};
use ferretcd_apply::{ApplyError, Command, Config, GRANT_COST, Outcome, Request, Response, StateMachine};
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{LeaseId, LogPosition};
use ferretcd_lease::{GrantError, Lease, TTL_MAX};
use ferretcd_mvcc::{ChangeKind, HistoryLimit};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

const TTL_MIN: i64 = 2;
const CONFIG: Config = Config {
    mvcc: ferretcd_mvcc::Config { cache_bytes: 1 << 16 },
    lease: ferretcd_lease::Config { ttl_min: TTL_MIN },
};

type Key = &'static str;

/// The change of one key.
#[derive(Clone, Copy, Debug)]
enum Write {
    Put(LeaseId),
    /// Another value with the lease that the key has.
    KeepLease,
    Delete,
}

#[derive(Clone, Debug)]
enum Op {
    Write(Key, Write),
    /// Everything at one revision; the second half in a transaction inside the first.
    Txn(BTreeMap<Key, Write>, BTreeMap<Key, Write>),
    Grant(LeaseId, i64),
    Revoke(LeaseId),
    Checkpoint(Vec<(LeaseId, i64)>),
    Reopen,
}

fn key() -> impl Strategy<Value = Key> {
    prop::sample::select(&["a", "b", "c", "d", "e", "f"][..])
}

fn id() -> impl Strategy<Value = LeaseId> {
    (-1..4i64).prop_map(LeaseId)
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![5 => id().prop_map(Write::Put), 1 => Just(Write::KeepLease), 1 => Just(Write::Delete)]
}

fn op() -> impl Strategy<Value = Op> {
    let writes = || btree_map(key(), write(), 0..3);
    let ttl = prop_oneof![8 => -1..20i64, 1 => Just(TTL_MAX + 1)];
    prop_oneof![
        8 => (key(), write()).prop_map(|(key, write)| Op::Write(key, write)),
        6 => (writes(), writes()).prop_map(|(outer, mut inner)| {
            // No key is written twice.
            inner.retain(|key, _| !outer.contains_key(key));
            Op::Txn(outer, inner)
        }),
        6 => (id(), ttl).prop_map(|(id, ttl)| Op::Grant(id, ttl)),
        3 => id().prop_map(Op::Revoke),
        2 => vec((id(), 0..9i64), 0..3).prop_map(Op::Checkpoint),
        2 => Just(Op::Reopen),
    ]
}

/// A change: main revision, number within it, and what became of the key; `None` for a deletion.
type Change = (i64, i64, Key, Option<LeaseId>);

#[derive(Debug, PartialEq)]
enum Reply {
    Done,
    Granted(LeaseId, i64),
    Ended(LeaseId),
    Checkpointed(Vec<(LeaseId, i64)>),
    LeaseNotFound,
    KeyNotFound,
    NotGranted(GrantError),
}

#[derive(Clone, Default)]
struct Model {
    revision: i64,
    /// The lease of each key that there is.
    keys: BTreeMap<Key, LeaseId>,
    leases: BTreeMap<LeaseId, Lease>,
}

impl Model {
    /// The expected response and changes of the command.
    fn apply(&mut self, op: &Op) -> (Reply, Vec<Change>) {
        match op {
            Op::Write(key, write) => self.write(&[(*key, *write)]),
            Op::Txn(outer, inner) => {
                let writes: Vec<_> = outer.iter().chain(inner).map(|(key, write)| (*key, *write)).collect();
                self.write(&writes)
            }
            Op::Grant(id, ttl) => (self.grant(*id, *ttl), Vec::new()),
            Op::Revoke(id) if !self.leases.contains_key(id) => (Reply::LeaseNotFound, Vec::new()),
            Op::Revoke(id) => (Reply::Ended(*id), self.end(*id)),
            Op::Checkpoint(checkpoints) => {
                let mut taken = checkpoints.clone();
                taken.retain(|(id, _)| self.leases.contains_key(id));
                for (id, remaining) in &taken {
                    self.leases.entry(*id).and_modify(|lease| lease.remaining = *remaining);
                }
                (Reply::Checkpointed(taken), Vec::new())
            }
            Op::Reopen => (Reply::Done, Vec::new()),
        }
    }

    fn write(&mut self, writes: &[(Key, Write)]) -> (Reply, Vec<Change>) {
        for (key, write) in writes {
            match write {
                Write::Put(id) if !id.is_none() && !self.leases.contains_key(id) => {
                    return (Reply::LeaseNotFound, Vec::new());
                }
                Write::KeepLease if !self.keys.contains_key(key) => return (Reply::KeyNotFound, Vec::new()),
                _ => {}
            }
        }
        let mut changes = Vec::new();
        for (key, write) in writes {
            let lease = match write {
                Write::Put(id) => Some(*id),
                Write::KeepLease => Some(self.keys[key]),
                Write::Delete => None,
            };
            let before = match lease {
                Some(id) => self.keys.insert(key, id),
                None => self.keys.remove(key),
            };
            if lease.is_some() || before.is_some() {
                changes.push((self.revision + 1, changes.len() as i64, *key, lease));
            }
        }
        self.revision += i64::from(!changes.is_empty());
        (Reply::Done, changes)
    }

    fn grant(&mut self, id: LeaseId, ttl: i64) -> Reply {
        let reason = match () {
            () if id.is_none() => GrantError::NoId,
            () if ttl > TTL_MAX => GrantError::TtlTooLarge(ttl),
            () if self.leases.contains_key(&id) => GrantError::Exists(id),
            () => {
                let ttl = ttl.max(TTL_MIN);
                self.leases.insert(id, Lease { ttl, remaining: 0 });
                return Reply::Granted(id, ttl);
            }
        };
        Reply::NotGranted(reason)
    }

    fn end(&mut self, id: LeaseId) -> Vec<Change> {
        self.leases.remove(&id);
        let keys: Vec<_> = self.keys_of(id).into_iter().map(|key| (key, Write::Delete)).collect();
        self.write(&keys).1
    }

    fn keys_of(&self, id: LeaseId) -> Vec<Key> {
        self.keys.iter().filter(|(_, of)| **of == id).map(|(key, _)| *key).collect()
    }
}

fn request(op: &Op) -> Request {
    match op {
        Op::Write(key, write) => match operation(key, *write) {
            Operation::RequestPut(put) => Request::Put(put),
            Operation::RequestDeleteRange(delete) => Request::DeleteRange(delete),
            other => unreachable!("{other:?} is not a write of a key"),
        },
        Op::Txn(outer, inner) => {
            let inner = Operation::RequestTxn(txn(inner));
            let mut outer = txn(outer);
            outer.success.push(RequestOp { request: Some(inner) });
            Request::Txn(outer)
        }
        Op::Grant(id, ttl) => Request::LeaseGrant(LeaseGrantRequest { id: id.0, ttl: *ttl }),
        Op::Revoke(id) => Request::LeaseRevoke(LeaseRevokeRequest { id: id.0 }),
        Op::Checkpoint(checkpoints) => {
            let row =
                |(id, remaining): &(LeaseId, i64)| LeaseCheckpoint { id: id.0, remaining_ttl: *remaining };
            Request::LeaseCheckpoint(LeaseCheckpointRequest {
                checkpoints: checkpoints.iter().map(row).collect(),
            })
        }
        Op::Reopen => unreachable!("no command"),
    }
}

fn txn(writes: &BTreeMap<Key, Write>) -> TxnRequest {
    let ops = writes.iter().map(|(key, write)| RequestOp { request: Some(operation(key, *write)) });
    TxnRequest { success: ops.collect(), ..TxnRequest::default() }
}

fn operation(key: Key, write: Write) -> Operation {
    let key = Bytes::from(key);
    match write {
        Write::Put(id) => Operation::RequestPut(PutRequest { key, lease: id.0, ..PutRequest::default() }),
        Write::KeepLease => {
            Operation::RequestPut(PutRequest { key, ignore_lease: true, ..PutRequest::default() })
        }
        Write::Delete => {
            Operation::RequestDeleteRange(DeleteRangeRequest { key, ..DeleteRangeRequest::default() })
        }
    }
}

struct Run {
    backend: Backend,
    machine: StateMachine,
    batch: Batch,
    model: Model,
}

fn open(backend: &Backend, batch: &mut Batch) -> StateMachine {
    StateMachine::open(backend.clone(), &CONFIG, batch).expect("own rows")
}

impl Run {
    fn new() -> Self {
        let (backend, mut batch) = (Backend::in_memory(), Batch::default());
        let machine = open(&backend, &mut batch);
        Self { backend, machine, batch, model: Model { revision: 1, ..Model::default() } }
    }

    fn execute(&mut self, op: &Op) {
        if matches!(op, Op::Reopen) {
            return self.reopen();
        }
        let before = self.machine.revision();
        let (reply, changes) = self.model.apply(op);
        let outcome = self.apply(request(op));
        assert_eq!(outcome.revision, self.model.revision);
        let is_grant = matches!(op, Op::Grant(..));
        assert!(!is_grant || outcome.cost == GRANT_COST, "the quota counts grants");
        assert_eq!(found(outcome), reply);
        assert_eq!(self.changes_since(before), changes);
    }

    fn apply(&mut self, request: Request) -> Outcome {
        let index = self.machine.applied().position.index + 1;
        let command = Command { id: index, username: String::new(), auth_revision: 0, request };
        let position = LogPosition::new(index, 1);
        self.machine.apply(position, command.encode(), &mut self.batch).expect("a readable entry")
    }

    fn reopen(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        self.machine.applied().store(&mut batch);
        self.backend.commit(&batch).expect("memory");
        self.machine = open(&self.backend, &mut self.batch);
    }

    fn changes_since(&self, revision: i64) -> Vec<Change> {
        let limit = HistoryLimit { until: i64::MAX, changes: usize::MAX, bytes: usize::MAX };
        let history = self.machine.reader().history(revision + 1, &limit).expect("nothing is compacted");
        let change = |change: ferretcd_mvcc::Change| {
            let key = ["a", "b", "c", "d", "e", "f"].into_iter().find(|key| change.key == *key);
            let lease = (change.kind == ChangeKind::Put).then_some(change.lease);
            (change.revision.main, change.revision.sub, key.expect("no other keys"), lease)
        };
        history.changes.into_iter().map(change).collect()
    }

    fn check(&self) {
        let (reader, model) = (self.machine.lease_reader(), &self.model);
        assert!(
            reader.all().into_iter().eq(model.leases.clone()),
            "{:?}, not {:?}",
            reader.all(),
            model.leases
        );
        for id in (-1..4).map(LeaseId).filter(|id| !id.is_none()) {
            assert_eq!(reader.keys(id), model.keys_of(id), "the keys of {id}");
        }
    }
}

fn found(outcome: Outcome) -> Reply {
    match outcome.result {
        Ok(Response::Put(_) | Response::DeleteRange(_) | Response::Txn(_)) => Reply::Done,
        Ok(Response::LeaseGrant { id, ttl }) => Reply::Granted(id, ttl),
        Ok(Response::LeaseRevoked(id)) => Reply::Ended(id),
        Ok(Response::LeasesCheckpointed(checkpoints)) => Reply::Checkpointed(checkpoints),
        Err(ApplyError::LeaseNotFound) => Reply::LeaseNotFound,
        Err(ApplyError::KeyNotFound) => Reply::KeyNotFound,
        Err(ApplyError::Grant(reason)) => Reply::NotGranted(reason),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn leases_and_keys_follow_the_model(ops in vec(op(), 1..80)) {
        let mut run = Run::new();
        for op in ops {
            run.execute(&op);
            run.check();
        }
        run.reopen();
        run.check();
    }
}

/// The model of the end of leases, once in plain numbers.
#[test]
fn each_lease_ends_at_a_revision_of_its_own() {
    let mut run = Run::new();
    let [a, b, c] = [1, 2, 3].map(LeaseId);
    for id in [a, b, c] {
        run.execute(&Op::Grant(id, 60));
    }
    let writes = [("f", a), ("b", b), ("a", a), ("e", LeaseId::NONE), ("c", b), ("d", a)];
    for (key, id) in writes {
        run.execute(&Op::Write(key, Write::Put(id)));
    }
    // Put again without a lease, and taken over by another.
    run.execute(&Op::Write("c", Write::Put(LeaseId::NONE)));
    run.execute(&Op::Write("d", Write::Put(b)));
    assert_eq!(run.machine.revision(), 9);
    for (id, revision, reply) in [
        (b, 10, Reply::Ended(b)),
        (c, 10, Reply::Ended(c)),
        (LeaseId(99), 10, Reply::LeaseNotFound),
        (a, 11, Reply::Ended(a)),
        (b, 11, Reply::LeaseNotFound),
    ] {
        let outcome = run.apply(Request::LeaseRevoke(LeaseRevokeRequest { id: id.0 }));
        assert_eq!((outcome.revision, found(outcome)), (revision, reply));
    }
    let deleted = [(10, 0, "b", None), (10, 1, "d", None), (11, 0, "a", None), (11, 1, "f", None)];
    assert_eq!(run.changes_since(9), deleted);
    assert_eq!(run.machine.lease_reader().count(), 0);
}
