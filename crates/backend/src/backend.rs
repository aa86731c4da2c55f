use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::commit::{self, Totals};
use crate::file::FileMedium;
use crate::open;
use crate::storage::{Failure, Storage};
use crate::{Batch, Error, Medium, MemoryMedium, OpenError, View};

/// What a backend is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bound on the pages kept in memory, in bytes: those read before and, up to half of the bound, those
    /// that a running commit has changed. A commit that changes more writes pages out early, which costs
    /// nothing but order. On top come the pages that live iterators stand on and two bits per page of the
    /// file.
    pub cache_bytes: usize,
}

/// Room taken by a backend, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// What the file takes up on the disk. Less than its length: the file grows by doubling, and parts
    /// that were never written take no room.
    pub total: u64,
    /// What the live rows need, with their share of page overhead: about the total of a backend into
    /// which the same rows are freshly copied. The rest of the total is free and will be used again.
    pub in_use: u64,
}

/// An open key-value file. A cheap handle: clones share the file, which is closed when the last handle,
/// [`View`] and iterator is gone.
#[derive(Clone, Debug)]
pub struct Backend {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// State of the newest successful commit.
    view: ArcSwap<View>,
    /// Held during a commit.
    writer: Mutex<Writer>,
    /// Written at the end of a commit, so that asking for it waits for none.
    size: ArcSwap<Size>,
    storage: Arc<Storage>,
    database: Arc<redb::Database>,
}

#[derive(Debug)]
struct Writer {
    /// A commit failed or panicked half-way; there will be no other.
    is_poisoned: bool,
    totals: Totals,
}

impl Backend {
    /// Opens the file at `path`, or creates it if it does not exist. The directory must exist; syncing it
    /// after a creation is up to the caller. Takes milliseconds also after a kill, whatever the file's size.
    ///
    /// # Errors
    ///
    /// When another process has the file open, when it is something else than a backend (it is then left
    /// as it is), when it is damaged, or when the file system refuses. Every text names the file.
    pub fn open(path: &Path, config: &Config) -> Result<Self, OpenError> {
        let place = path.display().to_string();
        match FileMedium::open(path) {
            Ok(Some(medium)) => Self::open_at(&place, Box::new(medium), config),
            Ok(None) => Err(OpenError::InUse { place }),
            Err(source) => Err(OpenError::Io { action: "open", place, source }),
        }
    }

    /// As [`Backend::open`], on any medium. The caller sees to it that nobody else writes to it.
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
        let storage = Arc::new(Storage::new(medium));
        let database = Arc::new(open::database(place, &storage, config)?);
        let view = View::open(&database).map_err(|error| error.while_opening(place))?;
        let totals = Totals::load(&database).map_err(|error| error.while_opening(place))?;
        let size = measure(&storage, totals).map_err(|error| error.while_opening(place))?;
        let shared = Shared {
            view: ArcSwap::from_pointee(view),
            writer: Mutex::new(Writer { is_poisoned: false, totals }),
            size: ArcSwap::from_pointee(size),
            storage,
            database,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Makes all changes of `batch`, or none, in one transaction that is durable on return, and then lets
    /// [`Backend::view`] show it. An empty batch is no transaction. Blocks the calling thread for the disk,
    /// and while another commit runs.
    ///
    /// # Errors
    ///
    /// When the medium fails. It is then not known whether the changes are durable: after opening again
    /// either all of them are there or none. This backend keeps the views from before and reads them, but
    /// never commits again. [`Error::TooLarge`] alone leaves everything as it was.
    pub fn commit(&self, batch: &Batch) -> Result<(), Error> {
        let shared = &*self.shared;
        let mut writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.is_poisoned {
            return Err(Error::Poisoned);
        }
        if batch.is_empty() {
            return Ok(());
        }
        // Taken back only on success, so that a panic poisons as well.
        writer.is_poisoned = true;
        let committed = shared.commit(batch, writer.totals);
        writer.is_poisoned = !matches!(committed, Ok(_) | Err(Error::TooLarge { .. }));
        writer.totals = committed?;
        Ok(())
    }

    /// The newest committed state. Cheap: one view per commit, shared by all who ask.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Room taken as of the last commit. Cheap: nothing is read.
    #[must_use]
    pub fn size(&self) -> Size {
        **self.shared.size.load()
    }
}

impl Shared {
    fn commit(&self, batch: &Batch, totals: Totals) -> Result<Totals, Error> {
        let written = commit::write(&self.database, batch, totals);
        // redb is not told of a failed write, so its success alone means nothing.
        if let Some(Failure { action, source }) = self.storage.failure() {
            return Err(Error::Io { action, source });
        }
        let totals = written?;
        self.view.store(Arc::new(View::open(&self.database)?));
        self.size.store(Arc::new(measure(&self.storage, totals)?));
        Ok(totals)
    }
}

fn measure(storage: &Storage, totals: Totals) -> Result<Size, Error> {
    let failed = |source| Error::Io { action: "measure", source };
    let len = storage.medium().len().map_err(failed)?;
    let occupied = storage.medium().occupied().map_err(failed)?;
    let in_use = totals.in_use().min(len);
    Ok(Size { total: occupied.clamp(in_use, len), in_use })
}
