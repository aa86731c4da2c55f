//! Logs that a real etcd wrote; see `fixtures/README.md`.

use std::fs;
use std::path::Path;

use ferretcd_wal::{Entry, EntryKind, HardState, Metadata, Recovered, SnapshotMark, Wal};

use crate::common::config;

const METADATA: Metadata =
    Metadata { node_id: 3_211_106_759_432_434_375, cluster_id: 14_930_912_536_174_976_129 };
const SEGMENT: &str = "0000000000000000-0000000000000000.wal";

/// Opens a copy of the fixture in its preallocated form.
fn open(segment: &[u8], path: &Path) -> (Wal, Recovered) {
    fs::create_dir(path).unwrap();
    fs::write(path.join(SEGMENT), segment).unwrap();
    fs::File::options().write(true).open(path.join(SEGMENT)).unwrap().set_len(64_000_000).unwrap();
    Wal::open(path, config(64_000_000)).unwrap()
}

/// Key and value, if the entry is a put of less than 128 bytes in etcd's request encoding.
fn put(entry: &Entry) -> Option<(&str, &str)> {
    let (&[0x22, 0..0x80], request) = entry.data.split_first_chunk::<2>()? else { return None };
    let (key, rest) = take_string(request, 0x0a)?;
    let (value, _) = take_string(rest, 0x12)?;
    Some((key, value))
}

/// A field of less than 128 bytes: its tag, its length, its content.
fn take_string(bytes: &[u8], expected_tag: u8) -> Option<(&str, &[u8])> {
    let (&[tag, len], rest) = bytes.split_first_chunk()?;
    let (content, rest) = rest.split_at_checked(len.into()).filter(|_| tag == expected_tag)?;
    Some((std::str::from_utf8(content).ok()?, rest))
}

#[test]
fn entries_state_and_metadata() {
    let temp = tempfile::tempdir().unwrap();
    let (_, found) = open(include_bytes!("../fixtures/etcd-3.4.23.wal"), &temp.path().join("wal"));
    assert_eq!(found.metadata, METADATA);
    assert_eq!(found.snapshot, SnapshotMark::default());
    assert_eq!(found.hard_state, HardState { term: 3, vote: METADATA.node_id, commit: 34 });

    assert_eq!(found.entries.len(), 34);
    assert!(found.entries.iter().zip(1..).all(|(e, index)| e.index == index));
    let terms: Vec<_> = found.entries.iter().map(|e| e.term).collect();
    assert!(terms.is_sorted(), "{terms:?}");
    assert_eq!((terms[0], terms[1], terms[33]), (1, 2, 3));

    assert_eq!(found.entries[0].kind, EntryKind::ConfChange);
    assert!(found.entries[0].data.ends_with(br#""name":"m1"}"#));
    assert!(found.entries[1..].iter().all(|e| e.kind == EntryKind::Normal));
    assert!(found.entries[1].data.is_empty(), "the first entry of a leader");
    let puts: Vec<_> = found.entries.iter().filter_map(put).collect();
    assert_eq!(puts.len(), 24);
    assert_eq!((puts[0], puts[11]), (("key1", "value1"), ("key12", "value12")));
    assert_eq!((puts[12], puts[23]), (("key1", "again1"), ("key12", "again12")));
    assert!(found.entries.iter().any(|e| e.data.len() > 1500));
}

#[test]
fn recovery_starts_at_the_last_mark() {
    let temp = tempfile::tempdir().unwrap();
    let (_, found) = open(include_bytes!("../fixtures/etcd-3.4.23-snapshots.wal"), &temp.path().join("wal"));
    assert_eq!(found.snapshot, SnapshotMark { index: 33, term: 3, conf_state: None });
    assert_eq!(found.hard_state, HardState { term: 3, vote: METADATA.node_id, commit: 34 });
    assert_eq!(found.entries.iter().map(|e| e.index).collect::<Vec<_>>(), [34]);
}

#[test]
fn a_log_of_etcd_is_continued() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("wal");
    let segment = include_bytes!("../fixtures/etcd-3.4.23.wal");
    let (mut wal, mut found) = open(segment, &path);
    let next = Entry { term: 4, index: 35, kind: EntryKind::Normal, data: "next".into() };
    found.hard_state = HardState { term: 4, vote: 1, commit: 35 };
    wal.append(std::slice::from_ref(&next), Some(found.hard_state)).unwrap();
    wal.sync().unwrap();
    found.entries.push(next);
    drop(wal);
    assert_eq!(Wal::open(&path, config(64_000_000)).unwrap().1, found);
    let written = fs::read(path.join(SEGMENT)).unwrap();
    assert!(written.starts_with(segment), "what etcd wrote stays as it is");
    assert_eq!(written.len(), 64_000_000);
}
