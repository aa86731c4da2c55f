use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::StorageBackend;
use redb::backends::FileBackend;

use crate::Medium;

/// A file, locked against other processes for as long as it is open.
#[derive(Debug)]
pub(crate) struct FileMedium {
    /// redb's portable positioned reads and writes, without its locks.
    backend: FileBackend,
    /// The same open file, for what redb's wrapper doesn't show.
    file: File,
}

impl FileMedium {
    /// Opens or creates the file. None if another handle has it locked.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        Self::lock(OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600), path)
    }

    /// As [`Self::open`], for a file that exists, and to be read only.
    pub(crate) fn open_to_read(path: &Path) -> io::Result<Option<Self>> {
        Self::lock(OpenOptions::new().read(true), path)
    }

    fn lock(options: &OpenOptions, path: &Path) -> io::Result<Option<Self>> {
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if file.metadata()?.len() == 0 {
            sync_directory_of(path)?;
        }
        let backend = FileBackend::new(file.try_clone()?).map_err(io::Error::other)?;
        Ok(Some(Self { backend, file }))
    }
}

/// Makes the file's name durable. A relative name without a directory lies in the working directory.
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Only Unix can open a directory as a file; elsewhere the name is durable with the file.
    if cfg!(unix) { File::open(parent.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}

impl Medium for FileMedium {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.backend.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }

    #[cfg(unix)]
    fn occupied(&self) -> io::Result<u64> {
        use std::os::unix::fs::MetadataExt;
        // The unit of this count is 512 bytes whatever the file system's block size.
        Ok(self.file.metadata()?.blocks() * 512)
    }

    #[cfg(not(unix))]
    fn occupied(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}
