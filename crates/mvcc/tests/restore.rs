//! Another state under the readers of a store.

use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_mvcc::{
    Config, HistoryLimit, OpenError, RangeOptions, ReadError, ReadView, Reader, Scrub, Store,
};

/// So small that most rows are read from the file.
const CONFIG: Config = Config { cache_bytes: 1 << 10 };
const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// A store with its file. Each transaction sets all keys to its revision.
struct Side {
    backend: Backend,
    store: Store,
    batch: Batch,
}

impl Side {
    fn open(backend: Backend) -> Self {
        Self { store: Store::open(backend.clone(), &CONFIG).unwrap(), backend, batch: Batch::default() }
    }

    /// Writes up to the revision `last`.
    fn write_to(&mut self, last: i64) {
        while self.store.revision() < last {
            let mut txn = self.store.write(&mut self.batch);
            let value = Bytes::from((txn.base_revision() + 1).to_string());
            for key in KEYS {
                txn.put(key.into(), value.clone(), LeaseId::NONE);
            }
            txn.commit();
        }
    }

    fn flush(&mut self) {
        self.backend.commit(&std::mem::take(&mut self.batch)).unwrap();
        self.store.release(self.store.revision());
    }

    fn compact(&mut self, revision: i64) {
        self.store.compact(revision, &mut self.batch).unwrap();
        self.flush();
        while self.store.scrub(100, &mut self.batch).unwrap() != Scrub::Idle {
            self.flush();
        }
    }

    /// Goes on with a copy of the rows that `other` has committed. What is not committed here never is.
    fn restore(&mut self, other: &Self) {
        let copy = Backend::in_memory();
        let mut batch = Batch::default();
        for bucket in Bucket::ALL {
            for row in other.backend.view().range(bucket, (Bound::Unbounded, Bound::Unbounded)).unwrap() {
                let (key, value) = row.unwrap();
                batch.put(bucket, key, value);
            }
        }
        copy.commit(&batch).unwrap();
        self.batch = Batch::default();
        self.backend.replace_by(&copy);
        self.store.restore(&self.backend).unwrap();
    }
}

/// The values of all keys at a revision, which must be those of that revision.
fn check_view(view: &ReadView, at: i64) -> Result<(), ReadError> {
    let found = view.range(&KeyRange::all(), &RangeOptions { at: Some(at), ..RangeOptions::default() })?;
    let values: Vec<_> = found.rows.iter().map(|row| row.key_value().unwrap().value).collect();
    let n_keys = if at < 2 { 0 } else { KEYS.len() };
    assert_eq!(values, vec![at.to_string(); n_keys], "at {at} of {}", view.revision());
    Ok(())
}

#[test]
fn a_view_keeps_its_state_in_memory_and_in_the_file() {
    let (mut here, mut elsewhere) = (Side::open(Backend::in_memory()), Side::open(Backend::in_memory()));
    let reader = here.store.reader();
    here.write_to(10);
    here.flush();
    // These rows are in memory only, and never get into a file.
    here.write_to(15);
    let view = reader.view();
    elsewhere.write_to(30);
    elsewhere.compact(25);
    here.restore(&elsewhere);

    for at in 1..=15 {
        check_view(&view, at).expect("nothing is compacted in this state");
    }
    assert_eq!((reader.revision(), reader.compacted(), reader.recent_from()), (30, 25, 31));
    let new = reader.view();
    for at in 1..=30 {
        let read = check_view(&new, at);
        assert_eq!(matches!(read, Err(ReadError::Compacted { compacted: 25, .. })), at < 25, "{read:?}");
    }
    assert_eq!(here.store.buffered_bytes(), 0);
    let hash = |side: &Side| side.store.reader().compute_hash_kv(0).unwrap();
    assert_eq!(hash(&here), hash(&elsewhere));

    here.write_to(31);
    check_view(&reader.view(), 31).unwrap();
    check_view(&view, 15).unwrap();
}

#[test]
fn an_interrupted_compaction_goes_on() {
    let (mut here, mut elsewhere) = (Side::open(Backend::in_memory()), Side::open(Backend::in_memory()));
    here.write_to(5);
    here.store.compact(4, &mut here.batch).unwrap();
    elsewhere.write_to(30);
    elsewhere.store.compact(20, &mut elsewhere.batch).unwrap();
    elsewhere.flush();
    assert_eq!(elsewhere.store.scrub(7, &mut elsewhere.batch).unwrap(), Scrub::Progress { removed: 7 });
    elsewhere.flush();

    here.restore(&elsewhere);
    let left = (2..20).len() * KEYS.len() - 7;
    let step = here.store.scrub(1_000, &mut here.batch).unwrap();
    assert_eq!(step, Scrub::Finished { revision: 20, removed: left, hash: None });
    here.flush();
    assert_eq!(here.store.scrub(1_000, &mut here.batch).unwrap(), Scrub::Idle, "its own is forgotten");
    check_view(&here.store.reader().view(), 20).unwrap();
}

#[test]
fn hashes_of_the_state_before_are_forgotten() {
    let (mut here, mut elsewhere) = (Side::open(Backend::in_memory()), Side::open(Backend::in_memory()));
    here.write_to(5);
    here.compact(4);
    assert_eq!(here.store.reader().hash_kv(4).unwrap().compact_revision, -1);
    elsewhere.write_to(9);
    elsewhere.compact(4);
    here.restore(&elsewhere);
    assert_eq!(here.store.reader().hash_kv(4).unwrap().compact_revision, 4);
}

#[test]
fn a_failed_restore_changes_nothing() {
    let mut here = Side::open(Backend::in_memory());
    here.write_to(5);
    let reader = here.store.reader();
    for (bucket, key) in [
        (Bucket::Key, &b"\x7f\xff\xff\xff\xff\xff\xff\xff_\0\0\0\0\0\0\0\0"[..]),
        (Bucket::Key, b"\xff\xff\xff\xff\xff\xff\xff\xff_\0\0\0\0\0\0\0\0"),
        (Bucket::Meta, b"finishedCompactRev"),
    ] {
        let other = Backend::in_memory();
        let mut batch = Batch::default();
        batch.put(bucket, key.to_vec(), "");
        other.commit(&batch).unwrap();
        assert!(matches!(here.store.restore(&other), Err(OpenError::Corrupt(_))));
        check_view(&reader.view(), 5).unwrap();
    }
    here.write_to(6);
    check_view(&reader.view(), 6).unwrap();
}

/// Reads views until it is stopped; every read is of one state.
fn read_views(reader: &Reader, stop: &AtomicBool) {
    let mut newest = 0;
    while !stop.load(Ordering::Acquire) {
        let view = reader.view();
        assert!(view.revision() >= newest, "the state never goes back");
        newest = view.revision();
        for at in [newest, (newest - 3).max(1)] {
            match check_view(&view, at) {
                Ok(()) | Err(ReadError::Compacted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Follows the history until it is stopped: no change is missing unless the history was compacted.
fn follow(reader: &Reader, stop: &AtomicBool) {
    let limit = HistoryLimit { until: i64::MAX, changes: 20, bytes: 1 << 20 };
    let mut next = 2;
    while !stop.load(Ordering::Acquire) {
        let stretch =
            match reader.recent_history(next, &limit).map_or_else(|| reader.history(next, &limit), Ok) {
                Ok(stretch) => stretch,
                Err(ReadError::Compacted { compacted, .. }) => {
                    next = compacted;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
        let mains: Vec<_> = stretch.changes.iter().map(|change| change.revision.main).collect();
        let expected: Vec<_> = (next..=stretch.last).flat_map(|main| [main; KEYS.len()]).collect();
        assert_eq!(mains, expected);
        for change in stretch.changes.iter().take(1) {
            let previous = reader.previous_row(change).expect("a row, or none any more");
            if let Some(previous) = previous {
                let previous: ferretcd_api_proto::mvccpb::KeyValue =
                    prost::Message::decode(previous).unwrap();
                assert_eq!(previous.value, (change.revision.main - 1).to_string());
            }
        }
        next = stretch.last + 1;
    }
}

#[test]
fn readers_on_other_threads_never_see_two_states() {
    let (mut here, mut elsewhere) = (Side::open(Backend::in_memory()), Side::open(Backend::in_memory()));
    let reader = here.store.reader();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers = [
            scope.spawn(|| read_views(&reader, &stop)),
            scope.spawn(|| read_views(&reader, &stop)),
            scope.spawn(|| follow(&reader, &stop)),
        ];
        for round in 1..60 {
            let last = round * 12;
            here.write_to(last - 6);
            if round % 3 > 0 {
                here.flush();
            }
            here.write_to(last - 4);
            elsewhere.write_to(last);
            if round % 2 == 0 {
                elsewhere.compact(last - 2);
            }
            elsewhere.flush();
            here.restore(&elsewhere);
        }
        stop.store(true, Ordering::Release);
        for reader in readers {
            reader.join().expect("no reader has seen something wrong");
        }
    });
}
