//! States that other members have sent, on their way to being this member's.
//!
//! A state arrives as a bolt file and is made into a state file of its own, `snap/<index>.redb`, before the consensus
//! core hears of it. When the core has taken the snapshot into the log, the file takes the place of the state file.
//! In between, and after a crash at any point, the log says which of the two counts.
//!
//! A state that this member has fetched because its own was wrong has a name of its own, `snap/refetched-<index>.redb`,
//! and the log knows nothing of it: it counts from when it is in the place of the state file.
//!
//! Some of the disk stays free: a state that says to be longer than the rest is refused before it comes, and one that
//! would take more on its way is given up. How large the new state file becomes nobody can tell before it is made.

mod room;

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ferretcd_apply::StateMachine;
use ferretcd_backend::Backend;
use room::Space;

use crate::{Config, SnapshotError, StartError};

/// Bytes that are taken from the network at once.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes that are stored between two checks of how much of the disk is free.
const CHECK_BYTES: u64 = 4 << 20;

/// The directory of states that have arrived.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    dir: PathBuf,
    state_file: PathBuf,
    /// What the names of the files begin with.
    prefix: &'static str,
    unsafe_no_fsync: bool,
    /// Tells about the file system of a directory.
    space: fn(&Path) -> io::Result<Space>,
}

impl Incoming {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            dir: config.member_dir().join("snap"),
            state_file: config.state_path(),
            prefix: "",
            unsafe_no_fsync: config.unsafe_no_fsync,
            space: Space::of,
        }
    }

    /// The same for states that this member has asked for.
    pub(crate) fn for_refetch(&self) -> Self {
        Self { prefix: "refetched-", ..self.clone() }
    }

    fn arrived(&self, index: u64) -> PathBuf {
        self.dir.join(format!("{}{index:016x}.redb", self.prefix))
    }

    /// At the start: the state that the log begins with takes the place of the state file if it has not yet, and
    /// all others go.
    pub(crate) fn finish_install(&self, index: u64) -> Result<(), StartError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Io { path, source }
        };
        let arrived = self.arrived(index);
        if index > 0 && arrived.exists() {
            tracing::info!(path = %arrived.display(), index, "putting a received snapshot into place");
            self.install(index).map_err(failed(&arrived))?;
        }
        self.clear().map_err(failed(&self.dir))
    }

    /// Deletes states up to entry `index`: the core does not take them any more.
    pub(crate) fn forget_to(&self, index: u64) {
        // What cannot be deleted now is deleted at the next start.
        let Ok(files) = fs::read_dir(&self.dir) else { return };
        for path in files.flatten().map(|file| file.path()) {
            let of = path.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
            if is_state(&path) && of.is_some_and(|of| of <= index) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Stores a state as of entry `index`, of `len` bytes if that is known. When this returns, [`Self::install`] can be
    /// called, also after a crash. One of the same entry that has arrived before stays until then: the log may begin
    /// with it already.
    pub(crate) fn receive(
        &self,
        index: u64,
        len: Option<u64>,
        body: &mut dyn Read,
    ) -> Result<u64, SnapshotError> {
        let io_error = |source| SnapshotError::Store { path: self.dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(io_error)?;
        self.check_room(len, len.unwrap_or(0))?;
        let bolt = self.arrived(index).with_extension("bolt");
        let received = copy(body, &bolt, || self.check_room(len, 0))
            .and_then(|bytes| self.import(index, &bolt, len).map(|()| bytes));
        // Of no use whether or not it went well, and in nobody's way if it stays.
        let _ = fs::remove_file(&bolt);
        received
    }

    /// Whether so many bytes more can be stored of a state that says to be of `len` bytes.
    fn check_room(&self, len: Option<u64>, more: u64) -> Result<(), SnapshotError> {
        let path = || self.dir.clone();
        let space =
            (self.space)(&self.dir).map_err(|source| SnapshotError::Store { path: path(), source })?;
        if space.has_room(more) {
            return Ok(());
        }
        Err(SnapshotError::NoRoom { path: path(), len, free: space.free, reserve: space.reserve() })
    }

    /// Makes a state file of what was received, as long as there is room for more.
    fn import(&self, index: u64, bolt: &Path, len: Option<u64>) -> Result<(), SnapshotError> {
        let arrived = self.arrived(index);
        let unnamed = arrived.with_extension("new.redb");
        let mut room = Ok(());
        let imported = ferretcd_apply::snapshot::import(bolt, &unnamed, |_| {
            room = self.check_room(len, 0);
            if room.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        room?;
        let applied = imported?;
        if applied.position.index != index {
            // What cannot be deleted now is deleted at the next start.
            let _ = fs::remove_file(&unnamed);
            return Err(SnapshotError::OtherIndex { announced: index, found: applied.position.index });
        }
        let store = |source| SnapshotError::Store { path: arrived.clone(), source };
        fs::rename(&unnamed, &arrived).map_err(store)?;
        self.sync(&self.dir).map_err(store)
    }

    /// Puts a state into the place of the state file; durable on return. Whoever has the old one open keeps it.
    pub(crate) fn install(&self, index: u64) -> io::Result<()> {
        fs::rename(self.arrived(index), &self.state_file)?;
        let directories = [self.state_file.parent(), Some(&*self.dir)];
        directories.into_iter().flatten().try_for_each(|directory| self.sync(directory))
    }

    fn sync(&self, directory: &Path) -> io::Result<()> {
        if self.unsafe_no_fsync { Ok(()) } else { File::open(directory)?.sync_all() }
    }

    /// Deletes all states whose names begin as these do.
    pub(crate) fn clear(&self) -> io::Result<()> {
        let files = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            files => files?,
        };
        for file in files {
            let file = file?;
            let is_ours = file.file_name().as_encoded_bytes().starts_with(self.prefix.as_bytes());
            if is_ours && is_state(&file.path()) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

fn is_state(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "redb" || extension == "bolt")
}

/// Lets a state that has arrived be the member's. Belongs to the apply thread.
#[derive(Debug)]
pub(crate) struct Installer {
    pub(crate) incoming: Incoming,
    pub(crate) backend: Backend,
    pub(crate) config: ferretcd_backend::Config,
}

impl Installer {
    /// Puts the state as of entry `index` under the stores. Nothing may be on its way to the state file. After an
    /// error the member cannot go on; started again, it finishes what was begun here.
    pub(crate) fn install(&self, index: u64, machine: &mut StateMachine) -> Result<(), SnapshotError> {
        self.put(&self.incoming, index, machine)?;
        // Those that the core did not take. The log does not begin before this one any more.
        self.incoming.forget_to(index);
        Ok(())
    }

    /// The same with a state that this member has asked for. Started again after an error, it has its own state or the
    /// new one.
    pub(crate) fn install_refetched(
        &self,
        index: u64,
        machine: &mut StateMachine,
    ) -> Result<(), SnapshotError> {
        self.put(&self.incoming.for_refetch(), index, machine)
    }

    fn put(&self, incoming: &Incoming, index: u64, machine: &mut StateMachine) -> Result<(), SnapshotError> {
        let path = &incoming.state_file;
        let failed = |source| SnapshotError::Store { path: path.clone(), source };
        incoming.install(index).map_err(failed)?;
        self.backend.replace(path, &self.config)?;
        machine.restore(&self.backend)?;
        Ok(())
    }
}

/// Writes the body to a file. It needs no sync: nothing refers to it after a crash. `has_room` is asked
/// now and then, and at the end.
fn copy(
    body: &mut dyn Read,
    path: &Path,
    has_room: impl Fn() -> Result<(), SnapshotError>,
) -> Result<u64, SnapshotError> {
    let store = |source| SnapshotError::Store { path: path.to_owned(), source };
    let mut file = BufWriter::new(File::create(path).map_err(store)?);
    let mut piece = vec![0; PIECE_BYTES];
    let (mut bytes, mut unchecked) = (0, 0);
    loop {
        let n = match body.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SnapshotError::Receive(error)),
        };
        file.write_all(&piece[..n]).map_err(store)?;
        bytes += n as u64;
        unchecked += n as u64;
        if unchecked >= CHECK_BYTES {
            unchecked = 0;
            has_room()?;
        }
    }
    file.flush().map_err(store)?;
    has_room()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use ferretcd_apply::Applied;
    use ferretcd_backend::{Batch, Bucket};
    use ferretcd_base::LogPosition;

    use super::*;
    use crate::files::SEGMENT_BYTES;

    const CONF_STATE: &str = r#"{"voters":[1],"auto_leave":false}"#;

    /// A state as of entry `index`, as another member sends it.
    fn sent(index: u64) -> Vec<u8> {
        sent_with(index, Batch::default())
    }

    /// The same with rows.
    fn sent_with(index: u64, mut batch: Batch) -> Vec<u8> {
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

    fn incoming(root: &Path, space: fn(&Path) -> io::Result<Space>) -> Incoming {
        let (dir, state_file) = (root.join("snap"), root.join("state.redb"));
        Incoming { dir, state_file, prefix: "", unsafe_no_fsync: false, space }
    }

    /// What can be taken of [`small_disk`].
    const SMALL_BYTES: u64 = 32 << 20;

    /// A disk that holds nothing but what is in the directory.
    fn small_disk(dir: &Path) -> io::Result<Space> {
        let total = SMALL_BYTES + SEGMENT_BYTES;
        let used: u64 =
            fs::read_dir(dir)?.flatten().map(|file| file.metadata().map_or(0, |it| it.blocks() * 512)).sum();
        Ok(Space { total, free: total - used })
    }

    /// A body, and how much of it was taken.
    struct Counted<R>(R, u64);

    impl<R: Read> Read for Counted<R> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.read(buf)?;
            self.1 += n as u64;
            Ok(n)
        }
    }

    #[test]
    fn a_state_leaves_room_on_the_disk() {
        let root = tempfile::tempdir().expect("a directory");
        let incoming = incoming(root.path(), small_disk);
        let check = |len: Option<u64>, taken_max: u64| {
            let mut endless = Counted(io::repeat(7), 0);
            let refused = incoming.receive(7, len, &mut endless);
            assert!(matches!(refused, Err(SnapshotError::NoRoom { .. })), "{len:?}: {refused:?}");
            assert!(endless.1 <= taken_max, "{len:?}: {} bytes were taken", endless.1);
            assert_eq!(names(&incoming.dir), [""; 0], "nothing stays");
        };
        check(Some(SMALL_BYTES + 1), 0);
        check(Some(u64::MAX), 0);
        let refused = incoming.receive(7, Some(SMALL_BYTES + 1), &mut io::empty()).expect_err("too long");
        let expected = format!(
            "store a snapshot of {} bytes in {}: {} bytes are free there, and {SEGMENT_BYTES} have to stay free",
            SMALL_BYTES + 1,
            incoming.dir.display(),
            SMALL_BYTES + SEGMENT_BYTES,
        );
        assert_eq!(refused.to_string(), expected);
        let most = SMALL_BYTES + 2 * CHECK_BYTES;
        check(None, most);
        check(Some(1 << 20), most);
        let state = sent(7);
        let len = state.len() as u64;
        incoming.receive(7, Some(len), &mut &state[..]).expect("there is room for it");
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
    fn a_state_that_becomes_too_large_a_file_is_given_up() {
        let root = tempfile::tempdir().expect("a directory");
        let incoming = incoming(root.path(), small_disk);
        let state = sent_with(7, rows(24 << 20));
        assert!((state.len() as u64) < SMALL_BYTES, "there is room for it as it comes");
        let refused = incoming.receive(7, Some(state.len() as u64), &mut &state[..]);
        assert!(matches!(refused, Err(SnapshotError::NoRoom { .. })), "{refused:?}");
        assert_eq!(names(&incoming.dir), [""; 0], "nothing stays");
        // Most of it are pages without rows: it is long and becomes short.
        let mut state = sent_with(7, rows(1 << 20));
        state.resize(24 << 20, 0);
        incoming.receive(7, Some(state.len() as u64), &mut &state[..]).expect("there is room for it");
    }

    #[test]
    fn a_state_that_has_arrived_is_not_lost_to_another_one() {
        let root = tempfile::tempdir().expect("a directory");
        let (dir, state_file) = (root.path().join("snap"), root.path().join("state.redb"));
        let incoming = incoming(root.path(), Space::of);
        let receive = |mut body: &[u8]| incoming.receive(7, None, &mut body);
        receive(&sent(7)).expect("a state");

        let half = sent(7);
        assert!(matches!(receive(&half[..half.len() / 2]), Err(SnapshotError::Import(_))));
        let other = receive(&sent(9));
        assert!(matches!(other, Err(SnapshotError::OtherIndex { announced: 7, found: 9 })), "{other:?}");
        assert_eq!(names(&dir), ["0000000000000007.redb"]);
        receive(&sent(7)).expect("the same once more");

        incoming.install(7).expect("it has arrived");
        assert!(names(&dir).is_empty());
        let config = ferretcd_backend::Config { cache_bytes: 1 << 20 };
        let installed = Backend::open(&state_file, &config).expect("a state file");
        let found = ferretcd_apply::snapshot::export(installed.view()).expect("a state");
        assert_eq!(found.mark().position.index, 7);
    }

    #[test]
    fn states_before_the_one_in_place_go() {
        let root = tempfile::tempdir().expect("a directory");
        let incoming = incoming(root.path(), Space::of);
        for index in [5, 7, 9, 11] {
            incoming.receive(index, None, &mut &sent(index)[..]).expect("a state");
        }
        let config = ferretcd_backend::Config { cache_bytes: 1 << 20 };
        let backend = Backend::open(&incoming.state_file, &config).expect("a state file");
        let stores = ferretcd_apply::Config {
            mvcc: ferretcd_mvcc::Config { cache_bytes: 0 },
            lease: ferretcd_lease::Config { ttl_min: 1 },
        };
        let machine = StateMachine::open(backend.clone(), &stores, &mut Batch::default());
        let installer = Installer { incoming, backend, config };
        installer.install(9, &mut machine.expect("no rows")).expect("it has arrived");
        assert_eq!(names(&installer.incoming.dir), ["000000000000000b.redb"]);
    }
}
