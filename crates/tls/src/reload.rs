//! The newest version of what is in some files.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::error::Error;

type Load<T> = dyn Fn() -> Result<T, Error> + Send + Sync;

/// A value that is made of files, and made again when they have changed.
///
/// [`current`](Self::current) reads from the file system a stamp of each file, which takes some microseconds, and reads
/// them only when a stamp has changed. A new version that can't be used is logged once, and the value stays what it
/// was.
pub struct Reloader<T> {
    files: Vec<PathBuf>,
    load: Box<Load<T>>,
    /// Locked while files are looked at, so that they are read once and not by every handshake.
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Of the versions that were read last, be it in vain.
    stamps: Vec<Stamp>,
    value: Arc<T>,
}

/// Distinguishes versions of a file; `None` if there is none.
type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

impl<T> Reloader<T> {
    /// Makes the value. `load` reads `files` and no others.
    ///
    /// # Errors
    /// What `load` errs with.
    pub fn new(
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        // Stamped first: what changes between the two is read again.
        let stamps = stamps(&files);
        let value = Arc::new(load()?);
        Ok(Self { files, load: Box::new(load), state: Mutex::new(State { stamps, value }) })
    }

    /// The value that the files make now, or the last that they made.
    pub fn current(&self) -> Arc<T> {
        let mut state = self.state.lock();
        let stamps = stamps(&self.files);
        if stamps == state.stamps {
            return Arc::clone(&state.value);
        }
        state.stamps = stamps;
        match (self.load)() {
            Ok(value) => {
                state.value = Arc::new(value);
                tracing::info!("files[]" = ?self.files, "reloaded TLS files");
            }
            Err(error) => {
                tracing::error!(%error, "failed to reload TLS files; going on with what was loaded before");
            }
        }
        Arc::clone(&state.value)
    }
}

impl<T> fmt::Debug for Reloader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("files", &self.files).finish_non_exhaustive()
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let meta = fs::metadata(file).ok()?;
        // A file that is renamed into place is another inode; one written in place has another time of change.
        Some((
            meta.dev(),
            meta.ino(),
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn the_last_good_version_stays() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("number");
        let put = |text: &str| {
            let new = dir.path().join("new");
            fs::write(&new, text)
                .and_then(|()| fs::rename(&new, dir.path().join("number")))
                .expect("written");
        };
        put("1");
        let file = path.clone();
        let load = move || {
            let text =
                fs::read_to_string(&file).map_err(|source| Error::Read { path: file.clone(), source })?;
            text.parse::<u32>()
                .map_err(|error| Error::Read { path: file.clone(), source: io::Error::other(error) })
        };
        let number = Reloader::new(vec![path.clone()], load).expect("a number");
        assert_eq!(*number.current(), 1);
        put("22");
        assert_eq!(*number.current(), 22);
        put("none");
        assert_eq!(*number.current(), 22);
        fs::remove_file(&path).expect("removed");
        assert_eq!(*number.current(), 22);
        put("3");
        assert_eq!(*number.current(), 3);
    }

    #[test]
    fn the_first_version_has_to_be_good() {
        let load = || Err::<(), _>(Error::NoValidity);
        assert!(Reloader::new(Vec::new(), load).is_err());
    }
}
