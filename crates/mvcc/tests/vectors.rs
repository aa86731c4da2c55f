//! Rows and hashes as etcd has them, for one history of eight writes and two compactions.

use std::ops::Bound;

use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::{KeyRange, LeaseId};
use ferretcd_mvcc::{Config, KvHash, ReadError, Scrub, Store};

const CONFIG: Config = Config { cache_bytes: 1 << 16 };

struct Member {
    backend: Backend,
    store: Store,
    batch: Batch,
}

impl Member {
    fn new() -> Self {
        let backend = Backend::in_memory();
        let store = Store::open(backend.clone(), &CONFIG).unwrap();
        Self { backend, store, batch: Batch::default() }
    }

    fn put(&mut self, key: &'static str, value: &'static str) {
        let mut txn = self.store.write(&mut self.batch);
        txn.put(key.into(), value.into(), LeaseId::NONE);
        txn.commit();
    }

    fn delete(&mut self, key: &'static str) {
        let mut txn = self.store.write(&mut self.batch);
        assert_eq!(txn.delete_range(&KeyRange::Key(key.into())), 1);
        txn.commit();
    }

    fn flush(&mut self) {
        self.backend.commit(&std::mem::take(&mut self.batch)).unwrap();
        self.store.release(self.store.revision());
    }

    fn compact(&mut self, revision: i64) {
        self.store.compact(revision, &mut self.batch).unwrap();
        self.flush();
    }

    /// Runs the removal to its end and returns the hash it leaves.
    fn scrub(&mut self) -> Option<KvHash> {
        loop {
            let scrub = self.store.scrub(2, &mut self.batch).unwrap();
            self.flush();
            match scrub {
                Scrub::Finished { hash, .. } => return hash,
                Scrub::Progress { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn restart(&mut self) {
        self.batch = Batch::default();
        self.store = Store::open(self.backend.clone(), &CONFIG).unwrap();
    }

    fn hash(&self, revision: i64) -> (u32, i64) {
        let hash = self.store.reader().hash_kv(revision).unwrap();
        assert_eq!(hash.hash_revision, revision);
        assert_eq!(hash.current_revision, self.store.revision());
        (hash.hash, hash.compact_revision)
    }

    /// All rows of the backend in hexadecimal.
    fn rows(&self) -> Vec<(String, String)> {
        let view = self.backend.view();
        let rows = view.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded)).unwrap();
        rows.map(Result::unwrap).map(|(key, value)| (hex(&key), hex(&value))).collect()
    }

    /// The main revisions of all rows of the backend.
    fn mains(&self) -> Vec<u64> {
        self.rows().iter().map(|(key, _)| u64::from_str_radix(&key[..16], 16).unwrap()).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The history up to revision 8.
fn first_part() -> Member {
    let mut member = Member::new();
    member.put("foo", "bar");
    member.put("foo", "bar2");
    member.put("a", "1");
    member.put("b", "2");
    member.delete("foo");
    member.put("c", "3");
    member.put("a", "9");
    member.flush();
    member
}

fn second_part(member: &mut Member) {
    member.put("d", "4");
    member.delete("a");
    member.flush();
}

#[test]
fn rows_are_those_of_etcd() {
    let mut member = first_part();
    second_part(&mut member);
    let expected = [
        (2, "", "0a03666f6f1002180220012a03626172"),
        (3, "", "0a03666f6f1002180320022a0462617232"),
        (4, "", "0a01611004180420012a0131"),
        (5, "", "0a01621005180520012a0132"),
        (6, "74", "0a03666f6f"),
        (7, "", "0a01631007180720012a0133"),
        (8, "", "0a01611004180820022a0139"),
        (9, "", "0a01641009180920012a0134"),
        (10, "74", "0a0161"),
    ];
    let expected =
        expected.map(|(main, mark, value)| (format!("{main:016x}5f{:016x}{mark}", 0), value.to_owned()));
    assert_eq!(member.rows(), expected);
}

#[test]
fn the_scheduled_and_the_finished_compaction_are_marked() {
    let mut member = first_part();
    let marker = |member: &Member, name: &str| {
        member.backend.view().get(Bucket::Meta, name.as_bytes()).unwrap().map(|value| hex(&value))
    };
    assert_eq!(marker(&member, "scheduledCompactRev"), None);
    member.compact(6);
    let six = Some("00000000000000065f0000000000000000".to_owned());
    assert_eq!(marker(&member, "scheduledCompactRev"), six);
    assert_eq!(marker(&member, "finishedCompactRev"), None);
    member.scrub();
    assert_eq!(marker(&member, "finishedCompactRev"), six);
}

const HASHES_BEFORE: [(i64, u32); 6] =
    [(2, 3305255506), (3, 3581052765), (5, 3443595212), (6, 1031541484), (7, 3059032767), (8, 3527878580)];

#[test]
fn hashes_without_compaction() {
    let mut member = first_part();
    for (revision, hash) in HASHES_BEFORE {
        assert_eq!(member.hash(revision), (hash, -1), "at {revision}");
    }
    member.restart();
    for (revision, hash) in HASHES_BEFORE {
        assert_eq!(member.hash(revision), (hash, -1), "at {revision} after a restart");
    }
    let current = member.store.reader().hash_kv(0).unwrap();
    assert_eq!((current.hash, current.hash_revision), (3527878580, 8));
}

/// The rows hashed after a compaction at 6 without the hash it leaves.
fn check_hashes_above_6(member: &Member) {
    for (revision, hash) in [(7, 910727392), (8, 2318703383), (9, 1202807611), (10, 2546548280)] {
        assert_eq!(member.hash(revision), (hash, 6), "at {revision}");
    }
}

#[test]
fn hashes_after_compaction_before_the_rows_are_removed() {
    let mut member = first_part();
    member.compact(6);
    second_part(&mut member);
    assert_eq!(member.mains(), [2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(member.hash(6), (562169336, 6));
    check_hashes_above_6(&member);
}

#[test]
fn hashes_after_compaction_with_the_rows_removed() {
    let mut member = first_part();
    member.compact(6);
    let hash = member.scrub().unwrap();
    assert_eq!((hash.hash, hash.compact_revision, hash.hash_revision), (1031541484, -1, 6));
    second_part(&mut member);
    assert_eq!(member.mains(), [4, 5, 6, 7, 8, 9, 10], "the tombstone at the compacted revision stays");
    assert_eq!(member.hash(6), (1031541484, -1));
    check_hashes_above_6(&member);

    member.restart();
    assert_eq!(member.hash(6), (562169336, 6));
    check_hashes_above_6(&member);

    member.compact(10);
    let hash = member.scrub().unwrap();
    assert_eq!((hash.hash, hash.compact_revision), (2546548280, 6));
    assert_eq!(member.mains(), [5, 7, 9, 10]);
    assert_eq!(member.hash(10), (2546548280, 6));
    member.restart();
    assert_eq!(member.hash(10), (641347298, 10));
}

#[test]
fn an_interrupted_removal_goes_on_after_a_restart_and_leaves_no_hash() {
    let mut member = first_part();
    member.compact(6);
    assert_eq!(member.store.scrub(2, &mut member.batch).unwrap(), Scrub::Progress { removed: 2 });
    member.flush();
    assert_eq!(member.mains(), [4, 5, 6, 7, 8]);

    member.restart();
    assert_eq!(member.store.compacted(), 6);
    assert_eq!(member.hash(6), (562169336, 6));
    assert_eq!(member.scrub(), None);
    second_part(&mut member);
    assert_eq!(member.mains(), [4, 5, 6, 7, 8, 9, 10]);
    check_hashes_above_6(&member);
}

#[test]
fn a_compaction_accepted_while_another_runs_leaves_no_hash() {
    let mut member = first_part();
    member.compact(5);
    member.compact(6);
    assert_eq!(member.store.compacted(), 6);
    let first = member.scrub().unwrap();
    assert_eq!((first.hash, first.compact_revision), (3443595212, -1));
    assert_eq!(member.scrub(), None);
    assert_eq!(member.hash(6), (562169336, 6));
    assert_eq!(member.hash(5), (3443595212, -1), "below the compacted revision, but remembered");
    assert_eq!(member.store.scrub(2, &mut member.batch).unwrap(), Scrub::Idle);
}

#[test]
fn the_last_ten_compactions_are_remembered() {
    let mut member = Member::new();
    for revision in 2..=12 {
        member.put("k", "v");
        member.flush();
        member.compact(revision);
        member.scrub().unwrap();
    }
    let reader = member.store.reader();
    assert!(matches!(reader.hash_kv(2), Err(ReadError::Compacted { requested: 2, compacted: 12 })));
    for revision in 3..=12 {
        assert_eq!(reader.hash_kv(revision).unwrap().compact_revision, revision - 1);
    }
}

#[test]
fn hashes_outside_of_the_history() {
    let mut member = first_part();
    member.compact(6);
    let reader = member.store.reader();
    assert!(matches!(reader.hash_kv(5), Err(ReadError::Compacted { requested: 5, compacted: 6 })));
    assert!(matches!(reader.hash_kv(9), Err(ReadError::Future { requested: 9, current: 8 })));
    let negative = reader.hash_kv(-3).unwrap();
    assert_eq!((negative.hash, negative.hash_revision), (crc32c::crc32c(b"key"), -3));
}

#[test]
fn rows_below_the_compacted_revision_count_while_no_key_lives() {
    let mut member = Member::new();
    member.put("k", "1");
    member.delete("k");
    member.put("l", "1");
    member.delete("l");
    member.flush();
    let all = member.hash(5).0;
    member.compact(4);
    // Only the tombstone of 3 lies below 4 without being the state of a key; at 5 no key lives.
    assert_eq!(member.hash(5), (all, 4));
    member.scrub();
    assert_ne!(member.hash(5).0, all);
    let rows = member.backend.view();
    let rows = rows.range(Bucket::Key, (Bound::Unbounded, Bound::Unbounded)).unwrap().map(Result::unwrap);
    let expected = rows.fold(crc32c::crc32c(b"key"), |sum, (key, value)| {
        crc32c::crc32c_append(crc32c::crc32c_append(sum, &key), &value)
    });
    assert_eq!(member.hash(5).0, expected);
}
