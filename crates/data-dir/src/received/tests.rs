use std::os::unix::fs::MetadataExt;

use ferretcd_apply::Applied;
use ferretcd_apply::StateMachine;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_base::LogPosition;

use super::*;
use crate::Installer;
use crate::paths::SEGMENT_BYTES;

const CONF_STATE: &str = r#"{"voters":[1],"auto_leave":false}"#;

/// The body of a snapshot at entry `index`, as another member sends it.
fn snapshot(index: u64) -> Vec<u8> {
    snapshot_with(index, Batch::default())
}

/// The body of a snapshot with these rows.
fn snapshot_with(index: u64, mut batch: Batch) -> Vec<u8> {
    let backend = Backend::in_memory();
    Applied { position: LogPosition::new(index, 1), conf_state: CONF_STATE.into() }.store(&mut batch);
    backend.commit(&batch).expect("memory");
    let mut image = Vec::new();
    let mut export = ferretcd_apply::snapshot::export(backend.view()).expect("memory");
    export.read_to_end(&mut image).expect("memory");
    image
}

fn names(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).expect("a directory").flatten();
    files.map(|file| file.file_name().into_string().expect("text")).collect()
}

fn received(root: &Path, disk_space: fn(&Path) -> io::Result<DiskSpace>) -> ReceivedSnapshots {
    let (dir, state_file) = (root.join("snap"), root.join("state.redb"));
    ReceivedSnapshots { dir, state_file, prefix: "", unsafe_no_fsync: false, disk_space }
}

/// The bytes of [`small_disk`] that snapshots may use.
const SMALL_BYTES: u64 = 32 << 20;

/// A disk that holds nothing but what is in the directory.
fn small_disk(dir: &Path) -> io::Result<DiskSpace> {
    let total = SMALL_BYTES + SEGMENT_BYTES;
    let used: u64 =
        fs::read_dir(dir)?.flatten().map(|file| file.metadata().map_or(0, |it| it.blocks() * 512)).sum();
    Ok(DiskSpace { total, free: total - used })
}

/// A body, and how many of its bytes were read.
struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buf)?;
        self.1 += n as u64;
        Ok(n)
    }
}

#[test]
fn a_snapshot_leaves_the_reserve_free() {
    let root = tempfile::tempdir().expect("a directory");
    let received = received(root.path(), small_disk);
    let check = |len: Option<u64>, taken_max: u64| {
        let mut endless = Counted(io::repeat(7), 0);
        let rejected = received.receive(7, len, &mut endless);
        assert!(matches!(rejected, Err(ReceiveError::DiskFull { .. })), "{len:?}: {rejected:?}");
        assert!(endless.1 <= taken_max, "{len:?}: {} bytes were taken", endless.1);
        assert_eq!(names(&received.dir), [""; 0], "nothing stays");
    };
    check(Some(SMALL_BYTES + 1), 0);
    check(Some(u64::MAX), 0);
    let rejected = received.receive(7, Some(SMALL_BYTES + 1), &mut io::empty()).expect_err("too long");
    let expected = format!(
        "store a snapshot of {} bytes in {}: {} bytes are free there, and {SEGMENT_BYTES} have to stay free",
        SMALL_BYTES + 1,
        received.dir.display(),
        SMALL_BYTES + SEGMENT_BYTES,
    );
    assert_eq!(rejected.to_string(), expected);
    let most = SMALL_BYTES + 2 * CHECK_BYTES;
    check(None, most);
    check(Some(1 << 20), most);
    let body = snapshot(7);
    let len = body.len() as u64;
    received.receive(7, Some(len), &mut &body[..]).expect("there is room for it");
}

/// Rows of the history with so many bytes in all.
fn rows(bytes: usize) -> Batch {
    const ROW_BYTES: usize = 1 << 20;
    let mut batch = Batch::default();
    for main in 2..2 + (bytes / ROW_BYTES) as i64 {
        // A key, and the value behind its length.
        let mut row = b"\x0a\x01k\x2a\xfc\xff\x3f".to_vec();
        row.resize(row.len() + ROW_BYTES - 4, b'v');
        batch.put(Bucket::Key, ferretcd_base::Revision::new(main, 0).to_bytes().to_vec(), row);
    }
    batch
}

#[test]
fn a_snapshot_whose_state_file_grows_too_large_is_given_up() {
    let root = tempfile::tempdir().expect("a directory");
    let received = received(root.path(), small_disk);
    let body = snapshot_with(7, rows(24 << 20));
    assert!((body.len() as u64) < SMALL_BYTES, "there is room for it as it comes");
    let rejected = received.receive(7, Some(body.len() as u64), &mut &body[..]);
    assert!(matches!(rejected, Err(ReceiveError::DiskFull { .. })), "{rejected:?}");
    assert_eq!(names(&received.dir), [""; 0], "nothing stays");
    // Most of its pages hold no rows, so the state file is shorter than the body.
    let mut body = snapshot_with(7, rows(1 << 20));
    body.resize(24 << 20, 0);
    received.receive(7, Some(body.len() as u64), &mut &body[..]).expect("there is room for it");
}

#[test]
fn a_failed_download_keeps_the_received_snapshot() {
    let root = tempfile::tempdir().expect("a directory");
    let (dir, state_file) = (root.path().join("snap"), root.path().join("state.redb"));
    let received = received(root.path(), DiskSpace::of);
    let receive = |mut body: &[u8]| received.receive(7, None, &mut body);
    receive(&snapshot(7)).expect("a snapshot");

    let half = snapshot(7);
    assert!(matches!(receive(&half[..half.len() / 2]), Err(ReceiveError::Import(_))));
    let other = receive(&snapshot(9));
    assert!(matches!(other, Err(ReceiveError::OtherIndex { announced: 7, found: 9 })), "{other:?}");
    assert_eq!(names(&dir), ["0000000000000007.redb"]);
    receive(&snapshot(7)).expect("the same once more");

    received.install(7).expect("it has arrived");
    assert!(names(&dir).is_empty());
    let config = ferretcd_backend::Config { cache_bytes: 1 << 20 };
    let installed = Backend::open(&state_file, &config).expect("a state file");
    let found = ferretcd_apply::snapshot::export(installed.view()).expect("a snapshot");
    assert_eq!(found.mark().position.index, 7);
}

#[test]
fn installing_deletes_earlier_snapshots() {
    let root = tempfile::tempdir().expect("a directory");
    let received = received(root.path(), DiskSpace::of);
    for index in [5, 7, 9, 11] {
        received.receive(index, None, &mut &snapshot(index)[..]).expect("a snapshot");
    }
    let config = ferretcd_backend::Config { cache_bytes: 1 << 20 };
    let backend = Backend::open(&received.state_file, &config).expect("a state file");
    let stores = ferretcd_apply::Config {
        mvcc: ferretcd_mvcc::Config { cache_bytes: 0 },
        lease: ferretcd_lease::Config { ttl_min: 1 },
    };
    let machine = StateMachine::open(backend.clone(), &stores, &mut Batch::default());
    let installer = Installer::new(received.clone(), backend, config);
    installer.install(9, &mut machine.expect("no rows")).expect("it has arrived");
    assert_eq!(names(&received.dir), ["000000000000000b.redb"]);
}

#[test]
fn files_of_others_stay() {
    let root = tempfile::tempdir().expect("a directory");
    let received = received(root.path(), DiskSpace::of);
    fs::create_dir(&received.dir).expect("there is room");
    let others = [
        "backup.redb",
        "7.redb",
        "000000000000000A.redb",
        "0000000000000007.redb.old",
        "0000000000000007.snap.db",
        "refetched-7.bolt",
        "README",
        "lost+found",
    ];
    let ours = [
        "0000000000000007.bolt",
        "0000000000000007.redb",
        "0000000000000007.new.redb",
        "0000000000000007.new.part.redb",
        "refetched-0000000000000007.redb",
    ];
    for name in others.iter().chain(&ours) {
        fs::write(received.dir.join(name), "").expect("there is room");
    }
    let left = || {
        let mut left = names(&received.dir);
        left.sort();
        left
    };
    let mut expected = others.to_vec();
    expected.sort_unstable();
    received.forget_to(u64::MAX);
    assert_eq!(left().len(), others.len() + 3, "half-made and refetched ones stay: {:?}", left());
    received.for_refetch().clear().expect("it may be read");
    assert_eq!(left().len(), others.len() + 2, "{:?}", left());
    received.clear().expect("it may be read");
    assert_eq!(left(), expected);
}

/// `member/snap` may be a link to another disk, or a mount point.
#[test]
fn a_snapshot_is_installed_from_another_file_system() {
    let root = tempfile::tempdir().expect("a directory");
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    if fs::metadata(&elsewhere).expect("it is there").dev() == fs::metadata(&root).expect("it is there").dev()
    {
        return;
    }
    std::os::unix::fs::symlink(&elsewhere, root.path().join("snap")).expect("there is room");
    let received = received(root.path(), |_| Ok(DiskSpace { total: u64::MAX, free: u64::MAX }));
    for index in [7, 9] {
        received.receive(index, None, &mut &snapshot(index)[..]).expect("a snapshot");
    }
    // What a crash has left of an installation is no obstacle.
    fs::write(root.path().join("state.new.redb"), "half").expect("there is room");
    received.finish_install(9).expect("it has arrived");
    assert_eq!(names(elsewhere.path()), [""; 0]);
    let mut left = names(root.path());
    left.sort();
    assert_eq!(left, ["snap", "state.redb"]);
    let config = ferretcd_backend::Config { cache_bytes: 1 << 20 };
    let installed = Backend::open(&received.state_file, &config).expect("a state file");
    let found = ferretcd_apply::snapshot::export(installed.view()).expect("a snapshot");
    assert_eq!(found.mark().position.index, 9);
}
