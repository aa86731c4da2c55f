//! The files of a member: where they lie, how they are opened, how a received snapshot takes their place.
//!
//! A data directory holds the raft log (`ferretcd_wal`), the state file (`ferretcd_backend`) and the snapshots that
//! other members have sent. This crate opens them in the one order that is safe after any crash, and puts a received
//! snapshot into the place of the state file. Where an etcd server was before, it makes a state file of the database.
//! It starts no thread and runs no request; `ferretcd_engine` does.
//!
//! * [`DataDir`]: a member's directory, locked against other processes; opens the log and the state file.
//! * [`Paths`]: where the files lie. [`Contents`]: what is in a directory before a server uses it.
//! * [`Bootstrap`]: what the log of a new member begins with; [`Identity`]: the member that a log belongs to.
//! * [`Restore`]: a new member from a snapshot file.
//! * [`leave_to_etcd`]: the way back, to a directory of an etcd server.
//! * [`ReceivedSnapshots`]: snapshots of other members, from download to installation; [`Installer`] makes one of them
//!   the state of this member.
//! * [`DiskSpace`]: how much of a disk is free, and how much of it stays so.
//!
//! Invariants: at most one process uses a directory. The state file never counts for more than the log behind it, so a
//! log that does not reach from the position of the state file on ends the start. A received snapshot is durable before
//! the log refers to it, and the log alone says whether it counts.
//!
//! ```
//! use ferretcd_data_dir::{Bootstrap, DataDir, Paths};
//!
//! let folder = tempfile::tempdir()?;
//! let paths = Paths::new(folder.path(), None);
//! assert!(!paths.has_log());
//! let bootstrap = Bootstrap::New {
//!     initial_cluster: [("a".to_owned(), vec!["http://localhost:2380".to_owned()])].into(),
//!     token: "etcd-cluster".to_owned(),
//! };
//! let data_dir = DataDir::lock(paths.clone(), false)?;
//! let (_log, recovered, identity) = data_dir.open_log("a", &bootstrap)?;
//! assert_eq!(Some(identity.member_id), bootstrap.member_id("a"));
//! assert_eq!(recovered.entries.len(), 1, "the entry that adds the founder");
//! assert!(paths.has_log());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bootstrap;
mod contents;
mod disk_space;
mod error;
mod migration;
mod paths;
mod received;
mod restore;

mod data_dir;
mod install;
mod leave;

pub use bootstrap::{Bootstrap, Identity};
pub use contents::{Contents, ContentsError};
pub use data_dir::{DataDir, StateConfig};
pub use disk_space::DiskSpace;
pub use error::{InstallError, LeaveError, MigrationError, OpenError, ReceiveError, RestoreError};
pub use install::Installer;
pub use leave::{Left, leave_to_etcd};
pub use paths::Paths;
pub use received::ReceivedSnapshots;
pub use restore::{Restore, Restored};
