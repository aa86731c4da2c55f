//! Against a real etcd: snapshots that it took, and images that it restores, serves and goes on writing.

mod program;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use bytes::Bytes;
use ferretcd_bolt::{HashWriter, Plan, Trailer, check_trailer};

use crate::common::{Buckets, Rows, read};
use program::{Etcd, etcdctl};

const BUCKETS: [&str; 10] = [
    "alarm",
    "auth",
    "authRoles",
    "authUsers",
    "cluster",
    "key",
    "lease",
    "members",
    "members_removed",
    "meta",
];

/// The rows that `etcdctl snapshot status` hashes.
fn hash(buckets: &Buckets) -> u32 {
    buckets.iter().fold(0, |crc, (name, rows)| hash_rows(crc, name, rows))
}

/// HashKV of a store that was never compacted, from rows of bucket `key`.
fn hash_kv(rows: &Rows) -> u32 {
    hash_rows(0, b"key", rows)
}

fn hash_rows(crc: u32, name: &[u8], rows: &Rows) -> u32 {
    rows.iter().fold(crc32c::crc32c_append(crc, name), |crc, (key, value)| {
        crc32c::crc32c_append(crc32c::crc32c_append(crc, key), value)
    })
}

fn n_rows(buckets: &Buckets) -> usize {
    buckets.values().map(Rows::len).sum()
}

#[test]
fn recorded_snapshots() {
    let check = |snapshot: &[u8], expected_hash, expected_rows| {
        assert_eq!(check_trailer(&snapshot).unwrap(), Trailer::Intact);
        let buckets = read(snapshot).unwrap();
        assert_eq!(buckets.keys().collect::<Vec<_>>(), BUCKETS);
        assert_eq!((hash(&buckets), n_rows(&buckets)), (expected_hash, expected_rows));
        let keys = &buckets[&b"key"[..]];
        assert_eq!(keys[&revision(4, 0)], put_value("a", "1", 4, 4, 1));
        assert_eq!(keys[&revision(8, 0)], put_value("a", "9", 4, 8, 2));
        assert_eq!(keys[&revision(10, 0)], put_value("large", &"x".repeat(5000), 10, 10, 1));
        let tombstone = Bytes::from([&revision(12, 0)[..], b"t"].concat());
        assert_eq!(keys[&tombstone], "\x0a\x01a");
    };
    check(include_bytes!("../fixtures/etcd-3.4.23.snapshot"), 2246431302, 40);
    check(include_bytes!("../fixtures/etcd-3.7.1.snapshot"), 3415137147, 44);
}

fn revision(main: u64, sub: u64) -> Bytes {
    [&main.to_be_bytes()[..], b"_", &sub.to_be_bytes()].concat().into()
}

/// A message `mvccpb.KeyValue`.
fn put_value(key: &str, value: &str, create: u64, modified: u64, version: u64) -> Bytes {
    let mut out = Vec::new();
    let text = |out: &mut Vec<u8>, tag: u8, text: &str| {
        out.push(tag);
        varint(out, text.len() as u64);
        out.extend(text.as_bytes());
    };
    text(&mut out, 0x0a, key);
    for (tag, number) in [(0x10, create), (0x18, modified), (0x20, version)] {
        out.push(tag);
        varint(&mut out, number);
    }
    text(&mut out, 0x2a, value);
    out.into()
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Puts of `keyNNNNN` at revisions 2 and on; every 97th value needs overflow pages.
fn store(n_keys: u64) -> Buckets {
    let mut buckets: Buckets = BUCKETS.map(|name| (name.into(), Rows::new())).into();
    let value = |i: u64| "v".repeat(if i.is_multiple_of(97) { 20_000 } else { 10 + i as usize % 90 });
    let rows = (0..n_keys).map(|i| {
        let main = i + 2;
        (revision(main, 0), put_value(&format!("key{i:05}"), &value(i), main, main, 1))
    });
    buckets.insert("key".into(), rows.collect());
    let index = Bytes::copy_from_slice(&5u64.to_be_bytes());
    buckets.insert("meta".into(), Rows::from([("consistent_index".into(), index)]));
    buckets
}

fn save_snapshot(buckets: &Buckets, path: &Path) {
    let mut out = HashWriter::new(BufWriter::new(File::create(path).unwrap()));
    Plan::new(buckets).unwrap().write(buckets, &mut out).unwrap();
    let (mut out, hash) = out.finish();
    out.write_all(&hash).unwrap();
    out.flush().unwrap();
}

/// The number behind `"name":` in JSON.
fn number(json: &str, name: &str) -> u64 {
    let (_, from) = json.split_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name} in {json}"));
    from.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[test]
fn etcd_restores_serves_and_goes_on_writing() {
    let Some(program) = program::installed("etcd") else { return };
    let temp = tempfile::tempdir().unwrap();
    let snapshot = temp.path().join("written.snapshot");
    let buckets = store(12_000);
    save_snapshot(&buckets, &snapshot);

    let status = etcdctl(temp.path(), &["snapshot", "status", "written.snapshot", "-w", "json"]);
    assert_eq!(number(&status, "hash"), hash(&buckets).into());
    assert_eq!(number(&status, "totalKey"), n_rows(&buckets) as u64);
    assert_eq!(number(&status, "totalSize") + 32, fs::metadata(&snapshot).unwrap().len());
    etcdctl(temp.path(), &Etcd::restore_arguments("written.snapshot"));

    // 3.4 adds a revision for itself to none of the rows, so the hash is that of the rows written.
    let etcd = Etcd::start(program, temp.path());
    assert_eq!(
        number(&etcd.ctl(&["endpoint", "hashkv", "-w", "json"]), "hash"),
        hash_kv(&buckets[&b"key"[..]]).into()
    );
    assert_eq!(etcd.ctl(&["get", "key00097", "--print-value-only"]).trim_end(), "v".repeat(20_000));

    // bolt changes the pages written here: it inserts, deletes most of the rows, and joins pages.
    etcd.ctl(&["put", "key00097", "new"]);
    etcd.ctl(&["del", "key00100", "key11990"]);
    etcd.ctl(&["compaction", "12003", "--physical"]);
    etcd.ctl(&["put", "last", "row"]);
    etcd.ctl(&["compaction", "12004", "--physical"]);
    etcd.ctl(&["snapshot", "save", "second.snapshot"]);
    let second = File::open(temp.path().join("second.snapshot")).unwrap();
    assert_eq!(check_trailer(&second).unwrap(), Trailer::Intact);
    let left = &read(&second).unwrap()[&b"key"[..]];
    assert_eq!(left.len(), 100 + 10 + 1);
    assert_eq!(left[&revision(12004, 0)], put_value("last", "row", 12004, 12004, 1));
    drop(etcd);

    let database = File::open(temp.path().join("data/member/snap/db")).unwrap();
    assert_eq!(check_trailer(&database).unwrap(), Trailer::Absent);
    assert_eq!(read(&database).unwrap()[&b"key"[..]], *left, "from the file itself");
}

/// Takes an etcd's snapshot apart, writes the rows again, and lets etcd serve what came out.
#[test]
fn rows_of_etcd_survive_both_directions() {
    let Some(program) = program::installed("etcd") else { return };
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let etcd = Etcd::start(program, first.path());
    for i in 0..20 {
        etcd.ctl(&["put", &format!("key{}", i % 7), &format!("value {i}: {}", "x".repeat(i * 300))]);
    }
    etcd.ctl(&["del", "key3"]);
    let hash_before = number(&etcd.ctl(&["endpoint", "hashkv", "-w", "json"]), "hash");
    let shown = etcd.ctl(&["get", "", "--prefix", "-w", "fields"]);
    etcd.ctl(&["snapshot", "save", "taken.snapshot"]);
    drop(etcd);

    let buckets = read(File::open(first.path().join("taken.snapshot")).unwrap()).unwrap();
    assert_eq!(buckets[&b"key"[..]].len(), 21);
    assert_eq!(u64::from(hash_kv(&buckets[&b"key"[..]])), hash_before);
    save_snapshot(&buckets, &second.path().join("again.snapshot"));
    etcdctl(second.path(), &Etcd::restore_arguments("again.snapshot"));
    let etcd = Etcd::start(program, second.path());
    assert_eq!(number(&etcd.ctl(&["endpoint", "hashkv", "-w", "json"]), "hash"), hash_before);
    let lines = |fields: &str| -> Vec<String> {
        fields
            .lines()
            .filter(|line| !line.contains("ClusterID") && !line.contains("RaftTerm"))
            .map(Into::into)
            .collect()
    };
    assert_eq!(lines(&etcd.ctl(&["get", "", "--prefix", "-w", "fields"])), lines(&shown));
    drop(etcd);
}
