//! A directory in memory that can lose what was not synced, for tests of this crate and of those above.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Dir, File};

mod disk;

use disk::{Change, Disk};

/// A disk as a device sees it: each change waits in a journal until a sync of its file or of the directory, and a
/// crash keeps any part of the journal that the test chooses.
///
/// Clones are handles of the same directory. The `crash_` methods leave this directory alone and return another one
/// as it would be found after the power came back, so that one moment can be cut in every possible way. Files that
/// were preallocated cost memory only up to their last written byte.
///
/// ```
/// use ferretcd_wal::{Dir, MemDir};
///
/// let dir = MemDir::new();
/// let file = dir.create("f")?;
/// dir.sync()?;
/// file.write_at(b"durable", 0)?;
/// file.sync_data()?;
/// file.write_at(b"LOST", 0)?;
///
/// let mut found = [0; 7];
/// dir.crash_after(2).open("f")?.read_at(&mut found, 0)?;
/// assert_eq!(&found, b"LOrable");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemDir {
    /// Taken by every operation, for its duration.
    disk: Arc<Mutex<Disk>>,
}

/// A change that no sync covers yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// Bytes of one write, never across a border of 512 bytes: disks write such sectors whole.
    Sector {
        /// Where in the file the piece lies.
        offset: u64,
        /// Its length in bytes.
        len: usize,
    },
    /// A file that grew or was cut.
    Length,
    /// A file that was created, renamed or removed.
    Name,
}

/// The operations that [`MemDir::fail_next`] can make fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A write, of which the first half arrives.
    Write,
    /// A sync of a file, after which all of its unsynced changes stay unsynced.
    SyncData,
    /// Growing or cutting a file.
    Resize,
    /// Creating, renaming or removing a file.
    Name,
    /// A sync of the directory.
    SyncDir,
}

impl MemDir {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// How far [`MemDir::crash_after`] can count: one for each byte written and one for each other change since they
    /// were last synced.
    pub fn n_unsynced(&self) -> u64 {
        self.disk().unsynced.iter().map(Change::steps).sum()
    }

    /// The directory after a crash that the first `n` unsynced bytes and other changes survived, in their order.
    pub fn crash_after(&self, n: u64) -> Self {
        let disk = self.disk();
        let mut left = n;
        disk.crashed(|change| {
            let steps = change.steps().min(left);
            left -= steps;
            change.first_steps(steps).into_iter().collect()
        })
    }

    /// The directory after a crash that the unsynced changes survived for which `keep` returns true. It is called in
    /// the order they were made; a disk may drop any of them and keep later ones.
    pub fn crash_keeping(&self, mut keep: impl FnMut(Unsynced) -> bool) -> Self {
        self.disk().crashed(|change| change.pieces().filter(|piece| keep(piece.unsynced())).collect())
    }

    /// The directory after a crash that lost all that was not synced.
    pub fn crash(&self) -> Self {
        self.crash_after(0)
    }

    /// Makes the next such operation fail, once.
    pub fn fail_next(&self, operation: Operation) {
        self.disk().failing = Some(operation);
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, file: usize) -> Box<dyn File> {
        Box::new(MemFile { dir: self.clone(), file, has_lock: Mutex::new(false) })
    }
}

impl From<Disk> for MemDir {
    fn from(disk: Disk) -> Self {
        Self { disk: Arc::new(Mutex::new(disk)) }
    }
}

impl Dir for MemDir {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.disk().names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.disk().find(name)?;
        Ok(self.handle(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut disk = self.disk();
        disk.check(Operation::Name)?;
        let file = match disk.find(name) {
            Ok(file) => {
                disk.change(Change::Resize { file, len: 0 });
                file
            }
            Err(_) => {
                let file = disk.add_file();
                disk.change(Change::Create { name: name.to_owned(), file });
                file
            }
        };
        Ok(self.handle(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check(Operation::Name)?;
        let file = disk.find(from)?;
        disk.change(Change::Rename { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check(Operation::Name)?;
        disk.find(name)?;
        disk.change(Change::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check(Operation::SyncDir)?;
        disk.sync_names();
        Ok(())
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("memory")
    }
}

#[derive(Debug)]
struct MemFile {
    dir: MemDir,
    file: usize,
    /// Whether this handle is the one that locked the file. Taken by `try_lock` and on drop.
    has_lock: Mutex<bool>,
}

impl MemFile {
    fn change(&self, operation: Operation, change: Change) -> io::Result<()> {
        let mut disk = self.dir.disk();
        match disk.check(operation) {
            Ok(()) => disk.change(change),
            Err(e) => {
                let half = change.steps() / 2;
                change.first_steps(half).into_iter().for_each(|change| disk.change(change));
                return Err(e);
            }
        }
        Ok(())
    }
}

impl File for MemFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.dir.disk().file(self.file).live.len)
    }

    fn try_lock(&self) -> io::Result<bool> {
        let mut has_lock = self.has_lock.lock().unwrap_or_else(PoisonError::into_inner);
        let mut disk = self.dir.disk();
        let file = disk.file_mut(self.file);
        if file.locked && !*has_lock {
            return Ok(false);
        }
        file.locked = true;
        *has_lock = true;
        Ok(true)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.dir.disk().file(self.file).live.read(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.change(Operation::Write, Change::Write { file: self.file, offset, bytes: bytes.to_vec() })
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        if self.size()? >= size {
            return Ok(());
        }
        self.set_len(size)
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.change(Operation::Resize, Change::Resize { file: self.file, len: size })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.dir.disk();
        disk.check(Operation::SyncData)?;
        disk.sync_file(self.file);
        Ok(())
    }
}

impl Drop for MemFile {
    fn drop(&mut self) {
        if *self.has_lock.get_mut().unwrap_or_else(PoisonError::into_inner) {
            self.dir.disk().file_mut(self.file).locked = false;
        }
    }
}

/// Which file a name leads to.
type Names = BTreeMap<String, usize>;
