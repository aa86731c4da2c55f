//! A directory on disk.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, fcntl_lock};
use rustix::io::Errno;

use crate::{Dir, File};

/// A directory of the file system.
#[derive(Debug, Clone)]
pub struct FsDir {
    path: PathBuf,
}

impl FsDir {
    /// Names a directory without touching it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Creates the directory, and those above it, for the owner alone. Those that are there are left as they are.
    /// With `fsync` all their names are durable on return.
    pub(crate) fn create_all(&self, fsync: bool) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        if fsync { sync_names(&self.path) } else { Ok(()) }
    }
}

/// Makes the names of a directory and of those above it durable, whichever process made them: one that was ended
/// between the creation and the sync leaves names that only look durable.
///
/// # Errors
///
/// When a directory cannot be opened or synced, for other reasons than that it is not this process's to change.
pub fn sync_names(path: &Path) -> io::Result<()> {
    parents(path).try_for_each(|parent| match fs::File::open(parent).and_then(|dir| dir.sync_all()) {
        // Mount points often lie in directories that members may not read, or on a file system without syncs of
        // directories. No start of a member made a name there.
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput) => Ok(()),
        result => result,
    })
}

/// The directories that hold the names of `path` and of all above it, the nearest first.
fn parents(path: &Path) -> impl Iterator<Item = &Path> {
    let above = path.ancestors().skip(1);
    above.map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

impl Dir for FsDir {
    fn list(&self) -> io::Result<Vec<String>> {
        // A name that is not UTF-8 is not one of ours.
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = fs::File::options().read(true).write(true).open(self.path.join(name))?;
        Ok(Box::new(FsFile { file }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = fs::File::options();
        let file = options.read(true).write(true).create(true).truncate(true).mode(0o600);
        Ok(Box::new(FsFile { file: file.open(self.path.join(name))? }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        fs::File::open(&self.path)?.sync_all()
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

#[derive(Debug)]
struct FsFile {
    file: fs::File,
}

impl File for FsFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn try_lock(&self) -> io::Result<bool> {
        match self.file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Ok(false),
            Err(fs::TryLockError::Error(e)) => return Err(e),
        }
        // etcd takes the other kind of lock that Linux has. Its kind and this one exclude each other, while the one
        // above also excludes a second handle in the same process.
        match fcntl_lock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        if self.size()? >= size {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, size) {
            Ok(()) => Ok(()),
            // Some file systems cannot reserve blocks. Writing then allocates them, a little slower.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.file.set_len(size),
            Err(e) => Err(e.into()),
        }
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_above_holds_a_name() {
        let check = |path, expected: &[&str]| {
            let expected: Vec<_> = expected.iter().map(Path::new).collect();
            assert_eq!(parents(Path::new(path)).collect::<Vec<_>>(), expected, "{path}");
        };
        check("/var/data/member/wal", &["/var/data/member", "/var/data", "/var", "/"]);
        check("default.etcd/member", &["default.etcd", "."]);
        check("wal", &["."]);
        check("wal/", &["."]);
        check("../wal", &["..", "."]);
        check("/", &[]);
    }
}
