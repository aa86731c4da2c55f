//! Files that can be opened, and the errors for others.

use std::error::Error as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::contents;
use ferretcd_backend::{Backend, Batch, Bucket, Config, MemoryMedium, OpenError};

const CONFIG: Config = Config { cache_bytes: 1 << 20 };

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("the system has room for temporary files");
    let path = directory.path().join("db");
    (directory, path)
}

fn commit_rows(backend: &Backend, n: u32) {
    let mut batch = Batch::default();
    for i in 0..n {
        batch.put(Bucket::Key, i.to_be_bytes().to_vec(), vec![7; 300]);
    }
    backend.commit(&batch).expect("the disk works");
}

/// Opening `bytes` fails with a text that names the file, and leaves them alone.
fn check_foreign(bytes: &[u8], expected: &str) {
    let (_directory, path) = directory();
    fs::write(&path, bytes).expect("the disk works");
    let error = Backend::open(&path, &CONFIG).expect_err("it is no backend");
    let text = error.to_string();
    assert!(text.starts_with(&format!("open {}: it {expected}", path.display())), "{text}");
    assert_eq!(fs::read(&path).expect("the disk works"), bytes);
}

#[test]
fn a_foreign_file_is_named_and_left_alone() {
    let mut bolt = vec![0; 16384];
    bolt[8] = 4;
    bolt[16..20].copy_from_slice(&0xED0C_DAED_u32.to_le_bytes());
    check_foreign(&bolt, "is an etcd database (bbolt format)");
    check_foreign(b"short", "is not a database");
    check_foreign(&[b'x'; 10_000], "is not a database");
    check_foreign(&vec![0; 9 << 20], "is not a database");
    let mut zeros_with_an_end = vec![0; 1 << 20];
    zeros_with_an_end[(1 << 20) - 1] = 1;
    check_foreign(&zeros_with_an_end, "is not a database");
}

#[test]
fn a_redb_file_of_another_program_is_rejected() {
    let (_directory, path) = directory();
    let other = redb::Database::create(&path).expect("the disk works");
    let transaction = other.begin_write().expect("the disk works");
    drop(transaction.open_table(redb::TableDefinition::<u64, u64>::new("theirs")).expect("the disk works"));
    transaction.commit().expect("the disk works");
    drop(other);
    let bytes = fs::read(&path).expect("the disk works");
    let error = Backend::open(&path, &CONFIG).expect_err("it has no mark");
    let expected = format!("open {}: it is a redb database of another program", path.display());
    assert_eq!(error.to_string(), expected);
    // Opening and closing it is all that happened: it still has its one table, and no other.
    assert_eq!(fs::metadata(&path).expect("the disk works").len(), bytes.len() as u64);
    let other = redb::Database::open(&path).expect("it is whole");
    let transaction = redb::ReadableDatabase::begin_read(&other).expect("it is whole");
    assert_eq!(transaction.list_tables().expect("it is whole").count(), 1);
}

#[test]
fn a_creation_cut_short_is_begun_again() {
    let (_directory, path) = directory();
    fs::write(&path, vec![0; 1 << 20]).expect("the disk works");
    commit_rows(&Backend::open(&path, &CONFIG).expect("it holds nothing"), 3);
    let backend = Backend::open(&path, &CONFIG).expect("it is a backend now");
    assert_eq!(backend.view().count(Bucket::Key).expect("the disk works"), 3);
}

#[test]
fn a_second_opener_is_rejected_until_the_last_view_is_gone() {
    let (_directory, path) = directory();
    let backend = Backend::open(&path, &CONFIG).expect("a new file");
    let in_use = format!("open {}: it is in use by another process; stop that one first", path.display());
    let rejected = || Backend::open(&path, &CONFIG).expect_err("it is in use").to_string();
    assert_eq!(rejected(), in_use);
    let view = backend.view();
    drop(backend);
    assert_eq!(rejected(), in_use);
    assert_eq!(view.count(Bucket::Key).expect("it keeps the file open"), 0);
    drop(view);
    Backend::open(&path, &CONFIG).expect("it is not open");
}

#[test]
fn errors_of_the_file_system_are_returned() {
    let (_directory, path) = directory();
    let path = path.join("in-a-directory-that-does-not-exist");
    let error = Backend::open(&path, &CONFIG).expect_err("there is no such directory");
    assert!(matches!(error, OpenError::Io { .. }));
    assert_eq!(error.to_string(), format!("open {}", path.display()));
    assert!(error.source().is_some(), "the system's reason follows");
}

/// A killed process leaves what the system holds of its file: the same as a copy of it now.
fn copy_as_after_a_kill(path: &Path) -> PathBuf {
    let copy = path.with_extension("copy");
    fs::copy(path, &copy).expect("the disk works");
    copy
}

#[test]
fn a_file_survives_reopening_and_a_kill() {
    let (_directory, path) = directory();
    let backend = Backend::open(&path, &CONFIG).expect("a new file");
    commit_rows(&backend, 1000);
    let (expected, size) = (contents(&backend.view()), backend.size());
    let killed = Backend::open(&copy_as_after_a_kill(&path), &CONFIG).expect("no orderly end is needed");
    assert_eq!(contents(&killed.view()), expected);
    drop(backend);
    let backend = Backend::open(&path, &CONFIG).expect("it was closed in order");
    assert_eq!(contents(&backend.view()), expected);
    assert_eq!(backend.size().rows, size.rows);
}

#[test]
fn size_distinguishes_bytes_on_disk_from_bytes_in_use() {
    let (_directory, path) = directory();
    let backend = Backend::open(&path, &CONFIG).expect("a new file");
    let new = backend.size();
    assert!(new.rows == 0 && new.in_use < 200_000, "{new:?}");
    commit_rows(&backend, 10_000);
    let full = backend.size();
    assert!(full.rows > 10_000 * 304 && full.in_use <= full.total, "{full:?}");
    assert!(full.total <= fs::metadata(&path).expect("the disk works").len(), "{full:?}");
    let pages = backend.check().expect("it is whole").bytes;
    let ratio = full.in_use as f64 / pages as f64;
    assert!((1.0..1.2).contains(&ratio), "{full:?}, {pages} in pages of the commit");

    let mut batch = Batch::default();
    (0..10_000_u32).for_each(|i| batch.delete(Bucket::Key, i.to_be_bytes().to_vec()));
    backend.commit(&batch).expect("the disk works");
    let emptied = backend.size();
    assert!(emptied.rows == 0 && emptied.in_use > full.in_use / 2, "freed, but not yet free: {emptied:?}");
    for _ in 0..2 {
        commit_rows(&backend, 1);
    }
    assert!(backend.size().in_use < new.in_use + 100_000, "{:?}", backend.size());
    assert!(backend.size().total >= full.total / 2, "room once taken is kept for later rows");
    commit_rows(&backend, 10_000);
    drop(backend);
    // Closing cuts the end off.
    let backend = Backend::open(&path, &CONFIG).expect("it was closed in order");
    let pages = backend.check().expect("it is whole").bytes;
    let ratio = backend.size().in_use as f64 / pages as f64;
    assert!((1.0..1.2).contains(&ratio), "{:?}, {pages} in pages of the commit", backend.size());
}

#[test]
fn a_large_file_opens_without_a_scan_after_a_crash() {
    let medium = MemoryMedium::new();
    let backend = Backend::open_on(medium.clone(), &CONFIG).expect("memory does not fail");
    commit_rows(&backend, 50_000);
    let crashed = Backend::open_on(medium.crash(|| false), &CONFIG).expect("a crash leaves a whole file");
    assert_eq!(crashed.view().count(Bucket::Key).expect("memory does not fail"), 50_000);
    assert!(!crashed.was_scanned());
}

#[test]
fn a_closed_file_is_checked_without_being_opened() {
    let (_directory, path) = directory();
    let check = || Backend::check_file(&path).map_err(|error| error.to_string());
    assert_eq!(check(), Err(format!("open {}", path.display())), "it is not created");
    let backend = Backend::open(&path, &CONFIG).expect("a new file");
    commit_rows(&backend, 1000);
    assert!(check().expect_err("another process has it open").contains("is in use"));
    let n_pages = backend.check().expect("it is whole").pages;
    drop(backend);
    let bytes = fs::read(&path).expect("the disk works");
    // Closing it may have put some of the tables of redb into other pages.
    assert!(check().expect("it is whole").pages.abs_diff(n_pages) < 10);
    assert_eq!(fs::read(&path).expect("the disk works"), bytes);

    let mut damaged = bytes;
    damaged.iter_mut().skip(4096 + 100).step_by(4096).for_each(|byte| *byte ^= 1);
    fs::write(&path, &damaged).expect("the disk works");
    let text = check().expect_err("all its pages are damaged");
    let expected = format!("open {}: it is damaged: the page at byte ", path.display());
    assert!(text.starts_with(&expected) && text.contains("does not match its checksum; restore"), "{text}");
    fs::write(&path, b"no state file, although it is long enough for a header".repeat(20))
        .expect("the disk works");
    assert!(check().expect_err("it is none").contains("it does not begin like a state file"));
}
