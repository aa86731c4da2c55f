//! A directory that lets a test look at the disk whenever something is about to become durable.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use ferretcd_wal::{Dir, File, MemDir};

type Look = dyn FnMut(&MemDir) + Send;

/// Passes everything on to a [`MemDir`], looking at it before each sync.
#[derive(Clone)]
pub(crate) struct Watched {
    dir: MemDir,
    look: Arc<Mutex<Look>>,
}

impl Watched {
    pub(crate) fn new(dir: MemDir, look: impl FnMut(&MemDir) + Send + 'static) -> Self {
        Self { dir, look: Arc::new(Mutex::new(look)) }
    }

    pub(crate) fn look(&self) {
        (self.look.lock().expect("a look that panicked ends the test"))(&self.dir);
    }

    fn watch(&self, file: Box<dyn File>) -> Box<dyn File> {
        Box::new(WatchedFile { file, watched: self.clone() })
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dir.fmt(f)
    }
}

impl Dir for Watched {
    fn list(&self) -> io::Result<Vec<String>> {
        self.dir.list()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.watch(self.dir.open(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(self.watch(self.dir.create(name)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.dir.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.dir.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.look();
        self.dir.sync()
    }

    fn path(&self) -> PathBuf {
        self.dir.path()
    }
}

#[derive(Debug)]
struct WatchedFile {
    file: Box<dyn File>,
    watched: Watched,
}

impl File for WatchedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)
    }

    fn allocate(&self, size: u64) -> io::Result<()> {
        self.file.allocate(size)
    }

    fn set_len(&self, size: u64) -> io::Result<()> {
        self.file.set_len(size)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.watched.look();
        self.file.sync_data()
    }
}
