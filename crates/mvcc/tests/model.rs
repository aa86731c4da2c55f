//! Random histories, compared with a model that keeps everything and computes every result from scratch.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::{KeyRange, LeaseId, Revision};
use ferretcd_mvcc::{ChangeKind, Config, KvHash, RangeOptions, ReadError, ReadView, Scrub, Store};
use proptest::prelude::*;
use proptest::sample::Index;

/// Small enough that rows leave the cache all the time.
const CONFIG: Config = Config { cache_bytes: 1 << 12 };

#[derive(Clone, Debug)]
enum Op {
    Txn(Vec<Write>),
    /// Commits what the store has produced so far and releases it.
    Commit,
    /// The process ends; what wasn't committed is lost.
    Crash,
    Compact(Index),
    Scrub(usize),
    /// Takes a view that is read from at the end.
    Hold,
    Read {
        range: KeyRange,
        at: Option<Index>,
        limit: usize,
    },
    Hash(Index),
}

#[derive(Clone, Debug)]
enum Write {
    Put(Bytes, Bytes, i64),
    Delete(KeyRange),
}

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof!["[a-d]", "[ab]{2}"].prop_map(Bytes::from)
}

fn range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        3 => key().prop_map(KeyRange::Key),
        2 => (key(), key()).prop_map(|(start, end)| KeyRange::Interval(start, end)),
        1 => key().prop_map(KeyRange::From),
        1 => Just(KeyRange::all()),
    ]
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        3 => (key(), "[x-z]{0,3}", 0..3i64).prop_map(|(key, value, lease)| Write::Put(key, value.into(), lease)),
        1 => range().prop_map(Write::Delete),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => prop::collection::vec(write(), 0..4).prop_map(Op::Txn),
        4 => Just(Op::Commit),
        1 => Just(Op::Crash),
        1 => any::<Index>().prop_map(Op::Compact),
        4 => (1..5usize).prop_map(Op::Scrub),
        1 => Just(Op::Hold),
        3 => (range(), any::<Option<Index>>(), 0..4usize)
            .prop_map(|(range, at, limit)| Op::Read { range, at, limit }),
        1 => any::<Index>().prop_map(Op::Hash),
    ]
}

/// One change, with the row etcd would store for it.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    revision: Revision,
    key: Bytes,
    /// Create revision and version of a put.
    put: Option<(i64, i64)>,
    row: Bytes,
}

impl Entry {
    fn row_key(&self) -> Vec<u8> {
        let mut key = self.revision.to_bytes().to_vec();
        key.extend(self.put.is_none().then_some(b't'));
        key
    }
}

/// An accepted compaction: its revision, the one before, and whether it leaves a hash.
type Compaction = (i64, i64, bool);

#[derive(Clone)]
struct Model {
    /// Every change there ever was.
    history: Vec<Entry>,
    /// Those whose rows are still stored.
    stored: Vec<Entry>,
    current: i64,
    compacted: i64,
    finished: i64,
    running: VecDeque<Compaction>,
    hashes: Vec<KvHash>,
}

impl Model {
    fn new() -> Self {
        Self {
            history: Vec::new(),
            stored: Vec::new(),
            current: 1,
            compacted: -1,
            finished: -1,
            running: VecDeque::new(),
            hashes: Vec::new(),
        }
    }

    /// The newest change of each key up to `main`.
    fn newest(&self, main: i64) -> BTreeMap<&Bytes, &Entry> {
        self.history
            .iter()
            .filter(|entry| entry.revision.main <= main)
            .map(|entry| (&entry.key, entry))
            .collect()
    }

    fn live(&self, main: i64) -> BTreeMap<&Bytes, &Entry> {
        self.newest(main).into_iter().filter(|(_, entry)| entry.put.is_some()).collect()
    }

    fn push(&mut self, key: Bytes, put: Option<(i64, i64)>, row: Bytes, sub: usize) {
        let entry = Entry { revision: Revision::new(self.current + 1, sub as i64), key, put, row };
        self.history.push(entry.clone());
        self.stored.push(entry);
    }

    /// Returns the changes made.
    fn write(&mut self, writes: &[Write]) -> Vec<Entry> {
        let main = self.current + 1;
        let n_before = self.history.len();
        for write in writes {
            let sub = self.history.len() - n_before;
            match write {
                Write::Put(key, value, lease) => {
                    let old = self.live(main).get(key).and_then(|entry| entry.put);
                    let (create_revision, version) =
                        old.map_or((main, 1), |(create, version)| (create, version + 1));
                    let message = ferretcd_api_proto::mvccpb::KeyValue {
                        key: key.clone(),
                        create_revision,
                        mod_revision: main,
                        version,
                        value: value.clone(),
                        lease: *lease,
                    };
                    let row = prost::Message::encode_to_vec(&message).into();
                    self.push(key.clone(), Some((create_revision, version)), row, sub);
                }
                Write::Delete(range) => {
                    let keys: Vec<Bytes> =
                        self.live(main).into_keys().filter(|key| range.contains(key)).cloned().collect();
                    for (sub, key) in (sub..).zip(keys) {
                        let message =
                            ferretcd_api_proto::mvccpb::KeyValue { key: key.clone(), ..Default::default() };
                        self.push(key, None, prost::Message::encode_to_vec(&message).into(), sub);
                    }
                }
            }
        }
        if self.history.len() > n_before {
            self.current = main;
        }
        self.history[n_before..].to_vec()
    }

    /// The hash of the stored rows at `at` with compacted revision `compacted`, by the letter of its
    /// definition.
    fn hash(&self, at: i64, compacted: i64) -> KvHash {
        let live = self.live(at);
        let keep: Vec<Revision> = live.values().map(|entry| entry.revision).collect();
        let counts = |entry: &&Entry| {
            let main = entry.revision.main;
            let dropped = main <= compacted && !keep.is_empty() && !keep.contains(&entry.revision);
            main <= at && !dropped && !(main == compacted && entry.put.is_none())
        };
        let hash = self.stored.iter().filter(counts).fold(crc32c::crc32c(b"key"), |sum, entry| {
            crc32c::crc32c_append(crc32c::crc32c_append(sum, &entry.row_key()), &entry.row)
        });
        KvHash { hash, compact_revision: compacted, hash_revision: at, current_revision: self.current }
    }

    /// The front compaction is complete: its rows go. Returns its revision and hash.
    fn finish(&mut self) -> (i64, Option<KvHash>) {
        let (revision, previous, leaves_hash) = self.running.pop_front().unwrap();
        let mut hash = self.hash(revision, previous);
        let newest = self.newest(revision);
        let tombstone_kept =
            newest.values().any(|entry| entry.put.is_none() && entry.revision.main == revision);
        if self.live(revision).is_empty() && tombstone_kept {
            // Tombstones of the compacted revision count as kept, which matters when nothing else is.
            let above = |entry: &&Entry| (previous + 1..=revision).contains(&entry.revision.main);
            hash.hash = self.stored.iter().filter(above).fold(crc32c::crc32c(b"key"), |sum, entry| {
                crc32c::crc32c_append(crc32c::crc32c_append(sum, &entry.row_key()), &entry.row)
            });
        }
        let keep: Vec<Revision> = newest
            .values()
            .filter(|entry| entry.put.is_some() || entry.revision.main == revision)
            .map(|entry| entry.revision)
            .collect();
        self.stored.retain(|entry| entry.revision.main > revision || keep.contains(&entry.revision));
        self.finished = revision;
        let hash = leaves_hash.then_some(hash);
        self.hashes.extend(hash);
        (revision, hash)
    }

    /// The committed state after a restart.
    fn restart(&mut self) {
        self.running.clear();
        if self.compacted > self.finished {
            self.running.push_back((self.compacted, self.finished, false));
        }
        self.hashes.clear();
    }
}

struct Run {
    backend: Backend,
    store: Store,
    batch: Batch,
    model: Model,
    /// The model as of the last commit.
    committed: Model,
    held: Vec<ReadView>,
}

impl Run {
    fn new() -> Self {
        let backend = Backend::in_memory();
        let store = Store::open(backend.clone(), &CONFIG).unwrap();
        let (model, committed) = (Model::new(), Model::new());
        Self { backend, store, batch: Batch::default(), model, committed, held: Vec::new() }
    }

    fn execute(&mut self, op: &Op) {
        match op {
            Op::Txn(writes) => self.write(writes),
            Op::Commit => self.commit(),
            Op::Crash => {
                self.held.clear();
                self.batch = Batch::default();
                self.store = Store::open(self.backend.clone(), &CONFIG).unwrap();
                self.committed.restart();
                self.model = self.committed.clone();
                self.check_all();
            }
            Op::Compact(index) => {
                let (revision, previous) =
                    (index.index(self.model.current as usize + 1) as i64, self.model.compacted);
                let accepted = self.store.compact(revision, &mut self.batch).is_ok();
                assert_eq!(accepted, revision > previous);
                if accepted {
                    let leaves_hash = self.model.running.is_empty();
                    self.model.running.push_back((revision, previous, leaves_hash));
                    self.model.compacted = revision;
                }
            }
            Op::Scrub(limit) => _ = self.scrub(*limit),
            Op::Hold => self.held.push(self.store.reader().view()),
            Op::Read { range, at, limit } => {
                let at = at.map(|index| index.index(self.model.current as usize + 2) as i64);
                self.check_read(&self.store.reader().view(), range, at, *limit);
            }
            Op::Hash(index) => {
                self.commit();
                self.check_hash(index.index(self.model.current as usize) as i64 + 1);
            }
        }
        assert_eq!(self.store.revision(), self.model.current);
        assert_eq!(self.store.compacted(), self.model.compacted);
        assert_eq!(self.store.reader().key_count(), self.model.live(i64::MAX).len());
    }

    fn write(&mut self, writes: &[Write]) {
        let before = self.store.reader().view();
        let mut txn = self.store.write(&mut self.batch);
        let mut seen = self.model.clone();
        for (n, write) in writes.iter().enumerate() {
            match write {
                Write::Put(key, value, lease) => _ = txn.put(key.clone(), value.clone(), LeaseId(*lease)),
                Write::Delete(range) => _ = txn.delete_range(range),
            }
            // Only the transaction itself sees the change.
            let unseen = before.range(&KeyRange::all(), &RangeOptions::default());
            if self.model.current >= self.model.compacted {
                assert_eq!(unseen.unwrap().count, self.model.live(self.model.current).len());
            }
            seen.clone_from(&self.model);
            seen.write(&writes[..=n]);
            assert_eq!(txn.revision(), seen.current);
            let own = txn.snapshot().range(&KeyRange::all(), &RangeOptions::default()).unwrap();
            let expected = seen.live(seen.current);
            assert!(own.rows.iter().map(|row| &row.encoded).eq(expected.values().map(|entry| &entry.row)));
        }
        let committed = txn.commit();
        let expected = self.model.write(writes);
        assert_eq!(committed.revision, self.model.current);
        assert_eq!(committed.changes.len(), expected.len());
        for (change, entry) in committed.changes.iter().zip(&expected) {
            assert_eq!((change.revision, &change.key, &change.row), (entry.revision, &entry.key, &entry.row));
            assert_eq!(change.kind == ChangeKind::Put, entry.put.is_some());
        }
    }

    fn commit(&mut self) {
        self.backend.commit(&std::mem::take(&mut self.batch)).unwrap();
        self.committed = self.model.clone();
        self.store.release(self.store.revision());
        assert_eq!(self.store.buffered_bytes(), 0);
    }

    fn scrub(&mut self, limit: usize) -> Scrub {
        let scrub = self.store.scrub(limit, &mut self.batch).unwrap();
        match scrub {
            Scrub::Idle => assert!(self.model.running.is_empty()),
            Scrub::Waiting => assert!(!self.batch.is_empty()),
            Scrub::Progress { removed } => assert!(removed <= limit),
            Scrub::Finished { revision, hash, .. } => {
                assert_eq!((revision, hash), self.model.finish());
            }
        }
        scrub
    }

    fn check_read(&self, view: &ReadView, range: &KeyRange, at: Option<i64>, limit: usize) {
        let options = RangeOptions { at, limit, ..RangeOptions::default() };
        let result = view.range(range, &options);
        let at = at.unwrap_or(view.revision());
        if at > view.revision() {
            return assert!(matches!(result, Err(ReadError::Future { requested, .. }) if requested == at));
        }
        if at < self.model.compacted {
            return assert!(matches!(result, Err(ReadError::Compacted { requested, .. }) if requested == at));
        }
        let result = result.unwrap();
        let live = self.model.live(at);
        let expected: Vec<_> = live.values().filter(|entry| range.contains(&entry.key)).collect();
        let shown = if limit == 0 { expected.len() } else { expected.len().min(limit) };
        assert_eq!((result.count, result.rows.len()), (expected.len(), shown));
        let keys_only =
            view.range(range, &RangeOptions { keys_only: true, skip_count: true, ..options }).unwrap();
        assert_eq!((keys_only.count, keys_only.rows.len()), (shown, shown));
        for ((row, key_row), entry) in result.rows.iter().zip(&keys_only.rows).zip(&expected) {
            assert_eq!(row.encoded, entry.row);
            assert_eq!(Some((row.create_revision, row.version)), entry.put);
            assert_eq!(row.mod_revision, entry.revision.main);
            let mut message = row.key_value().unwrap();
            assert_eq!((message.mod_revision, message.version), (row.mod_revision, row.version));
            (message.value, message.lease) = Default::default();
            assert_eq!(key_row.key_value().unwrap(), message);
        }
        let count = view.range(range, &RangeOptions { count_only: true, ..options }).unwrap();
        assert_eq!((count.count, count.rows.len()), (expected.len(), 0));
    }

    fn check_hash(&self, at: i64) {
        let result = self.store.reader().hash_kv(at);
        let remembered = self.model.hashes.iter().rev().take(10).find(|hash| hash.hash_revision == at);
        if let Some(&hash) = remembered {
            return assert_eq!(result.unwrap(), KvHash { current_revision: self.model.current, ..hash });
        }
        if at < self.model.compacted {
            return assert!(matches!(result, Err(ReadError::Compacted { .. })));
        }
        // With no live key leftover rows count, and how many there are depends on the progress of the removal.
        if self.model.running.is_empty() || !self.model.live(at).is_empty() {
            assert_eq!(result.unwrap(), self.model.hash(at, self.model.compacted), "at {at}");
        }
    }

    fn check_all(&self) {
        let view = self.store.reader().view();
        for at in self.model.compacted.max(1)..=self.model.current {
            self.check_read(&view, &KeyRange::all(), Some(at), 0);
        }
    }

    fn finish(mut self) {
        self.check_all();
        for view in &self.held {
            self.check_read(view, &KeyRange::all(), None, 0);
        }
        self.commit();
        while self.scrub(3) != Scrub::Idle {
            self.commit();
        }
        self.check_all();
        for at in 1..=self.model.current {
            self.check_hash(at);
        }
        let view = self.backend.view();
        let rows = view.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded)).unwrap();
        let rows: Vec<_> = rows.map(Result::unwrap).map(|(key, row)| (key.to_vec(), row)).collect();
        let expected: Vec<_> =
            self.model.stored.iter().map(|entry| (entry.row_key(), entry.row.clone())).collect();
        assert_eq!(rows, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_behaves_as_the_model(ops in prop::collection::vec(op(), 1..60)) {
        let mut run = Run::new();
        for op in &ops {
            run.execute(op);
        }
        run.finish();
    }
}
