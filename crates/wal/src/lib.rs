//! The raft log and vote on disk, in etcd's own format, bit for bit: this crate continues a log that etcd wrote, and
//! etcd continues one of this crate's.
//!
//! - [`Wal`] is an open log. [`Wal::append`] writes, [`Wal::sync`] makes durable: one write and one fdatasync
//!   however many entries there are.
//! - [`Recovered`] is what [`Wal::open`] found: the start [mark](SnapshotMark), the [`HardState`], the [`Entry`]s.
//! - [`SnapshotMark`] says that the state up to an index is durable elsewhere, so that recovery starts behind it and
//!   [`Wal::release`] can delete segments.
//! - [`Dir`] is the seam to the disk: [`FsDir`] is one, [`MemDir`] simulates one that crashes.
//!
//! The crate knows nothing of raft's rules beyond "a later entry replaces those from its index on", nothing of what
//! entries contain, and has no threads and no clock. It never retries a failed write or sync.
//!
//! # Files
//!
//! A log is a directory of segments `<sequence>-<index>.wal`, both in 16 hexadecimal digits. Each begins with the
//! running checksum, the [`Metadata`] and the hard state, and holds records in the order they were appended:
//!
//! ```text
//! 0000000000000000-0000000000000000.wal   crc meta mark e1 e2 state e3 state       ends with its last record
//! 0000000000000001-0000000000000004.wal   crc meta state e4 mark e5 state 0000...  preallocated, being written
//! ```
//!
//! # Invariants
//!
//! - What was appended before a successful [`Wal::sync`] is found again after any crash; what was appended later is
//!   found up to some point, never in part.
//! - A segment has its name only when its head is durable, and its successor appears only when it is durable as a
//!   whole. So only the last segment can have an unfinished end; damage anywhere else is an error.
//! - The last mark is never above the recorded commit index, and the segments from it on are never deleted.
//!
//! # Example
//!
//! ```
//! use ferretcd_wal::{Config, Entry, EntryKind, HardState, MemDir, Metadata, Wal};
//!
//! let config = Config { segment_bytes: 64_000_000, unsafe_no_fsync: false };
//! let disk = MemDir::new();
//! let mut wal = Wal::create_on(disk.clone(), Metadata { node_id: 1, cluster_id: 2 }, config)?;
//! let entry = Entry { term: 1, index: 1, kind: EntryKind::Normal, data: "put".into() };
//! let vote = HardState { term: 1, vote: 1, commit: 0 };
//! assert!(wal.append(&[entry.clone()], Some(vote))?);
//! wal.sync()?;
//!
//! let (_, recovered) = Wal::open_on(disk.crash(), config)?;
//! assert_eq!(recovered.hard_state, vote);
//! assert_eq!(recovered.entries, [entry]);
//! # Ok::<(), ferretcd_wal::Error>(())
//! ```

mod wal;

mod recover;
mod repair;

mod message;
mod proto;
mod reader;
mod record;
mod segment;

mod dir;
mod fs_dir;
mod mem_dir;

mod error;
mod types;

pub use dir::{Dir, File};
pub use error::{Error, Fault};
pub use fs_dir::{FsDir, sync_names};
pub use mem_dir::{MemDir, Operation, Unsynced};
pub use types::{ConfState, Entry, EntryKind, HardState, Metadata, Recovered, SnapshotMark};
pub use wal::{Config, Wal};
