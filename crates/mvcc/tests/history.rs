//! The history in its own order, compared with the changes that the transactions returned.

use std::thread;

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_mvcc::{Change, ChangeKind, Config, History, HistoryLimit, ReadError, Reader, Scrub, Store};
use proptest::prelude::*;
use proptest::sample::Index;

const CONFIG: Config = Config { cache_bytes: 1 << 12 };

const NO_LIMIT: HistoryLimit = HistoryLimit { until: i64::MAX, changes: usize::MAX, bytes: usize::MAX };

#[derive(Clone, Debug)]
enum Op {
    Txn(Vec<Write>),
    /// Commits what the store has produced so far.
    Commit,
    /// Releases up to somewhere in what was committed.
    Release(Index),
    /// The process ends; what wasn't committed is lost.
    Crash,
    Compact(Index),
    Scrub(usize),
    Read {
        from: Index,
        until: Option<Index>,
        changes: usize,
        bytes: usize,
    },
    Previous(Index),
}

#[derive(Clone, Debug)]
enum Write {
    Put(Bytes, Bytes, i64),
    Delete(KeyRange),
}

fn key() -> impl Strategy<Value = Bytes> {
    "[a-d]".prop_map(Bytes::from)
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        4 => (key(), "[x-z]{0,9}", 0..3i64)
            .prop_map(|(key, value, lease)| Write::Put(key, value.into(), lease)),
        1 => key().prop_map(|key| Write::Delete(KeyRange::Key(key))),
        1 => key().prop_map(|key| Write::Delete(KeyRange::From(key))),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => prop::collection::vec(write(), 0..4).prop_map(Op::Txn),
        3 => Just(Op::Commit),
        3 => any::<Index>().prop_map(Op::Release),
        1 => Just(Op::Crash),
        1 => any::<Index>().prop_map(Op::Compact),
        3 => (1..5usize).prop_map(Op::Scrub),
        6 => (any::<Index>(), any::<Option<Index>>(), 0..6usize, 0..60usize)
            .prop_map(|(from, until, changes, bytes)| Op::Read { from, until, changes, bytes }),
        4 => any::<Index>().prop_map(Op::Previous),
    ]
}

/// The expected result.
#[derive(Clone)]
struct Model {
    changes: Vec<Change>,
    current: i64,
    compacted: i64,
}

impl Model {
    fn previous_row(&self, change: &Change) -> Option<&Bytes> {
        let before = change.revision.main - 1;
        let mut same_key = self.changes.iter().filter(|other| other.key == change.key);
        let newest = same_key.rfind(|other| other.revision.main <= before)?;
        (before >= self.compacted && newest.kind == ChangeKind::Put).then_some(&newest.row)
    }

    /// Whether a later change of the same transaction replaced this one, which is then not needed to read
    /// at its revision.
    fn is_replaced(&self, change: &Change) -> bool {
        let (key, revision) = (&change.key, change.revision);
        self.changes.iter().any(|other| {
            other.key == key && other.revision.main == revision.main && other.revision.sub > revision.sub
        })
    }
}

struct Run {
    backend: Backend,
    store: Store,
    batch: Batch,
    model: Model,
    /// The model as of the last commit.
    committed: Model,
    released: i64,
}

impl Run {
    fn new() -> Self {
        let backend = Backend::in_memory();
        let store = Store::open(backend.clone(), &CONFIG).unwrap();
        let model = Model { changes: Vec::new(), current: 1, compacted: -1 };
        Self { backend, store, batch: Batch::default(), committed: model.clone(), model, released: 1 }
    }

    fn execute(&mut self, op: &Op) {
        match op {
            Op::Txn(writes) => self.write(writes),
            Op::Commit => self.commit(),
            Op::Release(index) => {
                let main = index.index(self.committed.current as usize + 1) as i64;
                self.store.release(main);
                self.released = self.released.max(main);
            }
            Op::Crash => {
                self.batch = Batch::default();
                self.store = Store::open(self.backend.clone(), &CONFIG).unwrap();
                self.model = self.committed.clone();
                self.released = self.model.current;
            }
            Op::Compact(index) => {
                let revision = index.index(self.model.current as usize + 1) as i64;
                if self.store.compact(revision, &mut self.batch).is_ok() {
                    self.model.compacted = revision;
                }
            }
            Op::Scrub(limit) => _ = self.store.scrub(*limit, &mut self.batch).unwrap(),
            Op::Read { from, until, changes, bytes } => {
                let revision = |index: &Index| index.index(self.model.current as usize + 4) as i64 - 1;
                let until = until.as_ref().map_or(i64::MAX, revision);
                self.check_read(revision(from), &HistoryLimit { until, changes: *changes, bytes: *bytes });
            }
            Op::Previous(index) if !self.model.changes.is_empty() => {
                self.check_previous(index.get(&self.model.changes));
            }
            Op::Previous(_) => {}
        }
    }

    fn write(&mut self, writes: &[Write]) {
        let mut txn = self.store.write(&mut self.batch);
        for write in writes {
            match write {
                Write::Put(key, value, lease) => _ = txn.put(key.clone(), value.clone(), LeaseId(*lease)),
                Write::Delete(range) => _ = txn.delete_range(range),
            }
        }
        let committed = txn.commit();
        self.model.current = committed.revision;
        self.model.changes.extend(committed.changes);
    }

    fn commit(&mut self) {
        self.backend.commit(&std::mem::take(&mut self.batch)).unwrap();
        self.committed = self.model.clone();
    }

    fn check_read(&self, from: i64, limit: &HistoryLimit) {
        let reader = self.store.reader();
        let recent = reader.recent_history(from, limit);
        assert_eq!(recent.is_some(), from > self.released, "in memory is what comes after {}", self.released);
        if let Some(recent) = recent {
            self.check_stretch(&recent, from, limit);
        }
        match reader.history(from, limit) {
            Err(ReadError::Compacted { requested, compacted }) => {
                assert_eq!((requested, compacted), (from, self.model.compacted));
                assert!(from < compacted);
            }
            result => {
                assert!(from >= self.model.compacted);
                self.check_stretch(&result.unwrap(), from, limit);
            }
        }
    }

    fn check_stretch(&self, found: &History, from: i64, limit: &HistoryLimit) {
        let History { changes, last } = found;
        let end = limit.until.min(self.model.current).max(from - 1);
        assert!((from.min(end)..=end).contains(last), "at least one revision, and none behind {end}: {last}");
        self.check_changes(changes, from, *last);
        let is_full = |changes: &[Change]| {
            let bytes: usize = changes.iter().map(|change| change.row.len()).sum();
            !changes.is_empty() && (changes.len() >= limit.changes || bytes >= limit.bytes)
        };
        let n_before_last = changes.partition_point(|change| change.revision.main < *last);
        assert!(!is_full(&changes[..n_before_last]), "{last} was begun behind the limit");
        assert!(
            *last == end || *last == self.released || is_full(changes),
            "stopped at {last} for no reason"
        );
    }

    fn check_changes(&self, found: &[Change], from: i64, last: i64) {
        let may_be_gone =
            |change: &Change| change.revision.main == self.model.compacted && self.model.is_replaced(change);
        let mut found = found.iter().peekable();
        let expected = self.model.changes.iter();
        for change in expected.filter(|change| (from..=last).contains(&change.revision.main)) {
            if found.next_if_eq(&change).is_none() {
                assert!(may_be_gone(change), "instead of {change:?} there is {:?}", found.peek());
            }
        }
        assert_eq!(found.next(), None);
    }

    fn check_previous(&self, change: &Change) {
        let found = self.store.reader().previous_row(change).unwrap();
        assert_eq!(found.as_ref(), self.model.previous_row(change), "before {change:?}");
    }

    /// Follows the history from its start to its end.
    fn check_all(&self) {
        let reader = self.store.reader();
        for step in [1, 3, usize::MAX] {
            let start = self.model.compacted;
            let mut found = Vec::new();
            let mut next = start;
            while next <= self.model.current {
                let stretch = reader.history(next, &HistoryLimit { changes: step, ..NO_LIMIT }).unwrap();
                assert!(stretch.last >= next);
                next = stretch.last + 1;
                found.extend(stretch.changes);
            }
            self.check_changes(&found, start, self.model.current);
        }
        for change in &self.model.changes {
            self.check_previous(change);
        }
    }

    fn finish(mut self) {
        self.check_all();
        loop {
            self.commit();
            self.store.release(self.model.current);
            self.released = self.model.current;
            self.check_all();
            if self.store.scrub(3, &mut self.batch).unwrap() == Scrub::Idle {
                break;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_history_is_what_the_transactions_did(ops in prop::collection::vec(op(), 1..60)) {
        let mut run = Run::new();
        for op in &ops {
            run.execute(op);
        }
        run.finish();
    }
}

#[test]
fn the_order_of_what_is_read_does_not_depend_on_where_it_is() {
    let mut run = Run::new();
    for value in ["1", "2", "3", "4"] {
        run.write(&["a", "b"].map(|key| Write::Put(key.into(), value.into(), 0)));
    }
    let in_memory = run.store.reader().history(2, &NO_LIMIT).unwrap();
    run.commit();
    run.store.release(3);
    let reader = run.store.reader();
    let border = reader.history(2, &NO_LIMIT).unwrap();
    assert_eq!((border.changes.len(), border.last), (4, 3), "the stretch ends with what the backend has");
    run.store.release(5);
    assert_eq!(reader.history(2, &NO_LIMIT).unwrap(), in_memory);
    assert_eq!(reader.recent_history(5, &NO_LIMIT), None);
    let nothing = History { changes: Vec::new(), last: 5 };
    assert_eq!(reader.recent_history(6, &NO_LIMIT), Some(nothing));
}

const ROUNDS: i64 = 3_000;

/// Each round writes the key `round` with its number as the value, every third one three other keys beside.
fn write_round(store: &mut Store, batch: &mut Batch, round: i64) {
    let mut txn = store.write(batch);
    txn.put("round".into(), round.to_string().into(), LeaseId::NONE);
    for other in 0..(round % 3 / 2) * 3 {
        txn.put(format!("other/{}", (round + other) % 17).into(), "value".into(), LeaseId::NONE);
    }
    txn.commit();
}

/// Sees to it that `stretch` has exactly what was written from revision `next` on. Round 0 has revision 2.
fn check_rounds(reader: &Reader, stretch: &History, next: i64) {
    let mut changes = stretch.changes.iter();
    for main in next..=stretch.last {
        let round = main - 2;
        for sub in 0..=(round % 3 / 2) * 3 {
            let change = changes.next().expect("no change is missing");
            assert_eq!((change.revision.main, change.revision.sub), (main, sub));
        }
    }
    assert_eq!(changes.next(), None);
    let first = stretch.changes.iter().find(|change| change.key == "round");
    if let Some(change) = first.filter(|change| change.revision.main > 2) {
        match reader.previous_row(change).unwrap() {
            Some(row) => {
                let previous: ferretcd_api_proto::mvccpb::KeyValue = prost::Message::decode(row).unwrap();
                assert_eq!(previous.value, (change.revision.main - 3).to_string());
            }
            None => assert!(reader.compacted() >= change.revision.main, "{change:?} has a previous row"),
        }
    }
}

/// Follows the history until the last round; a compaction on the way is jumped over.
fn follow(reader: &Reader, limit: &HistoryLimit) {
    let mut next = 2;
    while next < ROUNDS + 2 {
        let stretch = match reader.recent_history(next, limit) {
            Some(stretch) => Ok(stretch),
            None => reader.history(next, limit),
        };
        match stretch {
            Ok(stretch) => {
                assert!(stretch.last >= next - 1);
                check_rounds(reader, &stretch, next);
                next = stretch.last + 1;
            }
            Err(ReadError::Compacted { requested, compacted }) => {
                assert!(requested == next && compacted > next);
                next = compacted;
            }
            Err(error) => panic!("failed to {error}"),
        }
        thread::yield_now();
    }
    assert_eq!(next, ROUNDS + 2);
}

fn check_followers(compact_every: Option<i64>) {
    let backend = Backend::in_memory();
    let mut store = Store::open(backend.clone(), &CONFIG).unwrap();
    let mut batch = Batch::default();
    thread::scope(|scope| {
        for changes in [1, 7, 1_000] {
            let reader = store.reader();
            scope.spawn(move || follow(&reader, &HistoryLimit { changes, ..NO_LIMIT }));
        }
        for round in 0..ROUNDS {
            write_round(&mut store, &mut batch, round);
            if round % 7 == 0 {
                backend.commit(&std::mem::take(&mut batch)).unwrap();
                store.release(store.revision() - round % 2);
            }
            if compact_every.is_some_and(|every| round % every == every - 1) {
                store.compact(store.revision() - 20, &mut batch).unwrap();
            }
            store.scrub(100, &mut batch).unwrap();
        }
    });
}

#[test]
fn followers_see_everything_once_and_in_order_while_it_is_written() {
    check_followers(None);
}

#[test]
fn followers_see_compactions_and_miss_nothing_else() {
    check_followers(Some(60));
}
