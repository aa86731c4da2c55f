//! Where the files of a member lie.

use std::path::{Path, PathBuf};

use ferretcd_wal::Wal;

/// Size of a segment of the log in bytes; etcd's.
pub(crate) const SEGMENT_BYTES: u64 = 64_000_000;

/// The paths of a member's files. Nothing is read or created before a method says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    member: PathBuf,
    log: PathBuf,
}

impl Paths {
    /// The files below `data_dir`; the log in `wal_dir` if that is given.
    pub fn new(data_dir: &Path, wal_dir: Option<&Path>) -> Self {
        let member = data_dir.join("member");
        let log = wal_dir.map_or_else(|| member.join("wal"), Path::to_owned);
        Self { member, log }
    }

    /// The directory of the lock, the state file and, without a directory of its own, the log.
    pub fn member(&self) -> &Path {
        &self.member
    }

    /// The directory of the log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The state file.
    pub fn state_file(&self) -> PathBuf {
        self.member.join("state.redb")
    }

    /// What will be the state file when it is whole: the same rows in less room. A start deletes it.
    pub fn rewritten_state_file(&self) -> PathBuf {
        self.member.join("state.rewritten.part.redb")
    }

    /// The directory of received snapshots.
    pub fn snapshots(&self) -> PathBuf {
        self.member.join("snap")
    }

    /// The database of an etcd server that this member was before.
    pub fn etcd_database(&self) -> PathBuf {
        self.snapshots().join("db")
    }

    /// Whether there is a log. If so, a start goes on from it. Reads the log's directory.
    pub fn has_log(&self) -> bool {
        Wal::exists(&self.log)
    }
}
