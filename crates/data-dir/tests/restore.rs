//! Snapshot files become members, and members become directories of etcd.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use ferretcd_apply::{Applied, StateMachine};
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::LogPosition;
use ferretcd_bolt::{HashWriter, Reader};
use ferretcd_data_dir::{Bootstrap, DataDir, Paths, Restore, RestoreError, StateConfig, leave_to_etcd};

const OLD_MEMBER: &str = r#"{"id":31,"peerURLs":["http://old:2380"],"name":"old"}"#;

/// A snapshot file of a cluster of old members, at revision 5.
fn snapshot(with_hash: bool) -> Vec<u8> {
    let mut batch = Batch::default();
    batch.put(Bucket::Members, "1f", OLD_MEMBER);
    batch.put(Bucket::MembersRemoved, "20", "removed");
    batch.put(Bucket::Cluster, "clusterVersion", "3.7.0");
    let row = [&5i64.to_be_bytes()[..], b"_", &0i64.to_be_bytes()].concat();
    // Key "k", created and changed at revision 5, version 1, value "v".
    batch.put(Bucket::Key, row, &b"\x0a\x01k\x10\x05\x18\x05\x20\x01\x2a\x01v"[..]);
    let conf_state = r#"{"voters":[31],"auto_leave":false}"#.into();
    Applied { position: LogPosition::new(900, 7), conf_state }.store(&mut batch);
    let backend = Backend::in_memory();
    backend.commit(&batch).expect("memory");
    let mut image = Vec::new();
    let mut export = ferretcd_apply::snapshot::export(backend.view()).expect("memory");
    export.read_to_end(&mut image).expect("memory");
    if with_hash {
        let mut hashed = HashWriter::new(Vec::new());
        hashed.write_all(&image).expect("memory");
        let (written, hash) = hashed.finish();
        image = [&written[..], &hash].concat();
    }
    image
}

fn restore(bump_revision: u64) -> Restore {
    let founders = [("a", "http://h:1"), ("b", "http://h:2")];
    let founders = founders.map(|(name, url)| (name.to_owned(), vec![url.to_owned()]));
    let bootstrap = Bootstrap::New { initial_cluster: founders.into(), token: "new".to_owned() };
    Restore { name: "a".to_owned(), bootstrap, accepts_missing_hash: false, bump_revision }
}

/// Restores into a new directory below `root`.
fn run(restore: &Restore, root: &Path, image: &[u8]) -> Result<Paths, RestoreError> {
    let (file, paths) = (root.join("snapshot"), Paths::new(&root.join("data"), None));
    fs::write(&file, image).expect("a file");
    restore.run(&file, &paths, |_| ()).map(|_| paths)
}

fn open(paths: &Paths) -> StateMachine {
    let stores = ferretcd_apply::Config {
        mvcc: ferretcd_mvcc::Config { cache_bytes: 1 << 20 },
        lease: ferretcd_lease::Config { ttl_min: 2 },
    };
    let config =
        StateConfig { backend: ferretcd_backend::Config { cache_bytes: 1 << 20 }, stores, check_pages: true };
    let data_dir = DataDir::lock(paths.clone(), true).expect("no other process");
    let (_log, recovered, identity) = data_dir.open_log("a", &restore(0).bootstrap).expect("a whole log");
    assert_eq!(Some(identity.member_id), restore(0).bootstrap.member_id("a"));
    assert_eq!((recovered.snapshot.index, recovered.entries.len()), (2, 0), "the founders are in the state");
    data_dir.open_state(&recovered, &config).expect("a whole state").1
}

#[test]
fn a_snapshot_becomes_a_member_of_a_new_cluster() {
    let root = tempfile::tempdir().expect("a directory");
    let machine = open(&run(&restore(0), root.path(), &snapshot(true)).expect("a snapshot"));
    let members: Vec<_> = machine.membership().members().map(|member| member.name.clone()).collect();
    assert_eq!(members.len(), 2);
    assert!(members.contains(&"a".to_owned()) && members.contains(&"b".to_owned()), "{members:?}");
    assert_eq!(machine.membership().version(), Some("3.7.0"));
    assert_eq!(machine.applied().position, LogPosition::new(2, 1));
    assert_eq!(machine.applied().conf_state, machine.membership().conf_state_json());
    assert_eq!((machine.revision(), machine.reader().compacted()), (5, -1));
}

#[test]
fn a_raised_revision_is_above_all_that_clients_have_seen() {
    let root = tempfile::tempdir().expect("a directory");
    let machine = open(&run(&restore(1000), root.path(), &snapshot(true)).expect("a snapshot"));
    assert_eq!((machine.revision(), machine.reader().compacted()), (1005, 1005));
}

#[test]
fn what_cannot_be_restored_leaves_no_member() {
    let check = |restore: &Restore, image: &[u8], expected: &str| {
        let root = tempfile::tempdir().expect("a directory");
        let error = run(restore, root.path(), image).expect_err("there is a reason").to_string();
        assert!(error.contains(expected), "{error}");
        let paths = Paths::new(&root.path().join("data"), None);
        assert!(!paths.member().exists(), "{error}");
    };
    let good = snapshot(true);
    check(&restore(0), &snapshot(false), "snapshot missing hash but --skip-hash-check=false");
    check(&restore(0), &good[..good.len() - 1], "save another snapshot");
    let mut changed = good.clone();
    changed[5000] ^= 1;
    check(&restore(0), &changed, "match the image with the hash behind it");
    check(&restore(u64::MAX), &good, "--bump-revision=18446744073709551615 is too large");
    check(&Restore { name: "c".to_owned(), ..restore(0) }, &good, "couldn't find local name \"c\"");
}

#[test]
fn a_directory_with_files_is_not_touched() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("data")).expect("a new directory");
    run(&restore(0), root.path(), &snapshot(true)).expect("an empty directory is as good as none");
    let error = run(&restore(0), root.path(), &snapshot(true)).expect_err("it has a member").to_string();
    assert!(error.contains("not empty or could not be read"), "{error}");
}

#[test]
fn a_directory_left_to_etcd_has_its_database() {
    let root = tempfile::tempdir().expect("a directory");
    let paths = run(&restore(0), root.path(), &snapshot(true)).expect("a snapshot");
    open(&paths);
    let mut told = (0, 0);
    let left = leave_to_etcd(paths.clone(), |done, all| told = (done, all)).expect("it is down");
    assert_eq!((left.index, told), (2, (left.bytes, left.bytes)));
    assert!(!paths.state_file().exists() && left.state_file.exists());
    let image = fs::File::open(paths.etcd_database()).expect("a database");
    let reader = Reader::open(&image).expect("an image");
    let key = reader.bucket(b"key").expect("readable").expect("there is one");
    assert_eq!(key.rows().count(), 1);

    // And back.
    assert_eq!(open(&paths).revision(), 5);
    let error = leave_to_etcd(Paths::new(root.path(), None), |_, _| ()).expect_err("no member").to_string();
    assert!(error.contains("is not one of a member of ferretcd"), "{error}");
}

#[test]
fn a_running_member_is_not_left() {
    let root = tempfile::tempdir().expect("a directory");
    let paths = run(&restore(0), root.path(), &snapshot(true)).expect("a snapshot");
    let _running = DataDir::lock(paths.clone(), true).expect("no other process");
    let error = leave_to_etcd(paths.clone(), |_, _| ()).expect_err("it runs").to_string();
    assert!(error.ends_with("in use by another process; stop it first"), "{error}");
    assert!(paths.state_file().exists());
}
