use std::fs;
use std::io::Read;

use ferretcd_apply::{Applied, StateMachine};
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::LogPosition;
use ferretcd_wal::SnapshotMark;

use super::*;
use crate::{Bootstrap, DataDir, StateConfig};

/// A database of etcd at entry `index`, with the member and these rows.
fn database(index: u64, rows: &[(Bucket, &str, &str)]) -> Vec<u8> {
    let id = founder().member_id("a").expect("the founder");
    let member = format!(r#"{{"id":{},"peerURLs":["http://localhost:2380"],"name":"a"}}"#, id.0);
    let mut batch = Batch::default();
    batch.put(Bucket::Members, id.to_string(), member);
    image(index, batch, rows)
}

fn image(index: u64, mut batch: Batch, rows: &[(Bucket, &str, &str)]) -> Vec<u8> {
    for &(bucket, key, value) in rows {
        batch.put(bucket, key.to_owned(), value.to_owned());
    }
    Applied { position: LogPosition::new(index, 1), ..Applied::default() }.store(&mut batch);
    let backend = Backend::in_memory();
    backend.commit(&batch).expect("memory");
    let mut image = Vec::new();
    let mut export = ferretcd_apply::snapshot::export(backend.view()).expect("memory");
    export.read_to_end(&mut image).expect("memory");
    image
}

/// The data directory of a lone etcd.
struct Etcd {
    /// Removed with the value.
    _dir: tempfile::TempDir,
    paths: Paths,
}

impl Etcd {
    /// One whose log has a single entry, which adds the member, and whose directory of snapshots has these files.
    fn with(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let paths = Paths::new(dir.path(), None);
        let locked = DataDir::lock(paths.clone(), true).expect("a new directory");
        locked.open_log("a", &founder()).expect("a new log");
        fs::create_dir_all(paths.snapshots()).expect("a directory");
        for (name, bytes) in files {
            fs::write(paths.snapshots().join(name), bytes).expect("a file");
        }
        Self { _dir: dir, paths }
    }

    fn open(&self) -> Result<(Backend, StateMachine), OpenError> {
        let locked = DataDir::lock(self.paths.clone(), true)?;
        let (_log, recovered, _) = locked.open_log("a", &founder())?;
        locked.open_state(&recovered, &config())
    }

    fn rejection(&self) -> String {
        let error = self.open().expect_err("there is a reason").to_string();
        assert!(!self.paths.state_file().exists(), "{error}");
        error.replace(&self.paths.snapshots().display().to_string(), "SNAP")
    }

    /// The files in the directory of snapshots and below, in order.
    fn files(&self) -> Vec<String> {
        let root = self.paths.snapshots();
        let mut dirs = vec![root.clone()];
        let mut found = Vec::new();
        while let Some(dir) = dirs.pop() {
            for file in fs::read_dir(dir).expect("a directory").flatten() {
                let path = file.path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    found.push(path.strip_prefix(&root).expect("below it").display().to_string());
                }
            }
        }
        found.sort_unstable();
        found
    }
}

fn founder() -> Bootstrap {
    let urls = vec!["http://localhost:2380".to_owned()];
    Bootstrap::New { initial_cluster: [("a".to_owned(), urls)].into(), token: "etcd-cluster".to_owned() }
}

fn config() -> StateConfig {
    let stores = ferretcd_apply::Config {
        mvcc: ferretcd_mvcc::Config { cache_bytes: 1 << 20 },
        lease: ferretcd_lease::Config { ttl_min: 2 },
    };
    StateConfig { backend: ferretcd_backend::Config { cache_bytes: 1 << 20 }, stores, check_pages: true }
}

fn version_of(machine: &StateMachine) -> String {
    machine.membership().version().unwrap_or_default().to_owned()
}

const VERSION: (Bucket, &str, &str) = (Bucket::Cluster, "clusterVersion", "3.6.0");

#[test]
fn a_database_becomes_the_state_once() {
    let files: &[(&str, &[u8])] = &[
        ("db", &database(1, &[VERSION])),
        ("0000000000000001-0000000000000001.snap", b"old"),
        ("0000000000000009.snap.db", b"left behind"),
        ("notes", b"not etcd's"),
    ];
    let etcd = Etcd::with(files);
    let (backend, machine) = etcd.open().expect("a database of etcd");
    assert_eq!((version_of(&machine), machine.applied().position.index), ("3.6.0".to_owned(), 1));
    drop((backend, machine));
    let aside = [
        "etcd-before-migration/0000000000000001-0000000000000001.snap",
        "etcd-before-migration/0000000000000009.snap.db",
        "etcd-before-migration/db",
        "notes",
    ];
    assert_eq!(etcd.files(), aside);
    assert_eq!(fs::read(etcd.paths.snapshots().join(aside[2])).expect("it was moved"), files[0].1);

    etcd.open().expect("its own state file");
    assert_eq!(etcd.files(), aside);
}

/// A crash came before the files were moved, or an etcd was started after it.
#[test]
fn the_state_file_counts_and_no_file_is_lost() {
    let etcd = Etcd::with(&[("db", &database(1, &[VERSION]))]);
    etcd.open().expect("a database of etcd");
    fs::write(etcd.paths.etcd_database(), database(1, &[])).expect("a file");
    let (_backend, machine) = etcd.open().expect("the state file");
    assert_eq!(version_of(&machine), "3.6.0");
    assert_eq!(etcd.files(), ["etcd-before-migration-2/db", "etcd-before-migration/db"]);
}

#[test]
fn a_crash_before_the_name_begins_again() {
    let etcd = Etcd::with(&[("db", &database(1, &[VERSION]))]);
    for leftover in ["state.new.redb", "state.new.part.redb"] {
        fs::write(etcd.paths.member().join(leftover), "half of a state").expect("a file");
    }
    let (_backend, machine) = etcd.open().expect("a database of etcd");
    assert_eq!(version_of(&machine), "3.6.0");
    let mut names: Vec<_> = fs::read_dir(etcd.paths.member()).expect("a directory").flatten().collect();
    names.retain(|file| file.file_name().to_string_lossy().starts_with("state"));
    assert_eq!(names.len(), 1, "{names:?}");
}

/// Where nothing has changed since the mark of the log, as in a restored directory, the row may be that of another cluster.
#[test]
fn the_log_says_which_configuration_counts() {
    let check = |row: Option<&str>, marked: Option<Vec<u64>>, expected: &str| {
        let row = row.map(|row| (Bucket::Meta, "confState", row));
        let etcd = Etcd::with(&[("db", &database(1, row.as_slice()))]);
        if let Some(voters) = marked {
            let locked = DataDir::lock(etcd.paths.clone(), true).expect("a directory");
            let (mut log, ..) = locked.open_log("a", &founder()).expect("a log");
            let conf_state = Some(ConfState { voters, ..ConfState::default() });
            log.mark_snapshot(&SnapshotMark { index: 1, term: 1, conf_state }).expect("a disk");
        }
        let (_backend, machine) = etcd.open().expect("a database of etcd");
        assert_eq!(machine.applied().conf_state, expected);
    };
    let three = r#"{"voters":[1,2,3],"auto_leave":false}"#;
    check(Some(three), Some(vec![7]), r#"{"voters":[7],"auto_leave":false}"#);
    // The founder was added behind the beginning of the log.
    check(Some(three), None, three);
    let own = founder().member_id("a").expect("the founder");
    check(None, None, &format!(r#"{{"voters":[{}],"auto_leave":false}}"#, own.0));
}

/// The state file cannot be used, but an etcd still can use its database.
#[test]
fn files_are_put_aside_when_the_state_is_known_to_be_of_use() {
    let etcd = Etcd::with(&[("db", &database(1, &[]))]);
    etcd.open().expect("a database of etcd");
    fs::write(etcd.paths.etcd_database(), database(9, &[])).expect("a file");
    let locked = DataDir::lock(etcd.paths.clone(), true).expect("a directory");
    let (mut log, ..) = locked.open_log("a", &founder()).expect("a log");
    let conf_state = Some(ConfState { voters: vec![7], ..ConfState::default() });
    log.mark_snapshot(&SnapshotMark { index: 9, term: 1, conf_state }).expect("a disk");
    drop((log, locked));
    let error = etcd.open().expect_err("the log begins behind it").to_string();
    assert!(error.contains("begins behind entry 9"), "{error}");
    assert_eq!(etcd.files(), ["db", "etcd-before-migration/db"]);
}

/// etcd remembers a snapshot of another member in the log first, and renames its database later.
#[test]
fn the_database_that_the_log_begins_with_is_taken() {
    let received = format!("{:016x}.snap.db", 7);
    let (old, new) = (database(5, &[]), database(7, &[VERSION]));
    let etcd = Etcd::with(&[("db", &old), (&received, &new)]);
    let found = |first| Database::find(&etcd.paths, first).expect("databases").expect("one of them").index;
    assert_eq!((found(5), found(7)), (5, 7));
    fs::remove_file(etcd.paths.snapshots().join(&received)).expect("it is there");
    assert_eq!(found(7), 5, "which is too old, as is said then");
}

#[test]
fn a_database_that_was_never_written_is_none() {
    let etcd = Etcd::with(&[("db", b"")]);
    let (_backend, machine) = etcd.open().expect("a new state");
    assert_eq!(machine.applied().position.index, 0);
}

#[test]
fn what_cannot_be_migrated_is_left_as_it_was() {
    let check = |image: &[u8], expected: &str| {
        let etcd = Etcd::with(&[("db", image)]);
        let error = etcd.rejection();
        assert!(error.starts_with("migrate SNAP/db, the database of an etcd server: "), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(fs::read(etcd.paths.etcd_database()).expect("it is there"), image);
        assert_eq!(etcd.files(), ["db"]);
    };
    check(&database(1, &[(Bucket::Cluster, "clusterVersion", "3.4.0")]), "is at version 3.4.0; upgrade it");
    check(&database(1, &[(Bucket::Cluster, "clusterVersion", "new")]), "is at version new; upgrade it");
    check(&database(2, &[]), "it is at entry 2, but the log ends at entry 1; restore both");
    check(&database(1, &[])[..4096], "the image ends after 4096 bytes");
    check(&image(1, Batch::default(), &[]), "it has no members; restore the snapshot again");
    check(&[7; 8192], "magic number is");
    check(&database(1, &[(Bucket::Key, "short", "row")]), "short");
}

#[test]
fn a_full_disk_ends_the_migration() {
    let etcd = Etcd::with(&[("db", &database(1, &[VERSION]))]);
    let locked = DataDir::lock(etcd.paths.clone(), true).expect("a directory");
    let (_log, recovered, _) = locked.open_log("a", &founder()).expect("a log");
    let full = |_: &Path| Ok(DiskSpace { total: 1 << 40, free: 5 });
    let error = migrate(&etcd.paths, &recovered, full).expect_err("there is no room").to_string();
    assert!(
        error.contains(": 5 bytes are free on the disk of the data directory, and 268435456 have"),
        "{error}"
    );
    assert_eq!(etcd.files(), ["db"]);
    let names: Vec<_> = fs::read_dir(etcd.paths.member()).expect("a directory").flatten().collect();
    assert!(names.iter().all(|file| !file.file_name().to_string_lossy().starts_with("state")), "{names:?}");
}

#[test]
fn a_database_that_is_in_use_is_not_touched() {
    let etcd = Etcd::with(&[("db", &database(1, &[]))]);
    let held = File::open(etcd.paths.etcd_database()).expect("it is there");
    held.lock().expect("no other lock");
    assert!(etcd.rejection().ends_with("in use by another process; stop it first"));
}

#[test]
fn a_database_without_a_log_is_no_member() {
    let etcd = Etcd::with(&[("db", &database(1, &[]))]);
    fs::remove_dir_all(etcd.paths.log()).expect("it is there");
    let error = etcd.rejection();
    assert!(error.starts_with("start: SNAP/db exists, but there is no log in "), "{error}");
    assert!(!etcd.paths.has_log(), "no new log was begun");
}
