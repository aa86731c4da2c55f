//! The log as one handle.

use std::path::Path;

use crate::{Dir, Entry, Error, HardState, Metadata, Recovered, SnapshotMark};

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// A segment that has reached this many bytes is closed and the next one begun. etcd's is 64,000,000.
    pub segment_bytes: u64,
    /// Leaves out every sync: a crash of the machine may then lose or tear anything.
    pub unsafe_no_fsync: bool,
}

/// An open log.
#[derive(Debug)]
pub struct Wal {
    written_bytes: u64,
}

impl Wal {
    /// Whether `dir` holds a log.
    pub fn exists(dir: &Path) -> bool {
        dir.exists()
    }

    /// Creates a log for a new member; `path` must not exist.
    pub fn create(_path: &Path, _metadata: Metadata, _config: Config) -> Result<Self, Error> {
        Err(Error::Poisoned)
    }

    /// Opens a log and reads it.
    pub fn open(_path: &Path, _config: Config) -> Result<(Self, Recovered), Error> {
        Err(Error::Poisoned)
    }

    /// As [`Wal::create`], on any directory.
    pub fn create_on(_dir: impl Dir, _metadata: Metadata, _config: Config) -> Result<Self, Error> {
        Err(Error::Poisoned)
    }

    /// As [`Wal::open`], on any directory.
    pub fn open_on(_dir: impl Dir, _config: Config) -> Result<(Self, Recovered), Error> {
        Err(Error::Poisoned)
    }

    /// Appends entries, then the hard state, with one write. Not durable until [`Wal::sync`]. Returns whether a sync is owed.
    pub fn append(&mut self, _entries: &[Entry], _hard_state: Option<HardState>) -> Result<bool, Error> {
        Err(Error::Poisoned)
    }

    /// Makes everything appended durable.
    pub fn sync(&mut self) -> Result<(), Error> {
        Err(Error::Poisoned)
    }

    /// Records that a state up to this mark is durable elsewhere; synced on return.
    pub fn mark_snapshot(&mut self, _mark: &SnapshotMark) -> Result<(), Error> {
        Err(Error::Poisoned)
    }

    /// Deletes segments that lie wholly below `index`, keeping at least `keep` files. Returns how many were removed.
    pub fn release(&mut self, _index: u64, _keep: usize) -> Result<usize, Error> {
        Err(Error::Poisoned)
    }

    /// Bytes written through this handle.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }
}
