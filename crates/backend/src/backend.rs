use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::commit;
use crate::file::FileMedium;
use crate::free_pages;
use crate::open::{self, Config};
use crate::storage::{Failure, Storage};
use crate::totals::Totals;
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

#[derive(Debug)]
struct OpenFile {
    /// State of the newest successful commit.
    view: ArcSwap<View>,
    /// Held during a commit.
    writer: Mutex<Writer>,
    /// Read transactions that are open.
    n_open: Arc<AtomicUsize>,
    was_scanned: bool,
    storage: Arc<Storage>,
    database: Arc<redb::Database>,
}

#[derive(Debug)]
struct Writer {
    /// A commit failed or panicked half-way; there will be no other.
    is_poisoned: bool,
    /// Another file has taken this one's place; there will be no other commit.
    is_replaced: bool,
    /// As of the newest successful commit.
    totals: Totals,
}

impl Backend {
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
        let storage = Arc::new(Storage::new(place.to_owned(), medium));
        let (database, was_scanned) = open::database(&storage, config)?;
        let database = Arc::new(database);
        let n_open = Arc::default();
        let opened = Totals::load(&database).and_then(|totals| {
            let view = View::open(&database, &storage, measure(&storage, totals)?, &n_open)?;
            Ok((totals, view))
        });
        let (totals, view) = opened.map_err(|error| storage.opening(error))?;
        let writer = Writer { is_poisoned: false, is_replaced: false, totals };
        let file = OpenFile {
            view: ArcSwap::from_pointee(view),
            writer: Mutex::new(writer),
            n_open,
            was_scanned,
            storage,
            database,
        };
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
        let file = self.file.load_full();
        let mut writer = file.lock();
        if writer.is_replaced {
            return Err(Error::Replaced);
        }
        if writer.is_poisoned {
            return Err(file.storage.explain(Error::Poisoned));
        }
        if batch.is_empty() {
            return Ok(());
        }
        // Taken back only when the outcome is known, so that a panic poisons as well.
        writer.is_poisoned = true;
        let committed = file.commit(batch, writer.totals);
        writer.is_poisoned = !matches!(committed, Ok(_) | Err(Error::TooLarge { .. }));
        writer.totals = committed?;
        Ok(())
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

    /// As [`Backend::replace`], with the file of another handle. Both share it then.
    pub fn replace_by(&self, other: &Self) {
        let new = other.file.load_full();
        let old = self.file.load_full();
        if !Arc::ptr_eq(&old, &new) {
            let mut writer = old.lock();
            writer.is_replaced = true;
            if let Some(call) = old.storage.when_read_fails() {
                new.storage.on_read_failure(call);
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
            return Err(file.storage.explain(Error::Poisoned));
        }
        walk::all(file.storage.medium()).map_err(|error| file.storage.explain(error))
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
        self.file.load().storage.on_read_failure(Arc::new(call));
    }

    /// A handle of the file that is open now. Unlike a clone it goes on showing this file when the one that
    /// it was made from shows another.
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

impl OpenFile {
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, batch: &Batch, totals: Totals) -> Result<Totals, Error> {
        let written = commit::write(&self.database, batch, totals);
        // Failed writes are hidden from redb, so its success alone means nothing.
        if let Some(Failure { action, source }) = self.storage.failure() {
            return Err(Error::Io { action, source });
        }
        let totals = written.map_err(|error| self.storage.explain(error))?;
        let size = measure(&self.storage, totals)?;
        let view = View::open(&self.database, &self.storage, size, &self.n_open)
            .map_err(|error| self.storage.explain(error))?;
        self.view.store(Arc::new(view));
        Ok(totals)
    }
}

fn measure(storage: &Storage, totals: Totals) -> Result<Size, Error> {
    let failed = |source| Error::Io { action: "measure", source };
    let len = storage.medium().len().map_err(failed)?;
    let occupied = storage.medium().occupied().map_err(failed)?;
    let free = free_pages::bytes(storage.medium()).map_err(|error| storage.explain(error))?;
    let in_use = len.saturating_sub(free);
    Ok(Size { total: occupied.clamp(in_use, len), in_use, rows: totals.in_use() })
}
