//! Snapshots received from other members, from download to installation.
//!
//! A snapshot arrives as a bolt file and is made into a state file of its own, `snap/<index>.redb`, before the raft core
//! learns of it. When the core has taken the snapshot into the log, the file takes the place of the state file. In
//! between, and after a crash at any point, the log says which of the two counts.
//!
//! A snapshot that this member has fetched to replace corrupt data has a name of its own, `snap/refetched-<index>.redb`.
//! The log does not refer to it: it counts from the moment when it is in the place of the state file.
//!
//! Some of the disk stays free: a snapshot whose announced length exceeds the rest is rejected before its download, and
//! one that would take more on its way is given up. The size of the new state file is unknown until it is made.

mod disk_space;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use self::disk_space::DiskSpace;
use crate::{OpenError, Paths, ReceiveError};

/// Bytes that are read from the network at once.
const PIECE_BYTES: usize = 256 << 10;
/// Bytes that are stored between two checks of the free disk space.
const CHECK_BYTES: u64 = 4 << 20;

/// The directory of received snapshots. Clones refer to the same directory.
#[derive(Clone, Debug)]
pub struct ReceivedSnapshots {
    dir: PathBuf,
    state_file: PathBuf,
    /// What the file names begin with.
    prefix: &'static str,
    unsafe_no_fsync: bool,
    /// Measures the file system of a directory.
    disk_space: fn(&Path) -> io::Result<DiskSpace>,
}

impl ReceivedSnapshots {
    pub(crate) fn new(paths: &Paths, unsafe_no_fsync: bool) -> Self {
        Self {
            dir: paths.snapshots(),
            state_file: paths.state_file(),
            prefix: "",
            unsafe_no_fsync,
            disk_space: DiskSpace::of,
        }
    }

    /// The directory of snapshots that this member fetches to replace its own data.
    #[must_use]
    pub fn for_refetch(&self) -> Self {
        Self { prefix: "refetched-", ..self.clone() }
    }

    pub(crate) fn state_file(&self) -> &Path {
        &self.state_file
    }

    fn file(&self, index: u64) -> PathBuf {
        self.dir.join(format!("{}{index:016x}.redb", self.prefix))
    }

    /// Puts the snapshot that the log begins with, at entry `index`, into the place of the state file, if a crash came
    /// before that, and deletes all others.
    pub(crate) fn finish_install(&self, index: u64) -> Result<(), OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        let file = self.file(index);
        if index > 0 && file.exists() {
            tracing::info!(path = %file.display(), index, "putting a received snapshot into place");
            self.install(index).map_err(failed(&file))?;
        }
        self.clear().map_err(failed(&self.dir))
    }

    /// Deletes snapshots up to entry `index`: the core takes them no more. Errors are ignored; the next start deletes
    /// the rest.
    pub fn forget_to(&self, index: u64) {
        let Ok(files) = fs::read_dir(&self.dir) else { return };
        for path in files.flatten().map(|file| file.path()) {
            let of = path.file_stem().and_then(|stem| u64::from_str_radix(stem.to_str()?, 16).ok());
            if is_snapshot(&path) && of.is_some_and(|of| of <= index) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Stores a snapshot at entry `index`, of `len` bytes if that is known; returns its bytes. Durable on return: it can
    /// be installed then, also after a crash. An earlier one at the same entry stays until then, since the log may begin
    /// with it already. Blocks on `body` and on the disk; it is there twice for a while, as it came and as a state file.
    ///
    /// Rejects what would leave less than 256 MiB of the disk free; of a small disk less than an eighth, but at least
    /// a segment of the log.
    pub fn receive(&self, index: u64, len: Option<u64>, body: &mut dyn Read) -> Result<u64, ReceiveError> {
        let io_error = |source| ReceiveError::Store { path: self.dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(io_error)?;
        self.check_disk_space(len, len.unwrap_or(0))?;
        let bolt = self.file(index).with_extension("bolt");
        let received = copy(body, &bolt, || self.check_disk_space(len, 0))
            .and_then(|bytes| self.import(index, &bolt, len).map(|()| bytes));
        // Of no use after success or failure, and harmless if it stays.
        let _ = fs::remove_file(&bolt);
        received
    }

    /// Checks that `more` bytes can be stored of a snapshot with the announced length `len`.
    fn check_disk_space(&self, len: Option<u64>, more: u64) -> Result<(), ReceiveError> {
        let path = || self.dir.clone();
        let space =
            (self.disk_space)(&self.dir).map_err(|source| ReceiveError::Store { path: path(), source })?;
        if space.has_room(more) {
            return Ok(());
        }
        Err(ReceiveError::DiskFull { path: path(), len, free: space.free, reserve: space.reserve() })
    }

    /// Makes a state file of the bolt file, as long as the disk has room.
    fn import(&self, index: u64, bolt: &Path, len: Option<u64>) -> Result<(), ReceiveError> {
        let file = self.file(index);
        let unnamed = file.with_extension("new.redb");
        let mut room = Ok(());
        let imported = ferretcd_apply::snapshot::import(bolt, &unnamed, |_| {
            room = self.check_disk_space(len, 0);
            if room.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        room?;
        let applied = imported?;
        if applied.position.index != index {
            // What cannot be deleted now is deleted at the next start.
            let _ = fs::remove_file(&unnamed);
            return Err(ReceiveError::OtherIndex { announced: index, found: applied.position.index });
        }
        let store = |source| ReceiveError::Store { path: file.clone(), source };
        fs::rename(&unnamed, &file).map_err(store)?;
        self.sync(&self.dir).map_err(store)
    }

    /// Renames a snapshot into the place of the state file; durable on return. Open handles keep the old file.
    pub(crate) fn install(&self, index: u64) -> io::Result<()> {
        fs::rename(self.file(index), &self.state_file)?;
        let directories = [self.state_file.parent(), Some(&*self.dir)];
        directories.into_iter().flatten().try_for_each(|directory| self.sync(directory))
    }

    fn sync(&self, directory: &Path) -> io::Result<()> {
        if self.unsafe_no_fsync { Ok(()) } else { File::open(directory)?.sync_all() }
    }

    /// Deletes all snapshots whose names begin with the prefix.
    ///
    /// # Errors
    ///
    /// The first file that cannot be deleted ends the deletion.
    pub fn clear(&self) -> io::Result<()> {
        let files = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            files => files?,
        };
        for file in files {
            let file = file?;
            let is_ours = file.file_name().as_encoded_bytes().starts_with(self.prefix.as_bytes());
            if is_ours && is_snapshot(&file.path()) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

fn is_snapshot(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "redb" || extension == "bolt")
}

/// Writes the body to a file. It needs no sync: nothing refers to it after a crash. Calls `check_disk_space` now and
/// then, and at the end.
fn copy(
    body: &mut dyn Read,
    path: &Path,
    check_disk_space: impl Fn() -> Result<(), ReceiveError>,
) -> Result<u64, ReceiveError> {
    let store = |source| ReceiveError::Store { path: path.to_owned(), source };
    let mut file = BufWriter::new(File::create(path).map_err(store)?);
    let mut piece = vec![0; PIECE_BYTES];
    let (mut bytes, mut unchecked) = (0, 0);
    loop {
        let n = match body.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ReceiveError::Body(error)),
        };
        file.write_all(&piece[..n]).map_err(store)?;
        bytes += n as u64;
        unchecked += n as u64;
        if unchecked >= CHECK_BYTES {
            unchecked = 0;
            check_disk_space()?;
        }
    }
    file.flush().map_err(store)?;
    check_disk_space()?;
    Ok(bytes)
}
