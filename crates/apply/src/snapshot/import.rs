//! A bolt image as a new state file.

use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ferretcd_auth::AuthStore;
use ferretcd_backend::{Backend, Batch, Bucket};
use ferretcd_bolt::{Image, Reader};
use ferretcd_lease::Leases;
use ferretcd_membership::Membership;
use ferretcd_mvcc::HistoryCheck;

use super::ImportError;
use crate::alarm::Alarms;
use crate::{Applied, OpenError};

/// Rows gathered before they are committed, in bytes. Each commit syncs, which takes some milliseconds.
const BATCH_BYTES: usize = 16 << 20;
/// Pages in memory while the file is filled. Rows come in order, so few are met again.
const CACHE_BYTES: usize = 32 << 20;

/// Makes the state file `redb_file` of the image in `bolt_file`, which may have its hash behind it, and returns
/// the position that the state is at. `progress` is called after each 16 MiB of rows, and after the last, with
/// the bytes of rows stored so far, and returns whether to go on.
///
/// The image is checked as it is read, and every row as the stores would when they are opened. On return the new
/// file is durable under its name, and closed; until then it lies beside it, with `part.redb` in place of the
/// name's extension. Earlier files of these names are replaced. Takes some seconds for a million rows.
///
/// # Errors
///
/// When the image is damaged or is no database of etcd's, when a file cannot be read or written, and when `progress`
/// breaks off. Nothing is left then.
pub fn import(
    bolt_file: &Path,
    redb_file: &Path,
    progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Applied, ImportError> {
    let image = File::open(bolt_file).map_err(failed("open", bolt_file))?;
    ferretcd_bolt::check_trailer(&image)?;
    let part = Part::new(redb_file)?;
    let backend = Backend::open(&part.path, &ferretcd_backend::Config { cache_bytes: CACHE_BYTES })?;
    let applied = fill(&image, &backend, progress)?;
    drop(backend);
    part.finish(redb_file)?;
    Ok(applied)
}

/// As [`import`], into an open backend without rows: everything is durable on return. It always goes on. After an
/// error the backend has some of the rows.
///
/// # Errors
///
/// As [`import`].
pub fn import_into(
    image: &(impl Image + ?Sized),
    backend: &Backend,
    mut progress: impl FnMut(u64),
) -> Result<Applied, ImportError> {
    fill(image, backend, |n_bytes| {
        progress(n_bytes);
        ControlFlow::Continue(())
    })
}

fn fill(
    image: &(impl Image + ?Sized),
    backend: &Backend,
    mut progress: impl FnMut(u64) -> ControlFlow<()>,
) -> Result<Applied, ImportError> {
    let reader = Reader::open(image)?;
    let mut history = HistoryCheck::default();
    let mut batch = Batch::default();
    let mut n_bytes = 0;
    let mut store = |batch: &mut Batch| {
        backend.commit(batch)?;
        n_bytes += batch.bytes() as u64;
        *batch = Batch::default();
        match progress(n_bytes) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ImportError::BrokenOff { n_bytes }),
        }
    };
    for found in reader.buckets() {
        let found = found?;
        let bucket = known(found.name())?;
        for row in found.rows() {
            let (key, value) = row?;
            if bucket == Bucket::Key {
                history.row(&key, &value)?;
            }
            // A slice would keep a node of the image in memory, which may be large.
            batch.put(bucket, Bytes::copy_from_slice(&key), Bytes::copy_from_slice(&value));
            if batch.bytes() >= BATCH_BYTES {
                store(&mut batch)?;
            }
        }
    }
    store(&mut batch)?;
    Ok(check(backend)?)
}

fn known(name: &Bytes) -> Result<Bucket, ImportError> {
    let bucket = Bucket::ALL.into_iter().find(|bucket| bucket.name().as_bytes() == name);
    bucket.ok_or_else(|| ImportError::Bucket { name: name.clone() })
}

/// Reads all rows but those of the history as the stores will, so that no state is installed that cannot be opened.
fn check(backend: &Backend) -> Result<Applied, OpenError> {
    let view = backend.view();
    HistoryCheck::markers(&view)?;
    Membership::open(backend)?;
    Alarms::open(backend)?;
    AuthStore::open(backend)?;
    Leases::open(backend, ferretcd_lease::Config { ttl_min: 1 })?;
    Applied::read(&view)
}

/// The file while it is being filled; removed if it does not get its name.
struct Part {
    path: PathBuf,
    is_finished: bool,
}

impl Part {
    fn new(redb_file: &Path) -> Result<Self, ImportError> {
        let path = redb_file.with_extension("part.redb");
        for old in [&path, redb_file] {
            match fs::remove_file(old) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed("remove", old)(error));
                }
                _ => {}
            }
        }
        Ok(Self { path, is_finished: false })
    }

    fn finish(mut self, redb_file: &Path) -> Result<(), ImportError> {
        // Closing has written to the file behind the last commit.
        let file = File::open(&self.path).map_err(failed("open", &self.path))?;
        file.sync_all().map_err(failed("sync", &self.path))?;
        fs::rename(&self.path, redb_file).map_err(failed("rename", &self.path))?;
        self.is_finished = true;
        let directory = redb_file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(failed("sync", directory))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_finished {
            // The error that has led here is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn failed(action: &'static str, place: &Path) -> impl FnOnce(io::Error) -> ImportError {
    let place = place.display().to_string();
    move |source| ImportError::Io { action, place, source }
}
