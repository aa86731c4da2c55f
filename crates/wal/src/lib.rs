//! The raft log and vote on disk, in etcd's own format.

mod dir;
mod error;
mod types;
mod wal;

pub use dir::{Dir, File};
pub use error::{Error, Fault};
pub use types::{ConfState, Entry, EntryKind, HardState, Metadata, Recovered, SnapshotMark};
pub use wal::{Config, Wal};
