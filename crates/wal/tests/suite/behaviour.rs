//! The log as its caller uses it: creation, locks, errors, poison, marks, release.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use ferretcd_wal::{Dir, Error, Fault, HardState, MemDir, Metadata, Operation, Recovered, SnapshotMark, Wal};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::common::{METADATA, config, entries, entry, mark};

const STATE: HardState = HardState { term: 1, vote: 7, commit: 0 };

fn committed(commit: u64) -> HardState {
    HardState { commit, ..STATE }
}

fn create(disk: &MemDir, segment_bytes: u64) -> Wal {
    Wal::create_on(disk.clone(), METADATA, config(segment_bytes)).unwrap()
}

fn open(disk: &MemDir) -> Result<Recovered, Error> {
    Wal::open_on(disk.clone(), config(4096)).map(|(_, recovered)| recovered)
}

fn n_segments(disk: &MemDir) -> usize {
    disk.list().unwrap().iter().filter(|name| name.ends_with(".wal")).count()
}

#[test]
fn a_log_on_disk() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("member/wal");
    assert!(!Wal::exists(&path));
    assert!(matches!(Wal::open(&path, config(4096)), Err(Error::Io { .. } | Error::NotFound { .. })));

    // The remains of a creation that did not finish are no obstacle.
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("0.tmp"), vec![1; 9000]).unwrap();
    let mut wal = Wal::create(&path, METADATA, config(4096)).unwrap();
    assert!(Wal::exists(&path));
    assert!(!path.join("0.tmp").exists());
    assert!(matches!(Wal::create(&path, METADATA, config(4096)), Err(Error::Exists { .. })));
    let second = Wal::open(&path, config(4096)).unwrap_err();
    assert!(matches!(second, Error::InUse { .. }), "{second}");

    let log = entries(1, 1..=60, 300);
    for entries in log.chunks(3) {
        assert!(wal.append(entries, Some(STATE)).unwrap());
        wal.sync().unwrap();
    }
    assert!(wal.written_bytes() > 60 * 300);
    drop(wal);
    let (mut wal, found) = Wal::open(&path, config(4096)).unwrap();
    assert_eq!((found.entries, found.hard_state, found.metadata), (log, STATE, METADATA));

    let names = || {
        let mut names: Vec<_> = FsNames::of(&path).collect();
        names.sort();
        names
    };
    let n = names().len();
    assert!(n > 4);
    assert_eq!(names()[0].0, "0000000000000000-0000000000000000.wal");
    assert_eq!(names()[n - 1].1, 4096, "the last one is preallocated");
    for (name, _) in &names()[..n - 1] {
        let bytes = fs::read(path.join(name)).unwrap();
        assert!(
            bytes.len() >= 4096 && bytes[bytes.len() - 8..] != [0; 8],
            "{name} ends with its last record"
        );
    }
    wal.append(&[], Some(committed(60))).unwrap();
    wal.mark_snapshot(&mark(60, 1)).unwrap();
    assert_eq!(wal.release(60, 2).unwrap(), n - 2);
    assert_eq!(names().len(), 2);
    drop(wal);
    let (_, found) = Wal::open(&path, config(4096)).unwrap();
    assert_eq!((found.entries, found.snapshot), (vec![], mark(60, 1)));
}

/// Names and lengths of the files in a directory.
struct FsNames;

impl FsNames {
    fn of(path: &std::path::Path) -> impl Iterator<Item = (String, u64)> {
        fs::read_dir(path).unwrap().map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), file.metadata().unwrap().len())
        })
    }
}

#[test]
fn entries_terms_and_votes_owe_a_sync() {
    let disk = MemDir::new();
    let mut wal = create(&disk, 4096);
    let mut check = |entries: &[_], state, owed| assert_eq!(wal.append(entries, state).unwrap(), owed);
    check(&[], None, false);
    check(&[], Some(HardState::default()), false);
    check(&[entry(1, 1, 5)], None, true);
    check(&[], Some(STATE), true);
    check(&[], Some(STATE), false);
    check(&[], Some(committed(1)), false);
    check(&[], Some(HardState { vote: 8, ..committed(1) }), true);
    check(&[], Some(HardState { term: 2, vote: 8, commit: 1 }), true);
    check(&[entry(2, 2, 5)], Some(HardState { term: 2, vote: 8, commit: 1 }), true);
}

#[test]
fn a_rejected_call_changes_nothing() {
    let disk = MemDir::new();
    let mut wal = create(&disk, 4096);
    wal.append(&entries(1, 1..=5, 10), Some(committed(5))).unwrap();
    wal.mark_snapshot(&mark(3, 1)).unwrap();
    let before = wal.written_bytes();

    for (indices, first, last) in [(vec![7], 4, 6), (vec![3], 4, 6), (vec![6, 8], 7, 7), (vec![5, 5], 6, 6)] {
        let batch: Vec<_> = indices.iter().map(|&index| entry(1, index, 1)).collect();
        let rejected = wal.append(&batch, None).unwrap_err();
        let Error::NotContiguous { first: f, last: l, .. } = rejected else { panic!("{rejected}") };
        assert_eq!((f, l), (first, last), "{indices:?}");
    }
    let without_term = [
        wal.append(&[entry(0, 6, 1)], None).unwrap_err(),
        wal.append(&[], Some(HardState { term: 0, vote: 1, commit: 0 })).unwrap_err(),
        wal.mark_snapshot(&mark(5, 0)).unwrap_err(),
    ];
    assert!(without_term.iter().all(|e| matches!(e, Error::NoTerm { .. })), "{without_term:?}");
    for (index, term) in [(2, 1), (3, 2)] {
        let rejected = wal.mark_snapshot(&mark(index, term)).unwrap_err();
        assert!(matches!(rejected, Error::MarkOutOfOrder { last_index: 3, last_term: 1, .. }), "{rejected}");
    }
    let rejected = wal.mark_snapshot(&SnapshotMark { conf_state: None, ..mark(4, 1) }).unwrap_err();
    assert!(matches!(rejected, Error::MarkWithoutMembers { index: 4 }), "{rejected}");

    assert_eq!(wal.written_bytes(), before);
    wal.append(&[entry(1, 6, 1)], None).unwrap();
}

#[test]
fn a_failed_write_is_final() {
    for operation in
        [Operation::Write, Operation::SyncData, Operation::Resize, Operation::Name, Operation::SyncDir]
    {
        let disk = MemDir::new();
        let mut wal = create(&disk, 1000);
        wal.append(&entries(1, 1..=2, 100), Some(STATE)).unwrap();
        wal.sync().unwrap();
        disk.fail_next(operation);
        let large = entries(1, 3..=5, 600);
        let failed = wal.append(&large, None).and_then(|_| wal.sync()).unwrap_err();
        assert!(matches!(failed, Error::Io { .. }), "{operation:?}: {failed}");

        assert!(matches!(wal.append(&large, None), Err(Error::Poisoned)));
        assert!(matches!(wal.sync(), Err(Error::Poisoned)));
        assert!(matches!(wal.mark_snapshot(&mark(1, 1)), Err(Error::Poisoned)));
        assert!(matches!(wal.release(1, 1), Err(Error::Poisoned)));
        drop(wal);
        for disk in [disk.crash(), disk] {
            let found = open(&disk).unwrap();
            assert!(found.entries.len() >= 2, "{operation:?}");
            assert!(
                entries(1, 1..=2, 100)
                    .into_iter()
                    .chain(large.clone())
                    .zip(found.entries)
                    .all(|(a, b)| a == b)
            );
        }
    }
}

#[test]
fn a_mark_covers_what_is_recorded_as_committed() {
    let disk = MemDir::new();
    let mut wal = create(&disk, 4096);
    wal.append(&entries(1, 1..=9, 10), Some(committed(2))).unwrap();
    wal.mark_snapshot(&mark(6, 1)).unwrap();
    let found = open(&disk.crash()).unwrap();
    assert_eq!((found.snapshot.index, found.hard_state), (6, committed(6)));
    assert_eq!(found.entries, entries(1, 7..=9, 10));

    // A hard state from before the mark does not lower it again.
    wal.append(&[], Some(committed(4))).unwrap();
    wal.sync().unwrap();
    assert_eq!(open(&disk.crash()).unwrap().snapshot.index, 6);

    // A mark of a term that this member has not seen yet: it cannot have voted in it.
    wal.mark_snapshot(&mark(20, 5)).unwrap();
    wal.append(&entries(5, 21..=22, 1), None).unwrap();
    wal.sync().unwrap();
    let found = open(&disk.crash()).unwrap();
    assert_eq!((found.snapshot, found.hard_state), (mark(20, 5), HardState { term: 5, vote: 0, commit: 20 }));
    assert_eq!(found.entries, entries(5, 21..=22, 1));
}

#[test]
fn a_received_snapshot_drops_the_history_it_contradicts() {
    let disk = MemDir::new();
    let mut wal = create(&disk, 4096);
    wal.append(&entries(1, 1..=9, 10), Some(committed(2))).unwrap();
    wal.mark_snapshot(&mark(6, 3)).unwrap();
    assert_eq!(open(&disk.crash()).unwrap().entries, []);
    wal.append(&entries(3, 7..=7, 10), None).unwrap();
    wal.sync().unwrap();
    assert_eq!(open(&disk.crash()).unwrap().entries, entries(3, 7..=7, 10));
}

#[test]
fn release_keeps_what_recovery_needs() {
    let disk = MemDir::new();
    let mut wal = create(&disk, 1000);
    for index in 1..=20 {
        wal.append(&[entry(1, index, 400)], Some(committed(index))).unwrap();
        wal.sync().unwrap();
    }
    assert_eq!(wal.release(20, 1).unwrap(), 0, "nothing is marked");
    wal.mark_snapshot(&mark(10, 1)).unwrap();
    let n = n_segments(&disk);
    assert!(n > 5);
    assert_eq!(wal.release(20, n).unwrap(), 0, "as many stay as are requested");
    assert_eq!(wal.release(20, n - 1).unwrap(), 1);
    let removed = wal.release(20, 0).unwrap();
    assert!(removed > 0);
    let found = open(&disk.crash()).unwrap();
    assert_eq!((found.snapshot.index, found.entries), (10, entries(1, 11..=20, 400)));

    wal.mark_snapshot(&mark(20, 1)).unwrap();
    wal.release(20, 0).unwrap();
    assert!(n_segments(&disk) <= 2);
    assert_eq!(open(&disk.crash()).unwrap().entries, []);
}

#[test]
fn failing_to_delete_is_not_final() {
    let disk = MemDir::new();
    let mut wal = create(&disk, 1000);
    for index in 1..=9 {
        wal.append(&[entry(1, index, 900)], Some(committed(index))).unwrap();
        wal.sync().unwrap();
    }
    wal.mark_snapshot(&mark(9, 1)).unwrap();
    disk.fail_next(Operation::Name);
    assert!(matches!(wal.release(9, 1), Err(Error::Io { action: "remove", .. })));
    assert!(wal.release(9, 1).unwrap() > 5);
}

/// Creates a log in the directory that `prepare` makes below a root, and returns the root's files with their contents.
fn check_strangers(prepare: impl FnOnce(&Path) -> PathBuf, strangers: &[&str]) {
    let temp = tempfile::tempdir().unwrap();
    let path = prepare(temp.path());
    let content = |name: &str| fs::read_to_string(temp.path().join(name)).unwrap();
    for name in strangers {
        fs::create_dir_all(temp.path().join(name).parent().unwrap()).unwrap();
        fs::write(temp.path().join(name), name).unwrap();
    }
    let log = entries(1, 1..=3, 10);
    drop(Wal::create_with(&path, METADATA, &log, Some(STATE), config(4096)).unwrap());
    assert_eq!(Wal::open(&path, config(4096)).unwrap().1.entries, log);
    for name in strangers {
        assert_eq!(content(name), *name);
    }
}

#[test]
fn a_directory_may_be_there_with_files_of_others() {
    let made = |root: &Path| {
        fs::create_dir(root.join("log")).unwrap();
        root.join("log")
    };
    check_strangers(made, &[]);
    check_strangers(
        made,
        &["log/README", "log/lost+found/#1", "log/.hidden", "log/backup.wal", "log.tmp/file"],
    );
    check_strangers(|root| root.join("a/b/log"), &["a/file"]);
    let linked = |root: &Path| {
        fs::create_dir(root.join("elsewhere")).unwrap();
        symlink(root.join("elsewhere"), root.join("log")).unwrap();
        root.join("log")
    };
    check_strangers(linked, &["elsewhere/README"]);
}

/// Does `work` without root's right to pass over permissions, which is a thread's own.
fn without_capabilities(work: impl FnOnce() + Send) {
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            set_capabilities(None, none).unwrap();
            work();
        });
    });
}

#[test]
fn a_log_below_a_directory_that_cannot_be_read() {
    let temp = tempfile::tempdir().unwrap();
    let set_mode = |mode| fs::set_permissions(temp.path(), fs::Permissions::from_mode(mode)).unwrap();
    let path = temp.path().join("mounted");
    fs::create_dir(&path).unwrap();
    set_mode(0o111);
    without_capabilities(|| {
        fs::read_dir(temp.path()).unwrap_err();
        for log in [&path, &path.join("member/wal")] {
            drop(Wal::create(log, METADATA, config(4096)).unwrap());
            Wal::open(log, config(4096)).unwrap();
        }
    });
    set_mode(0o700);
}

#[test]
fn a_path_that_cannot_be_a_directory_is_an_error() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("file"), "").unwrap();
    symlink(temp.path().join("nowhere"), temp.path().join("link")).unwrap();
    for name in ["file", "file/below", "link"] {
        let error = Wal::create(&temp.path().join(name), METADATA, config(4096)).unwrap_err();
        assert!(matches!(error, Error::Io { action: "create", .. }), "{name}: {error}");
    }
}

/// Each segment as a file of its own that a test can take away or exchange.
fn segments(disk: &MemDir) -> Vec<String> {
    let mut names = disk.list().unwrap();
    names.retain(|name| name.ends_with(".wal"));
    names
}

fn log_of_five_segments(metadata: Metadata) -> MemDir {
    let disk = MemDir::new();
    let mut wal = Wal::create_on(disk.clone(), metadata, config(1000)).unwrap();
    for index in 1..=4 {
        wal.append(&[entry(1, index, 1000)], Some(committed(index))).unwrap();
        wal.sync().unwrap();
    }
    assert_eq!(n_segments(&disk), 5);
    disk
}

#[test]
fn a_missing_segment_is_an_error() {
    let disk = log_of_five_segments(METADATA);
    let names = segments(&disk);
    disk.remove(&names[2]).unwrap();
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, Error::MissingSegment { expected: 2, .. }), "{error}");

    let disk = log_of_five_segments(METADATA);
    disk.remove(&names[0]).unwrap();
    let error = open(&disk).unwrap_err();
    assert!(matches!(error, Error::NoStart { n_marks: 0, .. }), "{error}");

    let disk = MemDir::new();
    disk.create("0.tmp").unwrap();
    disk.create("notes.txt").unwrap();
    assert!(matches!(open(&disk), Err(Error::NotFound { .. })));
}

#[test]
fn a_segment_of_another_log_is_an_error() {
    let (disk, other) = (log_of_five_segments(METADATA), log_of_five_segments(Metadata::default()));
    let name = &segments(&disk)[4];
    let from = other.open(name).unwrap();
    let mut bytes = vec![0; from.size().unwrap() as usize];
    from.read_at(&mut bytes, 0).unwrap();
    disk.create(name).unwrap().write_at(&bytes, 0).unwrap();
    let error = open(&disk).unwrap_err();
    // The checksum over the log before differs, which is noticed first.
    assert!(matches!(error, Error::Corrupt { offset: 0, fault: Fault::Checksum { .. }, .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(name.as_str()) && text.contains("at offset 0"), "{text}");
}

#[test]
fn a_torn_end_is_kept_aside() {
    let disk = MemDir::new();
    let mut wal = create(&disk, 4096);
    wal.append(&entries(1, 1..=2, 100), Some(STATE)).unwrap();
    wal.sync().unwrap();
    wal.append(&[entry(1, 3, 1500)], None).unwrap();
    let disk = disk.crash_after(700);
    assert_eq!(open(&disk).unwrap().entries, entries(1, 1..=2, 100));
    let broken = format!("{}.broken", segments(&disk)[0]);
    let copy = disk.open(&broken).unwrap();
    assert_eq!(copy.size().unwrap(), 4096);
    disk.remove(&broken).unwrap();
    assert_eq!(open(&disk).unwrap().entries, entries(1, 1..=2, 100));
    assert!(disk.open(&broken).is_err(), "the second time there is nothing to repair");
}
