//! The behaviour of the store beyond the model.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::{KeyRange, LeaseId, Revision};
use ferretcd_mvcc::{
    CompactError, Config, Corruption, OpenError, RangeOptions, ReadError, ReadView, Reader, Scrub, Store,
};

const CONFIG: Config = Config { cache_bytes: 1 << 20 };

fn open(backend: &Backend) -> Store {
    Store::open(backend.clone(), &CONFIG).unwrap()
}

fn put(store: &mut Store, batch: &mut Batch, keys: impl IntoIterator<Item = Bytes>, value: &Bytes) -> i64 {
    let mut txn = store.write(batch);
    for key in keys {
        txn.put(key, value.clone(), LeaseId::NONE);
    }
    txn.commit().revision
}

fn flush(backend: &Backend, store: &mut Store, batch: &mut Batch) {
    backend.commit(&std::mem::take(batch)).unwrap();
    store.release(store.revision());
}

fn numbered(n: usize) -> Bytes {
    format!("key/{n:05}").into()
}

#[test]
fn the_store_can_move_and_readers_can_be_shared() {
    fn check_send<T: Send + 'static>() {}
    fn check_shared<T: Send + Sync + Clone + 'static>() {}
    check_send::<Store>();
    check_shared::<Reader>();
    check_shared::<ReadView>();
}

#[test]
fn an_empty_store() {
    let mut store = open(&Backend::in_memory());
    assert_eq!((store.revision(), store.compacted(), store.reader().key_count()), (1, -1, 0));
    let mut batch = Batch::default();
    let mut txn = store.write(&mut batch);
    assert_eq!(txn.delete_range(&KeyRange::all()), 0);
    let committed = txn.commit();
    assert_eq!((committed.revision, committed.changes.len()), (1, 0));
    assert!(batch.is_empty());
    assert_eq!(store.compact(2, &mut batch), Err(CompactError::Future { requested: 2, current: 1 }));
    assert_eq!(store.compact(0, &mut batch), Ok(()));
    assert_eq!(store.compact(0, &mut batch), Err(CompactError::Compacted { requested: 0, compacted: 0 }));
}

#[test]
fn long_ranges_are_complete_and_in_order() {
    const N: usize = 2_000;
    let backend = Backend::in_memory();
    let mut store = open(&backend);
    let mut batch = Batch::default();
    for n in (0..N).rev() {
        put(&mut store, &mut batch, [numbered(n)], &"v".into());
        if n == N / 2 {
            flush(&backend, &mut store, &mut batch);
        }
    }
    let view = store.reader().view();
    for (limit, skip_count) in
        [(0, false), (1, false), (256, false), (257, true), (1_500, true), (5_000, true)]
    {
        let options = RangeOptions { limit, skip_count, ..RangeOptions::default() };
        let found = view.range(&KeyRange::From("key/".into()), &options).unwrap();
        let shown = if limit == 0 { N } else { limit.min(N) };
        assert_eq!((found.rows.len(), found.count), (shown, if skip_count { shown } else { N }));
        for (n, row) in found.rows.iter().enumerate() {
            assert_eq!(row.key_value().unwrap().key, numbered(n));
        }
    }
    let mut txn = store.write(&mut batch);
    assert_eq!(txn.delete_range(&KeyRange::Interval(numbered(10), numbered(1_010))), 1_000);
    let committed = txn.commit();
    for (n, change) in committed.changes.iter().enumerate() {
        assert_eq!(change.revision, Revision::new(committed.revision, n as i64));
        assert_eq!(change.key, numbered(10 + n));
    }
    assert_eq!(store.reader().key_count(), N - 1_000);
}

/// Neighbours, others between them, keys that are not there, and such that have been deleted before.
#[test]
fn of_many_keys_those_that_are_there_are_deleted() {
    let check = |wanted: &[usize], expected: &[usize]| {
        let mut store = open(&Backend::in_memory());
        let mut batch = Batch::default();
        put(&mut store, &mut batch, (0..100).map(|n| numbered(2 * n)), &"v".into());
        let mut txn = store.write(&mut batch);
        txn.delete_range(&KeyRange::Interval(numbered(50), numbered(60)));
        txn.commit();
        let wanted: Vec<_> = wanted.iter().map(|n| numbered(*n)).collect();
        let mut txn = store.write(&mut batch);
        assert_eq!(txn.delete_keys(wanted.iter().map(|key| &key[..])), expected.len());
        let committed = txn.commit();
        let deleted: Vec<_> = committed.changes.iter().map(|change| change.key.clone()).collect();
        assert_eq!(deleted, expected.iter().map(|n| numbered(*n)).collect::<Vec<_>>());
        for (sub, change) in committed.changes.iter().enumerate() {
            assert_eq!(change.revision, Revision::new(4, sub as i64));
        }
        assert_eq!(store.reader().key_count(), 95 - expected.len());
    };
    check(&[], &[]);
    check(&[0, 2, 4, 198], &[0, 2, 4, 198]);
    check(&[1, 2, 3, 4, 10, 20, 22, 199], &[2, 4, 10, 20, 22]);
    check(&[48, 50, 58, 60, 61, 62], &[48, 60, 62]);
    check(&[50, 52, 199, 300], &[]);
}

#[test]
fn rows_are_shared_not_copied() {
    let mut store = open(&Backend::in_memory());
    let mut batch = Batch::default();
    let mut txn = store.write(&mut batch);
    txn.put("k".into(), "v".into(), LeaseId::NONE);
    let committed = txn.commit();
    let read = || store.reader().view().range(&KeyRange::all(), &RangeOptions::default()).unwrap();
    assert_eq!(read().rows[0].encoded.as_ptr(), committed.changes[0].row.as_ptr());
    assert_eq!(read().rows[0].encoded.as_ptr(), read().rows[0].encoded.as_ptr());
}

#[test]
fn a_view_below_a_compaction_returns_an_error() {
    let backend = Backend::in_memory();
    let mut store = open(&backend);
    let mut batch = Batch::default();
    put(&mut store, &mut batch, ["k".into()], &"1".into());
    let old = store.reader().view();
    put(&mut store, &mut batch, ["k".into()], &"2".into());
    store.compact(3, &mut batch).unwrap();
    let result = old.range(&KeyRange::all(), &RangeOptions::default());
    assert!(matches!(result, Err(ReadError::Compacted { requested: 2, compacted: 3 })), "{result:?}");
    assert_eq!(result.unwrap_err().to_string(), "read revision 2: compacted up to 3");
}

#[test]
fn the_removal_waits_for_the_backend() {
    let backend = Backend::in_memory();
    let mut store = open(&backend);
    let mut batch = Batch::default();
    assert_eq!(store.scrub(10, &mut batch).unwrap(), Scrub::Idle);
    put(&mut store, &mut batch, ["k".into()], &"1".into());
    put(&mut store, &mut batch, ["k".into()], &"2".into());
    store.compact(2, &mut batch).unwrap();
    assert_eq!(store.scrub(10, &mut batch).unwrap(), Scrub::Waiting);
    flush(&backend, &mut store, &mut batch);
    assert!(matches!(store.scrub(10, &mut batch).unwrap(), Scrub::Finished { revision: 2, removed: 0, .. }));
    store.compact(3, &mut batch).unwrap();
    assert_eq!(store.scrub(10, &mut batch).unwrap(), Scrub::Waiting, "the step before isn't committed");
    flush(&backend, &mut store, &mut batch);
    assert!(matches!(store.scrub(10, &mut batch).unwrap(), Scrub::Finished { revision: 3, removed: 1, .. }));
}

#[test]
fn revisions_go_on_after_a_restart() {
    let backend = Backend::in_memory();
    let mut store = open(&backend);
    let mut batch = Batch::default();
    put(&mut store, &mut batch, ["k".into()], &"1".into());
    put(&mut store, &mut batch, ["k".into()], &"2".into());
    flush(&backend, &mut store, &mut batch);
    put(&mut store, &mut batch, ["k".into()], &"lost".into());

    let mut store = open(&backend);
    assert_eq!(store.revision(), 3);
    let mut batch = Batch::default();
    assert_eq!(put(&mut store, &mut batch, ["k".into()], &"3".into()), 4);
    let found = store.reader().view().range(&KeyRange::all(), &RangeOptions::default()).unwrap();
    let row = &found.rows[0];
    assert_eq!((row.create_revision, row.mod_revision, row.version), (2, 4, 3));
}

#[test]
fn a_revision_raised_by_a_restore_is_taken_over() {
    let backend = Backend::in_memory();
    let mut batch = Batch::default();
    batch.put(Bucket::Key, Revision::new(1_000, 0).to_bytes().to_vec(), Bytes::new());
    backend.commit(&batch).unwrap();
    let mut store = open(&backend);
    // The row is that of a key without a name, with version 0.
    assert_eq!((store.revision(), store.reader().key_count()), (1_000, 1));
    let mut batch = Batch::default();
    assert_eq!(put(&mut store, &mut batch, ["k".into()], &"v".into()), 1_001);
    let found = store.reader().view().range(&KeyRange::all(), &RangeOptions::default()).unwrap();
    assert_eq!(found.count, 1);
}

#[test]
fn the_compaction_markers_raise_the_revision() {
    let backend = Backend::in_memory();
    let mut batch = Batch::default();
    batch.put(Bucket::Meta, "finishedCompactRev", Revision::new(7, 0).to_bytes().to_vec());
    batch.put(Bucket::Meta, "scheduledCompactRev", Revision::new(9, 0).to_bytes().to_vec());
    backend.commit(&batch).unwrap();
    let mut store = open(&backend);
    assert_eq!((store.revision(), store.compacted()), (9, 9));
    let scrub = store.scrub(10, &mut Batch::default()).unwrap();
    assert_eq!(scrub, Scrub::Finished { revision: 9, removed: 0, hash: None });
}

#[test]
fn foreign_bytes_are_rejected() {
    fn check(rows: &[(Bucket, &[u8], &[u8])], expected: &str) {
        let backend = Backend::in_memory();
        let mut batch = Batch::default();
        for &(bucket, key, value) in rows {
            batch.put(bucket, key.to_vec(), value.to_vec());
        }
        backend.commit(&batch).unwrap();
        let error = Store::open(backend, &CONFIG).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let row_key = &Revision::new(5, 0).to_bytes()[..];
    let tombstone_key = &[row_key, b"t"].concat()[..];
    check(
        &[(Bucket::Key, b"short", b"")],
        "read the history: understand the row key b\"short\" of bucket key",
    );
    check(&[(Bucket::Key, row_key, b"\x0a\x05k")], "read the history: decode the row of revision 5/0");
    check(
        &[(Bucket::Key, row_key, b"\x0a\x01k"), (Bucket::Key, tombstone_key, b"\x0a\x01k")],
        "read the history: order the row of revision 5/0 after those before it",
    );
    check(
        &[(Bucket::Meta, b"finishedCompactRev", b"x")],
        "read the history: understand the marker finishedCompactRev = b\"x\" of bucket meta",
    );
}

#[test]
fn a_row_lost_from_the_backend_is_an_error() {
    let backend = Backend::in_memory();
    let mut store = open(&backend);
    let mut batch = Batch::default();
    put(&mut store, &mut batch, ["k".into()], &"v".into());
    batch.delete(Bucket::Key, Revision::new(2, 0).to_bytes().to_vec());
    flush(&backend, &mut store, &mut batch);
    let result = store.reader().view().range(&KeyRange::all(), &RangeOptions::default());
    assert!(matches!(result, Err(ReadError::Corrupt(Corruption::MissingRow { .. }))), "{result:?}");
}

#[test]
#[should_panic(expected = "always committed")]
fn a_transaction_with_changes_must_be_committed() {
    let mut store = open(&Backend::in_memory());
    let mut batch = Batch::default();
    store.write(&mut batch).put("k".into(), "v".into(), LeaseId::NONE);
}

#[test]
fn open_errors_carry_their_cause() {
    let error = OpenError::from(Corruption::MissingRow { revision: Revision::new(3, 1) });
    assert_eq!(error.to_string(), "read the history: find the row of revision 3/1");
}

/// All keys of a view have the same value: the writer sets them in one transaction.
fn check_view(reader: &Reader) -> i64 {
    loop {
        let view = reader.view();
        let found = match view.range(&KeyRange::all(), &RangeOptions::default()) {
            Ok(found) => found,
            Err(ReadError::Compacted { .. }) => continue,
            Err(other) => panic!("{other}"),
        };
        let values: Vec<_> = found.rows.iter().map(|row| row.key_value().unwrap().value).collect();
        assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
        assert!(found.rows.iter().all(|row| row.mod_revision == view.revision()));
        return view.revision();
    }
}

/// Two hashes of one revision are equal unless a compaction came between.
fn check_hash(reader: &Reader, revision: i64) {
    let hashes = [reader.hash_kv(revision), reader.hash_kv(revision)];
    if let [Ok(first), Ok(second)] = hashes {
        assert!(first.hash == second.hash || first.compact_revision != second.compact_revision);
    }
}

#[test]
fn readers_see_whole_transactions_while_history_is_written_and_compacted() {
    const ROUNDS: i64 = 250;
    const KEYS: usize = 300;
    let backend = Backend::in_memory();
    let mut store = Store::open(backend.clone(), &Config { cache_bytes: 1 << 16 }).unwrap();
    let mut batch = Batch::default();
    put(&mut store, &mut batch, (0..KEYS).map(numbered), &"first".into());
    let done = AtomicBool::new(false);
    let flushed = AtomicI64::new(1);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2).map(|_| store.reader()).collect();
        for reader in readers {
            let done = &done;
            scope.spawn(move || {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let revision = check_view(&reader);
                    assert!(revision >= last, "a view never goes back");
                    last = revision;
                }
            });
        }
        let reader = store.reader();
        let (done, flushed) = (&done, &flushed);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                check_hash(&reader, flushed.load(Ordering::Acquire));
            }
        });
        for round in 0..ROUNDS {
            let mut txn = store.write(&mut batch);
            if round % 3 == 0 {
                txn.delete_range(&KeyRange::all());
            }
            for n in 0..KEYS {
                txn.put(numbered(n), Bytes::from(round.to_string()), LeaseId::NONE);
            }
            let revision = txn.commit().revision;
            if round % 5 == 0 {
                flush(&backend, &mut store, &mut batch);
                flushed.store(revision, Ordering::Release);
            }
            if round % 10 == 0 {
                store.compact(revision, &mut batch).unwrap();
            }
            store.scrub(1_000, &mut batch).unwrap();
        }
        assert!(store.compacted() > 2);
        done.store(true, Ordering::Relaxed);
    });
    check_view(&store.reader());
}
