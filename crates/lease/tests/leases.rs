//! The replicated half against two maps: one of leases, one from keys to their lease.
//!
//! The process may end at any point; what was not committed is lost then, and the keys' rows show again which lease
//! each was put with, in the order of their history.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::LeaseId;
use ferretcd_lease::{Config, GrantError, Lease, Leases, TTL_MAX};
use proptest::collection::vec;
use proptest::prelude::*;

const TTL_MIN: i64 = 2;
const IDS: [LeaseId; 5] = [LeaseId(i64::MIN), LeaseId(-1), LeaseId(1), LeaseId(2), LeaseId(i64::MAX)];
const KEYS: [&str; 5] = ["", "\0", "a", "aa", "b"];

#[derive(Clone, Debug)]
enum Op {
    Grant(LeaseId, i64),
    Revoke(LeaseId),
    Checkpoint(LeaseId, i64),
    /// A transaction: keys that are put with a lease or none, or deleted.
    Write(Vec<(&'static str, LeaseId)>),
    Commit,
    Crash,
}

fn id() -> impl Strategy<Value = LeaseId> {
    prop_oneof![9 => prop::sample::select(&IDS[..]), 1 => Just(LeaseId::NONE)]
}

fn op() -> impl Strategy<Value = Op> {
    let ttl = prop_oneof![-3..100i64, TTL_MAX - 1..=TTL_MAX + 1, Just(i64::MAX), Just(i64::MIN)];
    let write = (prop::sample::select(&KEYS[..]), id());
    prop_oneof![
        4 => (id(), ttl).prop_map(|(id, ttl)| Op::Grant(id, ttl)),
        2 => id().prop_map(Op::Revoke),
        2 => (id(), 0..50i64).prop_map(|(id, left)| Op::Checkpoint(id, left)),
        8 => vec(write, 0..4).prop_map(Op::Write),
        2 => Just(Op::Commit),
        1 => Just(Op::Crash),
    ]
}

/// The expected state.
#[derive(Clone, Default)]
struct Model {
    leases: BTreeMap<LeaseId, Lease>,
    of_key: BTreeMap<&'static str, LeaseId>,
    /// Every change of a key so far.
    history: Vec<(&'static str, LeaseId)>,
}

impl Model {
    fn write(&mut self, key: &'static str, id: LeaseId) {
        self.history.push((key, id));
        self.of_key.insert(key, id);
    }

    fn keys(&self, id: LeaseId) -> Vec<&'static str> {
        self.of_key.iter().filter(|(_, of)| **of == id && !id.is_none()).map(|(key, _)| *key).collect()
    }

    fn granted(&self, id: LeaseId, ttl: i64) -> Result<i64, GrantError> {
        match ttl.max(TTL_MIN) {
            _ if id.is_none() => Err(GrantError::NoId),
            _ if ttl > TTL_MAX => Err(GrantError::TtlTooLarge(ttl)),
            _ if self.leases.contains_key(&id) => Err(GrantError::Exists(id)),
            ttl => Ok(ttl),
        }
    }
}

struct Run {
    backend: Backend,
    batch: Batch,
    leases: Leases,
    model: Model,
    committed: Model,
}

fn open(backend: &Backend) -> Leases {
    Leases::open(backend, Config { ttl_min: TTL_MIN }).expect("own rows")
}

impl Run {
    fn new() -> Self {
        let backend = Backend::in_memory();
        let leases = open(&backend);
        Self {
            backend,
            batch: Batch::default(),
            leases,
            model: Model::default(),
            committed: Model::default(),
        }
    }

    fn execute(&mut self, op: Op) {
        match op {
            Op::Grant(id, ttl) => self.grant(id, ttl),
            Op::Revoke(id) => self.revoke(id),
            Op::Checkpoint(id, remaining) => {
                let lease = self.model.leases.get_mut(&id);
                let exists = lease.is_some();
                lease.into_iter().for_each(|lease| lease.remaining = remaining);
                assert_eq!(self.leases.checkpoint(id, remaining, &mut self.batch), exists);
            }
            Op::Write(writes) => self.write(writes),
            Op::Commit => {
                self.backend.commit(&std::mem::take(&mut self.batch)).expect("memory");
                self.committed = self.model.clone();
            }
            Op::Crash => {
                self.batch = Batch::default();
                self.model = self.committed.clone();
                self.leases = open(&self.backend);
                let history = self.model.history.iter();
                self.leases.attach(history.map(|(key, id)| (key.as_bytes(), *id)));
            }
        }
    }

    fn grant(&mut self, id: LeaseId, ttl: i64) {
        let expected = self.model.granted(id, ttl);
        let rows = self.batch.len();
        assert_eq!(self.leases.grant(id, ttl, &mut self.batch), expected);
        match expected {
            Ok(ttl) => _ = self.model.leases.insert(id, Lease { ttl, remaining: 0 }),
            Err(_) => assert_eq!(self.batch.len(), rows, "rejected, and still something is written"),
        }
    }

    fn revoke(&mut self, id: LeaseId) {
        let keys = self.model.keys(id);
        keys.iter().for_each(|key| self.model.write(key, LeaseId::NONE));
        self.leases.attach(keys.iter().map(|key| (key.as_bytes(), LeaseId::NONE)));
        let existed = self.model.leases.remove(&id).is_some();
        assert_eq!(self.leases.revoke(id, &mut self.batch), existed);
    }

    /// No key is put with a lease that does not exist.
    fn write(&mut self, mut writes: Vec<(&'static str, LeaseId)>) {
        writes.retain(|(_, id)| id.is_none() || self.model.leases.contains_key(id));
        writes.iter().for_each(|(key, id)| self.model.write(key, *id));
        self.leases.attach(writes.iter().map(|(key, id)| (key.as_bytes(), *id)));
    }

    fn check(&self) {
        let (reader, model) = (self.leases.reader(), &self.model);
        let all: Vec<_> = model.leases.iter().map(|(id, lease)| (*id, *lease)).collect();
        assert_eq!((reader.count(), reader.all()), (all.len(), all));
        for id in IDS.into_iter().chain([LeaseId::NONE]) {
            let lease = model.leases.get(&id).copied();
            assert_eq!((reader.get(id), self.leases.contains(id)), (lease, lease.is_some()));
            let keys: Vec<Bytes> = model.keys(id).into_iter().map(Bytes::from).collect();
            assert_eq!((self.leases.keys(id), reader.keys(id)), (keys.clone(), keys));
        }
    }
}

proptest! {
    #[test]
    fn leases_follow_the_model(ops in vec(op(), 1..100)) {
        let mut run = Run::new();
        for op in ops {
            run.execute(op);
            run.check();
        }
    }
}
