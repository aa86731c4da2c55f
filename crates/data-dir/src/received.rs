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

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::{DiskSpace, OpenError, Paths, ReceiveError};

/// What the names of snapshots begin with that this member has fetched to replace corrupt data.
const REFETCHED: &str = "refetched-";
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
        Self { prefix: REFETCHED, ..self.clone() }
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
        for file in files.flatten() {
            let name = FileName::parse(&file.file_name());
            if name.is_some_and(|name| !name.is_refetched && name.is_whole && name.index <= index) {
                let _ = fs::remove_file(file.path());
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

    /// Moves a snapshot into the place of the state file; durable on return. Open handles keep the old file.
    pub(crate) fn install(&self, index: u64) -> io::Result<()> {
        let file = self.file(index);
        match fs::rename(&file, &self.state_file) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => self.install_copy(&file)?,
            renamed => renamed?,
        }
        let directories = [self.state_file.parent(), Some(&*self.dir)];
        directories.into_iter().flatten().try_for_each(|directory| self.sync(directory))
    }

    /// The same where the directory of snapshots is on a file system of its own. After a crash behind the rename the
    /// snapshot is installed once more, which is as good: the log begins with it, and has all that came later.
    fn install_copy(&self, file: &Path) -> io::Result<()> {
        let unnamed = self.state_file.with_extension("new.redb");
        fs::copy(file, &unnamed)?;
        self.sync(&unnamed)?;
        fs::rename(&unnamed, &self.state_file)?;
        self.state_file.parent().map_or(Ok(()), |directory| self.sync(directory))?;
        fs::remove_file(file)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        if self.unsafe_no_fsync { Ok(()) } else { File::open(path)?.sync_all() }
    }

    /// Deletes all snapshots whose names begin with the prefix. Files of others are left alone.
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
            let name = file.file_name();
            let has_prefix = name.as_encoded_bytes().starts_with(self.prefix.as_bytes());
            if has_prefix && FileName::parse(&name).is_some() {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

/// The name of a file that this module makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileName {
    index: u64,
    /// Whether the member has fetched the snapshot to replace corrupt data.
    is_refetched: bool,
    /// Whether the file has its last name, as it came or as a state file.
    is_whole: bool,
}

impl FileName {
    /// Reads a name; nothing for those of other files.
    fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let (is_refetched, name) = match name.strip_prefix(REFETCHED) {
            Some(rest) => (true, rest),
            None => (false, name),
        };
        let (digits, extension) = name.split_once('.')?;
        let is_lower_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_whole = match extension {
            "bolt" | "redb" => true,
            "new.redb" | "new.part.redb" => false,
            _ => return None,
        };
        if digits.len() != 16 || !is_lower_hex {
            return None;
        }
        Some(Self { index: u64::from_str_radix(digits, 16).ok()?, is_refetched, is_whole })
    }
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
