use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;

use crate::file::FileMedium;
use crate::open::Config;
use crate::open_file::OpenFile;
use crate::view::{Size, View};
use crate::walk::{self, Checked};
use crate::{Batch, Error, Medium, MemoryMedium, OpenError};

/// An open key-value file. A cheap handle: clones share the file, which is closed when the last handle,
/// [`View`] and iterator is gone.
#[derive(Clone, Debug)]
pub struct Backend {
    /// One place for all clones; [`Backend::replace`] puts another file into it.
    file: Arc<ArcSwap<OpenFile>>,
}

impl Backend {
    /// The file that is open now.
    pub(crate) fn file(&self) -> Arc<OpenFile> {
        self.file.load_full()
    }

    /// Opens the file at `path`, or creates it if it does not exist; its directory must exist. The file is
    /// locked against other processes. Takes milliseconds whatever its size, also after a kill; see
    /// [`Backend::was_scanned`] for the exception. So damage to what opening does not need is noticed later, by the read
    /// that needs it or by [`Backend::check`].
    ///
    /// # Errors
    ///
    /// When another process has the file open, when it is something else than a backend (it is then left
    /// as it is), when it is damaged, or when the file system fails. Every text names the file.
    pub fn open(path: &Path, config: &Config) -> Result<Self, OpenError> {
        let place = path.display().to_string();
        match FileMedium::open(path) {
            Ok(Some(medium)) => Self::open_at(&place, Box::new(medium), config),
            Ok(None) => Err(OpenError::InUse { place }),
            Err(source) => Err(OpenError::Io { action: "open", place, source }),
        }
    }

    /// As [`Backend::open`], on any medium. No other writer may use the medium.
    ///
    /// # Errors
    ///
    /// As [`Backend::open`].
    pub fn open_on(medium: impl Medium, config: &Config) -> Result<Self, OpenError> {
        Self::open_at("the given medium", Box::new(medium), config)
    }

    /// A new backend that is gone with its last handle; for tests and examples.
    #[must_use]
    pub fn in_memory() -> Self {
        let config = Config { cache_bytes: 4 << 20 };
        Self::open_on(MemoryMedium::new(), &config).expect("memory does not fail")
    }

    fn open_at(place: &str, medium: Box<dyn Medium>, config: &Config) -> Result<Self, OpenError> {
        let file = OpenFile::open(place, medium, config, Arc::default())?;
        Ok(Self { file: Arc::new(ArcSwap::from_pointee(file)) })
    }

    /// Makes all changes of `batch` in one transaction that is durable on return, and then lets
    /// [`Backend::view`] show it. An empty batch makes no transaction. Blocks the calling thread for the
    /// disk, and while another commit runs.
    ///
    /// # Errors
    ///
    /// When the medium fails. It is then not known whether the changes are durable: opened again, the file
    /// has all of them or none. This backend commits no more; the views from before stay as they are.
    /// [`Error::TooLarge`] and [`Error::Replaced`] alone leave everything as it was.
    pub fn commit(&self, batch: &Batch) -> Result<(), Error> {
        self.file.load_full().commit(batch)
    }

    /// Opens the file at `path` as [`Backend::open`] does, and lets this handle and all its clones show it from
    /// then on. The file from before takes no more commits; views of it stay as they are and keep it open,
    /// whatever has become of its name. Waits for a running commit.
    ///
    /// Batches collected for the file from before must not be committed any more: the handle cannot
    /// distinguish batches.
    ///
    /// # Errors
    ///
    /// As [`Backend::open`]. Everything is as it was then.
    pub fn replace(&self, path: &Path, config: &Config) -> Result<(), OpenError> {
        self.replace_by(&Self::open(path, config)?);
        Ok(())
    }

    /// Ends commits and rewrites of the file that is open now, as [`Backend::replace`] does: until then they fail with
    /// [`Error::Replaced`]. Call it before another file gets this one's name, so that no rewrite does so later. Waits for
    /// a running commit, and for a rewrite that is taking the file's place. Views stay as they are.
    pub fn retire(&self) {
        self.file.load().lock().is_replaced = true;
    }

    /// As [`Backend::replace`], with the file of another handle. Both share it then.
    pub fn replace_by(&self, other: &Self) {
        let new = other.file.load_full();
        let old = self.file.load_full();
        if !Arc::ptr_eq(&old, &new) {
            let mut writer = old.lock();
            writer.is_replaced = true;
            if let Some(call) = writer.storage.when_read_fails() {
                new.lock().storage.on_read_failure(call);
            }
            self.file.store(new);
        }
    }

    /// Compares every page of the newest commit with its checksum, also those that no read has needed yet. Reads all of
    /// the file that is in use, past the cache, and changes nothing. Commits wait meanwhile.
    ///
    /// # Errors
    ///
    /// When a page is damaged or cannot be read. The backend goes on as before.
    pub fn check(&self) -> Result<Checked, Error> {
        let file = self.file.load_full();
        let writer = file.lock();
        if writer.is_poisoned {
            return Err(writer.storage.explain(Error::Poisoned));
        }
        walk::all(writer.storage.medium()).map_err(|error| writer.storage.explain(error))
    }

    /// As [`Backend::check`], of a file that is not open; it is only read. Of its header what opening needs is checked too.
    ///
    /// # Errors
    ///
    /// When another process has the file open, when it is damaged or no backend, or when the file system fails. Every text
    /// names the file.
    pub fn check_file(path: &Path) -> Result<Checked, OpenError> {
        let place = path.display().to_string();
        match FileMedium::open_to_read(path) {
            Ok(Some(medium)) => walk::all(&medium).map_err(|error| error.while_opening(&place)),
            Ok(None) => Err(OpenError::InUse { place }),
            Err(source) => Err(OpenError::Io { action: "open", place, source }),
        }
    }

    /// Has `call` called, once, with the error of the first read that fails: whatever the reason, all later reads and
    /// commits fail too. It is called at once if there was one, and on the thread that reads. Files that take the place
    /// of this one are watched as well. A second call has no effect.
    pub fn on_read_failure(&self, call: impl Fn(&Error) + Send + Sync + 'static) {
        self.file.load().lock().storage.on_read_failure(Arc::new(call));
    }

    /// A handle of the file that is open now. Unlike a clone it goes on showing this file when the one that
    /// it was made from shows another. A [`Rewrite`](crate::Rewrite) is no other file: all handles of it show its rows in
    /// their new place.
    #[must_use]
    pub fn pinned(&self) -> Self {
        Self { file: Arc::new(ArcSwap::new(self.file.load_full())) }
    }

    /// Whether opening had to read the whole file, because its end was not even that of a crash: a commit
    /// had panicked half-way. Worth a line in the log, for it takes seconds per gigabyte.
    #[must_use]
    pub fn was_scanned(&self) -> bool {
        self.file.load().was_scanned
    }

    /// The newest committed state. Cheap: one view per commit, shared by all callers.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.file.load().view.load_full()
    }

    /// Read transactions that are open: one for the newest state, and one for each older state that a [`View`] or
    /// rows of it still show.
    #[must_use]
    pub fn open_transactions(&self) -> usize {
        self.file.load().n_open.load(Ordering::Relaxed)
    }

    /// Room taken as of the last commit. Cheap: nothing is read.
    #[must_use]
    pub fn size(&self) -> Size {
        self.file.load().view.load().size()
    }
}
