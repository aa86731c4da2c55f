//! Why the files of a member cannot be used.

use std::io;
use std::path::PathBuf;

use ferretcd_apply::snapshot::{ExportError, ImportError};

/// The files cannot be opened. The text names the file or flag and the next step.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A directory or file cannot be used.
    #[error("use {path}: {source}")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A process uses the directory.
    #[error("lock {path}: in use by another process; stop it first")]
    InUse {
        /// The file with the lock.
        path: PathBuf,
    },
    /// The database of an etcd server can't be taken over.
    #[error("migrate {path}, the database of an etcd server: {source}")]
    Migration {
        /// The database. It is as it was, and so is all else of etcd.
        path: PathBuf,
        /// Why.
        source: MigrationError,
    },
    /// The name is not in the initial cluster.
    #[error("start: couldn't find local name {name:?} in the initial cluster configuration")]
    NameMissing {
        /// The member's name.
        name: String,
    },
    /// There is a state file, or the database of an etcd server, and no log.
    #[error(
        "start: {state} exists, but there is no log in {log}; give the right --wal-dir, restore both from one backup, or start on an empty data directory as a new member"
    )]
    LogMissing {
        /// The state file.
        state: PathBuf,
        /// Where the log should be.
        log: PathBuf,
    },
    /// The state file holds more than the log, so the log belongs to another state file.
    #[error(
        "start: the state file is at entry {applied}, but the log ends at entry {last}; restore both from one backup"
    )]
    LogBehind {
        /// The last entry in the state file.
        applied: u64,
        /// The last entry in the log.
        last: u64,
    },
    /// The state file ends before the log begins.
    #[error(
        "start: the state file is at entry {applied}, but the log begins behind entry {first}; restore both from one backup"
    )]
    StateBehind {
        /// The last entry in the state file.
        applied: u64,
        /// The entry that the log begins behind.
        first: u64,
    },
    /// The state file cannot be opened.
    #[error(transparent)]
    Backend(#[from] ferretcd_backend::OpenError),
    /// A page of the state file is damaged.
    #[error("check the state file: {0}")]
    Check(ferretcd_backend::Error),
    /// The stores in the state file cannot be opened.
    #[error(transparent)]
    State(#[from] ferretcd_apply::OpenError),
    /// The state file cannot be written.
    #[error("write the state file: {0}")]
    Commit(#[from] ferretcd_backend::Error),
    /// The log cannot be opened.
    #[error("open the log in {path}: {source}")]
    Wal {
        /// The log's directory.
        path: PathBuf,
        /// Why.
        source: ferretcd_wal::Error,
    },
}

/// The state of an etcd server can't be taken over. The text completes "migrate FILE: ".
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A process has locked the database.
    #[error("in use by another process; stop it first")]
    InUse,
    /// The log may have entries that this version doesn't understand.
    #[error("its cluster is at version {version}; upgrade it with etcd to 3.5 or later first")]
    Release {
        /// The cluster version.
        version: String,
    },
    /// Something was applied, and no member was added: a release before 3.5 has restored it from a snapshot, and keeps the
    /// members elsewhere.
    #[error("it has no members; restore the snapshot again, with etcdutl 3.5 or later")]
    NoMembers,
    /// The row with the position in the log has another length.
    #[error("take over its row consistent_index: it has not 8 bytes; restore this member from a snapshot")]
    Index,
    /// The log doesn't go back to the database.
    #[error(
        "it is at entry {index}, but the log begins behind entry {first}; restore both from one backup, or remove this member and add it again"
    )]
    Behind {
        /// The last entry in the database.
        index: u64,
        /// The entry that the log begins behind.
        first: u64,
    },
    /// The log ends before the database.
    #[error("it is at entry {index}, but the log ends at entry {last}; restore both from one backup")]
    Ahead {
        /// The last entry in the database.
        index: u64,
        /// The last entry in the log.
        last: u64,
    },
    /// The disk would be too full with a second copy.
    #[error(
        "{free} bytes are free on the disk of the data directory, and {reserve} have to stay free; make room for about {more} bytes and start again, or go on with etcd"
    )]
    DiskFull {
        /// Bytes that are free.
        free: u64,
        /// Bytes that stay free.
        reserve: u64,
        /// Bytes that are still to be stored, at most.
        more: u64,
    },
    /// The free room can't be measured.
    #[error("measure the room on the disk of the data directory: {0}")]
    Measure(io::Error),
    /// The file is no database, or it is damaged.
    #[error(transparent)]
    Image(#[from] ferretcd_bolt::ReadError),
    /// The state file can't be made.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The state file can't be opened.
    #[error(transparent)]
    Backend(#[from] ferretcd_backend::OpenError),
    /// The state file can't be written.
    #[error("write the new state file: {0}")]
    Commit(#[from] ferretcd_backend::Error),
    /// The members in it are malformed.
    #[error(transparent)]
    Members(#[from] ferretcd_membership::OpenError),
    /// The state file can't get its name.
    #[error("give the new state file its name: {0}")]
    Rename(io::Error),
}

/// The directory can't be left to an etcd server.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// The files of the member can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no member of ferretcd.
    #[error("leave {path} to etcd: there is no such file; the directory is not one of a member of ferretcd")]
    NoState {
        /// The state file.
        path: PathBuf,
    },
    /// The state file can't be read.
    #[error("read {path}: {source}")]
    Export {
        /// The state file.
        path: PathBuf,
        /// Why.
        source: ExportError,
    },
    /// The database of etcd can't be written.
    #[error("write {path}: {source}")]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk would be too full with a second copy.
    #[error(
        "write {path}: {free} bytes are free on its disk, and {reserve} have to stay free; make room for {more} bytes and start again"
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
        /// Bytes that stay free.
        reserve: u64,
        /// Bytes that are to be stored.
        more: u64,
    },
}

/// A snapshot can't be restored. The texts are those of etcd's tool where it has one.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory has files already.
    #[error("data-dir {path:?} not empty or could not be read")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// The directory of the log has one already.
    #[error("wal-dir {path:?} exists")]
    LogExists {
        /// The directory.
        path: PathBuf,
    },
    /// The file may have been cut off.
    #[error("snapshot missing hash but --skip-hash-check=false")]
    HashMissing,
    /// The file is no snapshot, or damaged.
    #[error("restore {path}: {source}; save another snapshot")]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There are no revisions as high.
    #[error("--bump-revision={by} is too large for a snapshot at revision {newest}")]
    BumpRevision {
        /// By how much the revision should rise.
        by: u64,
        /// The revision of the snapshot.
        newest: i64,
    },
    /// A file can't be written.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// A snapshot was not received.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The connection to the sender failed.
    #[error("receive a snapshot: {0}")]
    Body(io::Error),
    /// The bytes could not be stored.
    #[error("store a snapshot in {path}: {source}")]
    Store {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The disk would be too full with it.
    #[error(
        "store a snapshot{} in {path}: {free} bytes are free there, and {reserve} have to stay free", of_bytes(*len)
    )]
    DiskFull {
        /// The directory.
        path: PathBuf,
        /// The length of the body, if the sender named it.
        len: Option<u64>,
        /// Bytes that are free.
        free: u64,
        /// Bytes that stay free.
        reserve: u64,
    },
    /// The bytes are no snapshot.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The bytes are another snapshot than the announced one.
    #[error("receive a snapshot at entry {announced}: its state is at entry {found}")]
    OtherIndex {
        /// The entry that the announcement named.
        announced: u64,
        /// The entry that the snapshot names.
        found: u64,
    },
}

fn of_bytes(len: Option<u64>) -> String {
    len.map(|len| format!(" of {len} bytes")).unwrap_or_default()
}

/// A received snapshot did not become the state of the member, which must not go on.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The file could not be put into the place of the state file.
    #[error("store a snapshot in {path}: {source}")]
    Rename {
        /// The state file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The new state file cannot be opened.
    #[error(transparent)]
    Open(#[from] ferretcd_backend::OpenError),
    /// The stores cannot go on with the new state file.
    #[error(transparent)]
    State(#[from] ferretcd_apply::OpenError),
}
