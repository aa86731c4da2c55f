//! Lists that are read piece by piece, while the store changes.

use bytes::Bytes;
use ferretcd_backend::{Backend, Batch};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_mvcc::{
    Access, Config, KeyOrder, RangeOptions, ReadError, ReadView, RowCursor, Selection, Step, Store,
};

/// More than what is looked at in one go.
const N_KEYS: usize = 900;

struct Written {
    store: Store,
    backend: Backend,
}

impl Written {
    fn new() -> Self {
        let backend = Backend::in_memory();
        let store = Store::open(backend.clone(), &Config { cache_bytes: 1 << 14 }).expect("an empty backend");
        Self { store, backend }
    }

    fn put(&mut self, index: usize, value: impl Into<Bytes>) {
        let mut batch = Batch::default();
        let mut txn = self.store.write(&mut batch);
        txn.put(format!("k{index:04}").into(), value.into(), LeaseId::NONE);
        txn.commit();
        self.backend.commit(&batch).expect("memory");
    }

    fn delete(&mut self, range: &KeyRange) {
        let mut batch = Batch::default();
        let mut txn = self.store.write(&mut batch);
        txn.delete_range(range);
        txn.commit();
        self.backend.commit(&batch).expect("memory");
    }
}

fn filled() -> Written {
    let mut written = Written::new();
    for index in 0..N_KEYS {
        written.put(index, vec![b'v'; index % 50]);
    }
    // Half of the rows are in the backend alone.
    written.store.release(written.store.revision() / 2);
    written
}

fn whole(view: &ReadView) -> Vec<Bytes> {
    let all = view.range(&KeyRange::all(), &RangeOptions::default()).expect("nothing is compacted");
    all.rows.into_iter().map(|row| row.encoded).collect()
}

fn cursor(view: &ReadView, order: KeyOrder) -> RowCursor {
    let selection = Selection { order, ..Selection::default() };
    view.snapshot().cursor(&KeyRange::all(), &selection, true).expect("nothing is compacted")
}

#[test]
fn lists_are_of_their_moment_in_both_orders() {
    for order in [KeyOrder::Ascending, KeyOrder::Descending] {
        let mut written = filled();
        let view = written.store.reader().view();
        let mut expected = whole(&view);
        if order == KeyOrder::Descending {
            expected.reverse();
        }
        let (mut cursor, mut rows, mut round) = (cursor(&view, order), Vec::new(), 0);
        loop {
            let step = match cursor.read(700, 30, Access::Memory, &mut rows).expect("nothing is compacted") {
                Step::NotInMemory => cursor.read(700, 30, Access::Backend, &mut rows),
                step => Ok(step),
            };
            // What changes meanwhile is not seen, and changes the shape of the index.
            round += 1;
            written.put(round * 7 % N_KEYS, "later");
            written.put(N_KEYS + round, "new");
            if round == 5 {
                written.delete(&KeyRange::Interval("k0300".into(), "k0600".into()));
            }
            if step.expect("nothing is compacted") == Step::End {
                break;
            }
        }
        assert_eq!(rows, expected, "{order:?}");
        assert!(round > 20, "it was read in pieces");
    }
}

#[test]
fn a_compaction_that_passes_ends_a_list() {
    let mut written = filled();
    let view = written.store.reader().view();
    let (mut at_revision, mut before) = (cursor(&view, KeyOrder::Ascending), Vec::new());
    at_revision.read(700, 30, Access::Backend, &mut before).expect("nothing is compacted");

    // A state in the middle of a transaction cannot be read any more when its own revision is compacted.
    let mut batch = Batch::default();
    let mut txn = written.store.write(&mut batch);
    txn.put("k0000".into(), "first".into(), LeaseId::NONE);
    let middle = txn.snapshot().to_view();
    txn.put("k0000".into(), "second".into(), LeaseId::NONE);
    let revision = txn.commit().revision;
    written.backend.commit(&batch).expect("memory");
    let row = &whole(&middle)[0];
    assert!(row.ends_with(b"first"), "{row:?}");
    let mut within = cursor(&middle, KeyOrder::Ascending);

    let mut batch = Batch::default();
    written.store.compact(revision, &mut batch).expect("it is above the last one");
    for cursor in [&mut at_revision, &mut within] {
        let mut rows = Vec::new();
        let end = cursor.read(700, 30, Access::Backend, &mut rows);
        assert!(matches!(end, Err(ReadError::Compacted { .. })), "{end:?}");
    }
    assert_eq!(whole(&written.store.reader().view()).len(), N_KEYS);
}
