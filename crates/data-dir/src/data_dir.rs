//! A member's directory, locked, and how its log and its state file are opened.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ferretcd_apply::{Applied, StateMachine};
use ferretcd_backend::{Backend, Batch, Checked};
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_raft_node::founding_entries;
use ferretcd_wal::{Metadata, Recovered, Wal, sync_names};

use crate::migration::{migrate, put_aside};
use crate::paths::SEGMENT_BYTES;
use crate::{Bootstrap, DiskSpace, Identity, OpenError, Paths, ReceivedSnapshots};

/// A member's directory. No other process uses it as long as this value lives.
#[derive(Debug)]
pub struct DataDir {
    pub(crate) paths: Paths,
    unsafe_no_fsync: bool,
    /// Held, never read: closing it gives up the lock.
    _lock: File,
}

/// How the state file and the stores in it are opened.
#[derive(Clone, Debug)]
pub struct StateConfig {
    /// The state file.
    pub backend: ferretcd_backend::Config,
    /// The stores.
    pub stores: ferretcd_apply::Config,
    /// Whether all of the state file is read first, to find damage that would be met later or never.
    pub check_pages: bool,
}

impl DataDir {
    /// Creates the member's directory and locks it; deletes a rewrite of the state file that was not finished. Waits,
    /// without a bound, while another process holds the lock. `unsafe_no_fsync` leaves out every sync of the log and of
    /// received snapshots.
    pub fn lock(paths: Paths, unsafe_no_fsync: bool) -> Result<Self, OpenError> {
        let directory = paths.member();
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io_error(directory))?;
        let (path, lock) = lock_file(&paths)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tracing::warn!(path = %path.display(), "db file is flocked by another process, or taking too long");
                lock.lock().map_err(io_error(&path))?;
            }
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
        remove_unfinished(&paths.rewritten_state_file())?;
        Ok(Self { paths, unsafe_no_fsync, _lock: lock })
    }

    /// Locks the directory of an existing member; rejects it while another process holds the lock.
    pub fn try_lock(paths: Paths) -> Result<Self, OpenError> {
        let (path, lock) = lock_file(&paths)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { path }),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
        remove_unfinished(&paths.rewritten_state_file())?;
        Ok(Self { paths, unsafe_no_fsync: false, _lock: lock })
    }

    /// Opens the log, and creates it for the member called `name` if there is none. Reads the whole log. A created log
    /// is durable on return.
    pub fn open_log(
        &self,
        name: &str,
        bootstrap: &Bootstrap,
    ) -> Result<(Wal, Recovered, Identity), OpenError> {
        let is_new = !self.paths.has_log();
        if is_new {
            let states = [self.paths.state_file(), self.paths.etcd_database()];
            if let Some(state) = states.into_iter().find(|state| state.exists()) {
                return Err(OpenError::LogMissing { state, log: self.paths.log().to_owned() });
            }
            self.create_log(bootstrap.identity(name)?, bootstrap)?;
        }
        let (wal, recovered) =
            Wal::open(self.paths.log(), self.log_config()).map_err(|source| self.log_error(source))?;
        let Metadata { node_id, cluster_id } = recovered.metadata;
        let identity = Identity { member_id: MemberId(node_id), cluster_id: ClusterId(cluster_id) };
        let message = if is_new { "starting local member" } else { "restarting local member" };
        let (member, cluster) = (identity.member_id, identity.cluster_id);
        tracing::info!("local-member-id" = %member, "cluster-id" = %cluster, "{message}");
        Ok((wal, recovered, identity))
    }

    /// A log stands for a member that keeps all it has; so the names above the state file are durable before there is
    /// one. The log may lie elsewhere, and sees to those above itself.
    fn create_log(&self, identity: Identity, bootstrap: &Bootstrap) -> Result<(), OpenError> {
        let directory = self.paths.member();
        if !self.unsafe_no_fsync {
            sync_names(directory).map_err(io_error(directory))?;
        }
        let metadata = Metadata { node_id: identity.member_id.0, cluster_id: identity.cluster_id.0 };
        let (entries, hard_state) = founding_entries(&bootstrap.founders());
        let hard_state = (!entries.is_empty()).then_some(hard_state);
        Wal::create_with(self.paths.log(), metadata, &entries, hard_state, self.log_config())
            .map(drop)
            .map_err(|source| self.log_error(source))
    }

    pub(crate) fn log_config(&self) -> ferretcd_wal::Config {
        ferretcd_wal::Config { segment_bytes: SEGMENT_BYTES, unsafe_no_fsync: self.unsafe_no_fsync }
    }

    pub(crate) fn log_error(&self, source: ferretcd_wal::Error) -> OpenError {
        OpenError::Wal { path: self.paths.log().to_owned(), source }
    }

    /// Opens or creates the state file for a log that was recovered as `recovered`. A received snapshot that the log
    /// begins with takes its place first; where an etcd server has left its database, a state file is made of it. Takes
    /// milliseconds for the file, and a scan of its rows for the stores.
    pub fn open_state(
        &self,
        recovered: &Recovered,
        config: &StateConfig,
    ) -> Result<(Backend, StateMachine), OpenError> {
        self.received_snapshots().finish_install(recovered.snapshot.index)?;
        migrate(&self.paths, recovered, DiskSpace::of)?;
        let path = self.paths.state_file();
        let started = Instant::now();
        let backend = Backend::open(&path, &config.backend)?;
        let took = format!("{:?}", started.elapsed());
        tracing::info!(path = %path.display(), took, "opened backend db");
        if config.check_pages {
            check_pages(&path, &backend)?;
        }
        let mut first_rows = Batch::default();
        let machine = StateMachine::open(backend.clone(), &config.stores, &mut first_rows)?;
        if !first_rows.is_empty() {
            backend.commit(&first_rows)?;
        }
        check_positions(machine.applied(), recovered)?;
        let snapshots = self.paths.snapshots();
        put_aside(&snapshots).map_err(io_error(&snapshots))?;
        Ok((backend, machine))
    }

    /// The snapshots that peers send to this member.
    pub fn received_snapshots(&self) -> ReceivedSnapshots {
        ReceivedSnapshots::new(&self.paths, self.unsafe_no_fsync)
    }
}

fn lock_file(paths: &Paths) -> Result<(PathBuf, File), OpenError> {
    let path = paths.member().join("LOCK");
    let mut options = OpenOptions::new();
    let opened = options.create(true).truncate(false).write(true).mode(0o600).open(&path);
    let lock = opened.map_err(io_error(&path))?;
    Ok((path, lock))
}

/// Before anything is written: the disk may be full of it.
fn remove_unfinished(path: &Path) -> Result<(), OpenError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(path)(error)),
        _ => Ok(()),
    }
}

fn check_pages(path: &Path, backend: &Backend) -> Result<(), OpenError> {
    let started = Instant::now();
    let Checked { pages, bytes } = backend.check().map_err(OpenError::Check)?;
    let took = format!("{:?}", started.elapsed());
    tracing::info!(path = %path.display(), pages, bytes, took, "checked all pages of the state file");
    Ok(())
}

pub(crate) fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> OpenError + '_ {
    move |source| OpenError::Io { path: path.to_owned(), source }
}

/// The log must reach from the state file's position on.
pub(crate) fn check_positions(applied: &Applied, recovered: &Recovered) -> Result<(), OpenError> {
    let first = recovered.snapshot.index;
    let last = recovered.entries.last().map_or(first, |entry| entry.index);
    let applied = applied.position.index;
    if applied > last {
        return Err(OpenError::LogBehind { applied, last });
    }
    if applied < first {
        return Err(OpenError::StateBehind { applied, first });
    }
    Ok(())
}
