//! The replicated half.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::LeaseId;
use parking_lot::RwLock;
use prost::Message;

use crate::{GrantError, Lease, LeaseReader, OpenError};

/// The longest time to live, in seconds: some 285 years.
pub const TTL_MAX: i64 = 9_000_000_000;

/// Settings of the leases, the same on every member of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The shortest time to live, in seconds; requests for less get this.
    pub ttl_min: i64,
}

/// The leases of a cluster and the keys attached to them; the only writer.
#[derive(Debug)]
pub struct Leases {
    config: Config,
    shared: Arc<RwLock<State>>,
}

/// A key, shared by the two ways to find it.
type Key = Arc<[u8]>;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) leases: BTreeMap<LeaseId, Lease>,
    /// The lease of each key that has one.
    of_key: BTreeMap<Key, LeaseId>,
    /// The keys of each lease.
    keys: BTreeSet<(LeaseId, Key)>,
}

impl Leases {
    /// Reads the leases of a state file. Which keys are attached stands in the rows of the keys: their
    /// reader reports them with [`Leases::attach`].
    pub fn open(backend: &Backend, config: Config) -> Result<Self, OpenError> {
        let mut leases = BTreeMap::new();
        for row in backend.view().range(Bucket::Lease, (Bound::Unbounded, Bound::Unbounded))? {
            let (key, value) = row?;
            let (id, lease) = parse_row(&key, &value).ok_or_else(|| OpenError::Corrupt {
                row: key.iter().map(|byte| format!("{byte:02x}")).collect(),
            })?;
            leases.insert(id, lease);
        }
        let state = State { leases, ..State::default() };
        Ok(Self { config, shared: Arc::new(RwLock::new(state)) })
    }

    /// Reads the leases of another state file, with the settings of these; see [`Leases::open`].
    pub fn reopen(&self, backend: &Backend) -> Result<Self, OpenError> {
        Self::open(backend, self.config)
    }

    /// Goes on with the leases of `other`, under the readers that there are.
    pub fn restore(&mut self, other: Self) {
        let new = std::mem::take(&mut *other.shared.write());
        // The old leases may take long to drop, so that happens without the lock.
        let old = std::mem::replace(&mut *self.shared.write(), new);
        drop(old);
    }

    /// A handle for looking at the leases from any thread.
    pub fn reader(&self) -> LeaseReader {
        LeaseReader { shared: Arc::clone(&self.shared) }
    }

    /// Whether there is such a lease.
    pub fn contains(&self, id: LeaseId) -> bool {
        self.shared.read().leases.contains_key(&id)
    }

    /// Grants a lease and returns its time to live in seconds: at least the configured minimum, also for
    /// a negative request. Adds its row to `batch`.
    pub fn grant(&mut self, id: LeaseId, ttl: i64, batch: &mut Batch) -> Result<i64, GrantError> {
        if id.is_none() {
            return Err(GrantError::NoId);
        }
        if ttl > TTL_MAX {
            return Err(GrantError::TtlTooLarge(ttl));
        }
        let mut state = self.shared.write();
        if state.leases.contains_key(&id) {
            return Err(GrantError::Exists(id));
        }
        let lease = Lease { ttl: ttl.max(self.config.ttl_min), remaining: 0 };
        state.leases.insert(id, lease);
        store(id, lease, batch);
        Ok(lease.ttl)
    }

    /// The keys of a lease in byte order.
    pub fn keys(&self, id: LeaseId) -> Vec<Bytes> {
        self.shared.read().keys(id)
    }

    /// Shows the keys of a lease in byte order: those that [`Leases::revoke`] must be preceded by the deletion of.
    pub fn with_keys<T>(&self, id: LeaseId, visit: impl FnOnce(&mut dyn Iterator<Item = &[u8]>) -> T) -> T {
        visit(&mut self.shared.read().attached(id).map(|(_, key)| &key[..]))
    }

    /// Ends a lease. Adds the removal of its row to `batch`, which must also have the deletion of its keys.
    /// Returns whether there was one.
    pub fn revoke(&mut self, id: LeaseId, batch: &mut Batch) -> bool {
        let mut state = self.shared.write();
        state.detach_all(id);
        let existed = state.leases.remove(&id).is_some();
        if existed {
            batch.delete(Bucket::Lease, row_key(id));
        }
        existed
    }

    /// Remembers that so many seconds are left of a lease, or with 0 that it has its full time again. Adds
    /// its row to `batch`. Returns whether there is such a lease: it may have ended meanwhile.
    pub fn checkpoint(&mut self, id: LeaseId, remaining: i64, batch: &mut Batch) -> bool {
        let mut state = self.shared.write();
        let Some(lease) = state.leases.get_mut(&id) else { return false };
        lease.remaining = remaining;
        store(id, *lease, batch);
        true
    }

    /// Keys were put with these leases, or with [`LeaseId::NONE`], or deleted, which is [`LeaseId::NONE`]
    /// too: each belongs to that lease alone from now on. Costs next to nothing while no key has a lease.
    pub fn attach<'a>(&mut self, keys: impl IntoIterator<Item = (&'a [u8], LeaseId)>) {
        let mut state = self.shared.upgradable_read();
        for (key, id) in keys {
            let current = state.of_key.get(key).copied().unwrap_or(LeaseId::NONE);
            if current != id {
                state.with_upgraded(|state| state.attach(key, id));
            }
        }
    }
}

impl State {
    pub(crate) fn keys(&self, id: LeaseId) -> Vec<Bytes> {
        self.attached(id).map(|(_, key)| Bytes::copy_from_slice(key)).collect()
    }

    fn attached(&self, id: LeaseId) -> impl Iterator<Item = &(LeaseId, Key)> {
        self.keys.range(keys_of(id))
    }

    fn detach_all(&mut self, id: LeaseId) {
        for (_, key) in self.keys.extract_if(keys_of(id), |_| true) {
            self.of_key.remove(&key);
        }
    }

    fn attach(&mut self, key: &[u8], id: LeaseId) {
        self.detach(key);
        if !id.is_none() {
            let key = Key::from(key);
            self.of_key.insert(Arc::clone(&key), id);
            self.keys.insert((id, key));
        }
    }

    fn detach(&mut self, key: &[u8]) {
        if let Some((key, id)) = self.of_key.remove_entry(key) {
            self.keys.remove(&(id, key));
        }
    }
}

/// Where the keys of a lease stand.
fn keys_of(id: LeaseId) -> impl RangeBounds<(LeaseId, Key)> {
    // The empty key is before all others.
    let end = id.0.checked_add(1).map(|next| (LeaseId(next), Key::default()));
    (Bound::Included((id, Key::default())), end.map_or(Bound::Unbounded, Bound::Excluded))
}

/// Rows sort by id; etcd's ids are signed, their rows' keys not.
fn row_key(id: LeaseId) -> Bytes {
    Bytes::copy_from_slice(&id.0.to_be_bytes())
}

fn store(id: LeaseId, lease: Lease, batch: &mut Batch) {
    let row = ferretcd_api_proto::leasepb::Lease { id: id.0, ttl: lease.ttl, remaining_ttl: lease.remaining };
    batch.put(Bucket::Lease, row_key(id), Bytes::from(row.encode_to_vec()));
}

fn parse_row(key: &[u8], value: &[u8]) -> Option<(LeaseId, Lease)> {
    let id = i64::from_be_bytes(key.try_into().ok()?);
    let row = ferretcd_api_proto::leasepb::Lease::decode(value).ok()?;
    (row.id == id).then_some((LeaseId(id), Lease { ttl: row.ttl, remaining: row.remaining_ttl }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(backend: &Backend) -> Leases {
        Leases::open(backend, Config { ttl_min: 2 }).expect("own rows")
    }

    fn keys(leases: &Leases, id: i64) -> Vec<Bytes> {
        leases.keys(LeaseId(id))
    }

    #[test]
    fn a_grant_has_bounds() {
        let mut leases = open(&Backend::in_memory());
        let mut batch = Batch::default();
        let mut check = |id, ttl, expected| assert_eq!(leases.grant(LeaseId(id), ttl, &mut batch), expected);
        check(1, 10, Ok(10));
        check(1, 10, Err(GrantError::Exists(LeaseId(1))));
        check(2, 1, Ok(2));
        check(3, -5, Ok(2));
        check(4, TTL_MAX, Ok(TTL_MAX));
        check(5, TTL_MAX + 1, Err(GrantError::TtlTooLarge(TTL_MAX + 1)));
        check(0, 10, Err(GrantError::NoId));
        check(-6, 10, Ok(10));
    }

    #[test]
    fn the_row_has_etcds_bytes() {
        let backend = Backend::in_memory();
        let mut batch = Batch::default();
        open(&backend).grant(LeaseId(0x1234), 600, &mut batch).expect("a free id");
        backend.commit(&batch).expect("memory");
        let row = backend.view().get(Bucket::Lease, b"\0\0\0\0\0\0\x12\x34").expect("memory");
        assert_eq!(row.as_deref(), Some(&b"\x08\xb4\x24\x10\xd8\x04"[..]));
    }

    #[test]
    fn a_key_belongs_to_its_last_lease() {
        let mut leases = open(&Backend::in_memory());
        leases.attach([(&b"a"[..], LeaseId(1)), (b"b", LeaseId(1)), (b"a", LeaseId(2))]);
        assert_eq!((keys(&leases, 1), keys(&leases, 2)), (vec!["b".into()], vec!["a".into()]));
        leases.attach([(&b"a"[..], LeaseId::NONE), (b"never", LeaseId::NONE)]);
        assert!(keys(&leases, 2).is_empty());
    }

    #[test]
    fn stored_leases_are_found_again() {
        let backend = Backend::in_memory();
        let mut leases = open(&backend);
        let mut batch = Batch::default();
        for (id, ttl) in [(1, 10), (2, 20), (3, 30), (-4, 40)] {
            leases.grant(LeaseId(id), ttl, &mut batch).expect("a free id");
        }
        assert!(leases.checkpoint(LeaseId(2), 7, &mut batch));
        assert!(!leases.checkpoint(LeaseId(9), 7, &mut batch));
        assert!(leases.revoke(LeaseId(3), &mut batch));
        assert!(!leases.revoke(LeaseId(3), &mut batch));
        backend.commit(&batch).expect("memory");
        assert_eq!(open(&backend).reader().all(), leases.reader().all());
        assert_eq!(leases.reader().get(LeaseId(2)), Some(Lease { ttl: 20, remaining: 7 }));
    }

    #[test]
    fn readers_outlive_the_state() {
        let (mut leases, other) = (open(&Backend::in_memory()), Backend::in_memory());
        let reader = leases.reader();
        let mut batch = Batch::default();
        leases.grant(LeaseId(1), 10, &mut batch).expect("a free id");
        leases.attach([(&b"a"[..], LeaseId(1))]);
        let mut batch = Batch::default();
        open(&other).grant(LeaseId(2), 20, &mut batch).expect("a free id");
        other.commit(&batch).expect("memory");

        let mut reopened = leases.reopen(&other).expect("own rows");
        reopened.attach([(&b"b"[..], LeaseId(2))]);
        leases.restore(reopened);
        assert_eq!(reader.all(), [(LeaseId(2), Lease { ttl: 20, remaining: 0 })]);
        assert_eq!((reader.keys(LeaseId(1)), reader.keys(LeaseId(2))), (vec![], vec!["b".into()]));
        leases.attach([(&b"b"[..], LeaseId::NONE)]);
        assert!(reader.keys(LeaseId(2)).is_empty());
    }

    #[test]
    fn a_broken_row_is_named() {
        for (key, value) in
            [("short", ""), ("\0\0\0\0\0\0\0\x01", "\x08\x02"), ("\0\0\0\0\0\0\0\x01", "\x08")]
        {
            let backend = Backend::in_memory();
            let mut batch = Batch::default();
            batch.put(Bucket::Lease, key, value);
            backend.commit(&batch).expect("memory");
            let error = Leases::open(&backend, Config { ttl_min: 2 }).expect_err("broken").to_string();
            assert!(error.contains(&format!("{:02x}", key.as_bytes()[0])), "{error}");
        }
    }
}
