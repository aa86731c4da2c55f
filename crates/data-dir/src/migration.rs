//! Starting on the data directory of an etcd server.
//!
//! The log is in etcd's format and goes on as it is. A state file has to be made of etcd's database, once; what etcd
//! kept beside its log is put aside then, and never deleted.
//!
//! A crash leaves one of these, and each of them is where a start goes on:
//!
//! 1. etcd's files, and perhaps a state file that has not got its name: the migration begins again. An etcd may be
//!    started as well, for nothing of it has changed.
//! 2. The state file and files of etcd: they are put aside. The state file is whole and durable from its name on, and
//!    counts as soon as it is there.
//! 3. The state file alone.

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ferretcd_apply::Applied;
use ferretcd_apply::snapshot::import;
use ferretcd_backend::{Backend, Batch};
use ferretcd_bolt::Reader;
use ferretcd_membership::{Membership, conf_state_json};
use ferretcd_wal::{ConfState, EntryKind, Recovered, sync_names};

use crate::error::{MigrationError, OpenError};
use crate::{DiskSpace, Paths};

/// The directory for etcd's files beside the log, in that of snapshots, so that they stay on their file system.
const ASIDE: &str = "etcd-before-migration";
/// The first release, by major and minor version, all of whose log entries are understood.
const RELEASE_MIN: (u32, u32) = (3, 5);
/// Pages in memory while one row is corrected.
const CACHE_BYTES: usize = 4 << 20;
/// Percent of the work between two lines of the log.
const PROGRESS_STEP: u64 = 10;

/// Makes the state file of etcd's database, if that is there and no state file yet. `recovered` is the log, and
/// `disk_space` measures the file system of a directory. Takes seconds for a million rows, with a bounded amount of memory;
/// durable on return.
pub(crate) fn migrate(
    paths: &Paths,
    recovered: &Recovered,
    disk_space: fn(&Path) -> io::Result<DiskSpace>,
) -> Result<(), OpenError> {
    if paths.state_file().exists() {
        return Ok(());
    }
    let Some(database) = Database::find(paths, recovered.snapshot.index)? else { return Ok(()) };
    let imported = database.import(paths, recovered, disk_space);
    imported.map_err(|source| OpenError::Migration { path: database.path, source })
}

/// A database of etcd. No other process uses it as long as this value lives.
struct Database {
    path: PathBuf,
    len: u64,
    /// The last entry of the log that is in it.
    index: u64,
    /// Held, never read: closing it gives up the lock.
    _lock: File,
}

impl Database {
    /// The database that belongs to a log which begins behind entry `first`. etcd remembers a snapshot from another
    /// member in the log before it gives the database of it its name.
    fn find(paths: &Paths, first: u64) -> Result<Option<Self>, OpenError> {
        let dir = paths.snapshots();
        let current = Self::open(paths.etcd_database())?;
        if current.as_ref().is_some_and(|database| database.index >= first) {
            return Ok(current);
        }
        let received = Self::open(dir.join(format!("{first:016x}.snap.db")))?;
        Ok(received.or(current))
    }

    /// Nothing if the file is missing, or as empty as etcd has created it.
    fn open(path: PathBuf) -> Result<Option<Self>, OpenError> {
        let io_error = |source| OpenError::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(io_error)?,
        };
        let len = file.metadata().map_err(io_error)?.len();
        if len == 0 {
            return Ok(None);
        }
        let locked = match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(MigrationError::InUse),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        };
        let looked = locked.and_then(|()| consistent_index(&file));
        let index = looked.map_err(|source| OpenError::Migration { path: path.clone(), source })?;
        Ok(Some(Self { path, len, index, _lock: file }))
    }

    /// Makes the state file. Under its name it is whole.
    fn import(
        &self,
        paths: &Paths,
        recovered: &Recovered,
        disk_space: fn(&Path) -> io::Result<DiskSpace>,
    ) -> Result<(), MigrationError> {
        let (index, first) = (self.index, recovered.snapshot.index);
        let last = recovered.entries.last().map_or(first, |entry| entry.index);
        if index < first {
            return Err(MigrationError::Behind { index, first });
        }
        if index > last {
            return Err(MigrationError::Ahead { index, last });
        }
        let started = Instant::now();
        let (path, bytes) = (self.path.display(), self.len);
        tracing::info!(%path, bytes, "migrating the database of etcd");
        let state_file = paths.state_file();
        let unnamed = state_file.with_extension("new.redb");
        let found = self.fill(&unnamed, || disk_space(paths.member()).map_err(MigrationError::Measure))?;
        correct(&unnamed, found, recovered)?;
        fs::rename(&unnamed, &state_file).map_err(MigrationError::Rename)?;
        sync_names(&state_file).map_err(MigrationError::Rename)?;
        let took = format!("{:?}", started.elapsed());
        tracing::info!(path = %state_file.display(), index, took, "migrated the database of etcd");
        Ok(())
    }

    fn fill(
        &self,
        state_file: &Path,
        disk_space: impl Fn() -> Result<DiskSpace, MigrationError>,
    ) -> Result<Applied, MigrationError> {
        let mut room = Ok(());
        let mut next = PROGRESS_STEP;
        let imported = import(&self.path, state_file, |n_bytes| {
            room = disk_space().and_then(|space| self.check_room(space, n_bytes));
            // The file has more than rows, so that the end comes early.
            let percent = n_bytes.saturating_mul(100) / self.len;
            if percent >= next {
                tracing::info!(bytes = n_bytes, "of-bytes" = self.len, "{percent} % migrated");
                next = percent + PROGRESS_STEP;
            }
            if room.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        room?;
        Ok(imported?)
    }

    fn check_room(&self, space: DiskSpace, n_bytes: u64) -> Result<(), MigrationError> {
        if space.has_room(0) {
            return Ok(());
        }
        let more = self.len.saturating_sub(n_bytes);
        Err(MigrationError::DiskFull { free: space.free, reserve: space.reserve(), more })
    }
}

/// Corrects the group's configuration, which an etcd does not read from its database.
///
/// It takes that of the last snapshot from its log, and applies the changes behind it again. The row in the database is
/// written with each change; until the first one a restored database has that of the cluster in which it was saved, and one
/// that 3.4 began has none.
fn correct(state_file: &Path, found: Applied, recovered: &Recovered) -> Result<(), MigrationError> {
    let mut applied_entries =
        recovered.entries.iter().take_while(|entry| entry.index <= found.position.index);
    let is_changed = applied_entries.any(|entry| entry.kind != EntryKind::Normal);
    let conf_state = match &recovered.snapshot.conf_state {
        Some(ConfState { voters, learners, .. }) if !is_changed => {
            conf_state_json(voters.clone(), learners.clone())
        }
        _ => found.conf_state.clone(),
    };
    if conf_state == found.conf_state && !conf_state.is_empty() {
        return Ok(());
    }
    let backend = Backend::open(state_file, &ferretcd_backend::Config { cache_bytes: CACHE_BYTES })?;
    let conf_state = match conf_state.is_empty() {
        true => Membership::open(&backend)?.conf_state_json(),
        false => conf_state,
    };
    let mut batch = Batch::default();
    Applied { conf_state, ..found }.store(&mut batch);
    backend.commit(&batch)?;
    drop(backend);
    // Closing has written to the file behind the last commit.
    File::open(state_file).and_then(|file| file.sync_all()).map_err(MigrationError::Rename)
}

/// Checks which release has written the database, and reads the last entry in it; zero if there is none.
fn consistent_index(file: &File) -> Result<u64, MigrationError> {
    let reader = Reader::open(file)?;
    let row = |bucket: &[u8], key: &[u8]| -> Result<_, MigrationError> {
        let Some(bucket) = reader.bucket(bucket)? else { return Ok(None) };
        let mut rows = bucket.rows().filter(|row| row.as_ref().map_or(true, |(found, _)| found == key));
        Ok(rows.next().transpose()?.map(|(_, value)| value))
    };
    if let Some(version) = row(b"cluster", b"clusterVersion")?
        && release(&version).is_none_or(|release| release < RELEASE_MIN)
    {
        return Err(MigrationError::Release { version: version.escape_ascii().to_string() });
    }
    let Some(index) = row(b"meta", b"consistent_index")? else { return Ok(0) };
    let members = reader.bucket(b"members")?;
    members.and_then(|members| members.rows().next()).transpose()?.ok_or(MigrationError::NoMembers)?;
    index[..].try_into().map(u64::from_be_bytes).map_err(|_| MigrationError::Index)
}

/// The major and the minor version.
fn release(version: &[u8]) -> Option<(u32, u32)> {
    let mut numbers = str::from_utf8(version).ok()?.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Moves etcd's files in the directory of snapshots into a directory of their own, when the state file is known to be of use.
/// None of them takes the place of one that is there from before.
pub(crate) fn put_aside(dir: &Path) -> io::Result<()> {
    let files = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        files => files?,
    };
    let names = files.map(|file| Ok(file?.file_name())).collect::<io::Result<Vec<OsString>>>()?;
    let names: Vec<_> = names.into_iter().filter(|name| is_etcds(name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let aside = free_directory(dir)?;
    for name in &names {
        fs::rename(dir.join(name), aside.join(name))?;
    }
    // Those of the directories above the path, so `aside` as well.
    sync_names(&aside.join(&names[0]))?;
    tracing::warn!(
        path = %aside.display(),
        files = names.len(),
        "remove-command" = format!("rm -r '{}'", aside.display()),
        "put the files of etcd aside; they are not needed any more"
    );
    Ok(())
}

/// Makes a directory that was not there.
fn free_directory(dir: &Path) -> io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let aside = if number == 1 { dir.join(ASIDE) } else { dir.join(format!("{ASIDE}-{number}")) };
        match DirBuilder::new().mode(0o700).create(&aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => return made.map(|()| aside),
        }
    }
}

/// Whether etcd gives this name to a file beside its log: its database, one that is being received or defragmented,
/// and what its releases keep for older ones.
fn is_etcds(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let is_partial = name.starts_with("db.tmp.") || name.starts_with("tmp");
    name == "db" || is_partial || [".snap", ".snap.db", ".snap.broken"].iter().any(|end| name.ends_with(end))
}
