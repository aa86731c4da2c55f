//! Leaving the data directory to an etcd server.
//!
//! The log is etcd's, and so are all of its entries. etcd's database has to be made of the state file. A crash leaves the
//! state file, with or without a database beside it, and counts as if nothing had been done; or the database alone.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ferretcd_apply::snapshot::{Export, export};
use ferretcd_backend::Backend;
use ferretcd_wal::{Wal, sync_names};

use crate::data_dir::{check_positions, io_error};
use crate::error::LeaveError;
use crate::{DataDir, DiskSpace, Paths};

/// Pages in memory while the state file is read once, from its beginning to its end.
const CACHE_BYTES: usize = 32 << 20;
/// Bytes that are written between two reports of progress.
const PIECE_BYTES: usize = 4 << 20;

/// A directory on which an etcd server goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The database that was made.
    pub database: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// The last entry of the log that is in it. etcd applies those behind it.
    pub index: u64,
    /// The state file, which is not needed any more.
    pub state_file: PathBuf,
}

/// Makes a directory of etcd 3.7 of one of ferretcd whose member is down. `progress` is told the bytes that are written,
/// and how many there will be. Durable on return; until then ferretcd goes on with the directory, whatever happens.
///
/// Reads the log and, twice, the state file; needs room for a second copy of the rows.
pub fn leave_to_etcd(paths: Paths, progress: impl FnMut(u64, u64)) -> Result<Left, LeaveError> {
    let state_file = paths.state_file();
    if !state_file.exists() {
        return Err(LeaveError::NoState { path: state_file });
    }
    let data_dir = DataDir::try_lock(paths)?;
    let paths = &data_dir.paths;
    let opened = Wal::open(paths.log(), data_dir.log_config());
    let (_log, recovered) = opened.map_err(|source| data_dir.log_error(source))?;
    data_dir.received_snapshots().finish_install(recovered.snapshot.index)?;
    let config = ferretcd_backend::Config { cache_bytes: CACHE_BYTES };
    let backend = Backend::open(&state_file, &config).map_err(crate::OpenError::from)?;
    let exported = export(backend.view());
    let image = exported.map_err(|source| LeaveError::Export { path: state_file.clone(), source })?;
    check_positions(image.mark(), &recovered)?;
    let (index, bytes) = (image.mark().position.index, image.len());
    let database = paths.etcd_database();
    write(image, &database, progress)?;
    drop(backend);
    let aside = state_file.with_extension("redb.before-etcd");
    fs::rename(&state_file, &aside).and_then(|()| sync_names(&aside)).map_err(io_error(&state_file))?;
    Ok(Left { database, bytes, index, state_file: aside })
}

/// Writes the database; durable on return. There is no file of its name before it is whole.
fn write(mut image: Export, database: &Path, mut progress: impl FnMut(u64, u64)) -> Result<(), LeaveError> {
    // etcd deletes such files.
    let unnamed = database.with_file_name("tmp.migrate");
    let failed = |source| LeaveError::Write { path: unnamed.clone(), source };
    let dir = database.parent().unwrap_or(database);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let more = image.len();
    let space = DiskSpace::of(dir).map_err(failed)?;
    if !space.has_room(more) {
        let (free, reserve) = (space.free, space.reserve());
        return Err(LeaveError::DiskFull { path: unnamed, free, reserve, more });
    }
    let mut copy = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(&unnamed)?);
        let mut piece = vec![0; PIECE_BYTES];
        let mut written = 0;
        loop {
            let n = image.read(&mut piece)?;
            if n == 0 {
                break;
            }
            file.write_all(&piece[..n])?;
            written += n as u64;
            progress(written, more);
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&unnamed, database)?;
        sync_names(database)
    };
    copy().map_err(|source| {
        // The error that has led here is the one to report.
        let _ = fs::remove_file(&unnamed);
        LeaveError::Write { path: unnamed.clone(), source }
    })
}
