//! A file that is open: its newest view, and its only writer.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::open::{self, Config};
use crate::storage::{Failure, Storage};
use crate::totals::Totals;
use crate::view::{Size, View};
use crate::{Batch, Error, Medium, OpenError, commit, free_pages};

/// Shared by the handles that show this file. A rewrite changes where its rows lie, and nothing else of it.
#[derive(Debug)]
pub(crate) struct OpenFile {
    /// State of the newest successful commit.
    pub(crate) view: ArcSwap<View>,
    /// Held during a commit, and while a rewrite takes the place of the rows.
    writer: Mutex<Writer>,
    /// Read transactions that are open.
    pub(crate) n_open: Arc<AtomicUsize>,
    pub(crate) was_scanned: bool,
}

#[derive(Debug)]
pub(crate) struct Writer {
    /// A commit failed or panicked half-way; there will be no other.
    pub(crate) is_poisoned: bool,
    /// Another file has taken this one's place; there will be no other commit.
    pub(crate) is_replaced: bool,
    /// As of the newest successful commit.
    pub(crate) totals: Totals,
    /// Successful commits since the file was opened.
    pub(crate) n_commits: u64,
    pub(crate) storage: Arc<Storage>,
    pub(crate) database: Arc<redb::Database>,
}

impl OpenFile {
    /// `n_open` counts the read transactions that are open.
    pub(crate) fn open(
        place: &str,
        medium: Box<dyn Medium>,
        config: &Config,
        n_open: Arc<AtomicUsize>,
    ) -> Result<Self, OpenError> {
        let storage = Arc::new(Storage::new(place.to_owned(), medium));
        let (database, was_scanned) = open::database(&storage, config)?;
        let database = Arc::new(database);
        let opened = Totals::load(&database).and_then(|totals| {
            let view = View::open(&database, &storage, measure(&storage, totals)?, &n_open)?;
            Ok((totals, view))
        });
        let (totals, view) = opened.map_err(|error| storage.opening(error))?;
        let writer =
            Writer { is_poisoned: false, is_replaced: false, totals, n_commits: 0, storage, database };
        Ok(Self { view: ArcSwap::from_pointee(view), writer: Mutex::new(writer), n_open, was_scanned })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn commit(&self, batch: &Batch) -> Result<(), Error> {
        let mut writer = self.lock();
        writer.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        // Taken back only when the outcome is known, so that a panic poisons as well.
        writer.is_poisoned = true;
        let committed = self.write(batch, &writer);
        writer.is_poisoned = !matches!(committed, Ok(_) | Err(Error::TooLarge { .. }));
        writer.totals = committed?;
        writer.n_commits += 1;
        Ok(())
    }

    fn write(&self, batch: &Batch, writer: &Writer) -> Result<Totals, Error> {
        let Writer { storage, database, totals, .. } = writer;
        let written = commit::write(database, batch, *totals);
        // Failed writes are hidden from redb, so its success alone means nothing.
        if let Some(Failure { action, source }) = storage.failure() {
            return Err(Error::Io { action, source });
        }
        let totals = written.map_err(|error| storage.explain(error))?;
        let size = measure(storage, totals)?;
        let view =
            View::open(database, storage, size, &self.n_open).map_err(|error| storage.explain(error))?;
        self.view.store(Arc::new(view));
        Ok(totals)
    }

    /// Lets the rows of `new`, which are the same as those of this file, take their place. Views of the old place keep it
    /// open. `writer` is this file's.
    pub(crate) fn move_to(&self, new: Self, writer: &mut Writer) {
        let Writer { totals, storage, database, .. } =
            new.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = writer.storage.when_read_fails() {
            storage.on_read_failure(call);
        }
        self.view.store(new.view.load_full());
        writer.storage.abandon();
        (writer.totals, writer.storage, writer.database) = (totals, storage, database);
    }
}

impl Writer {
    /// Whether a commit is possible.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_replaced {
            return Err(Error::Replaced);
        }
        if self.is_poisoned {
            return Err(self.storage.explain(Error::Poisoned));
        }
        Ok(())
    }
}

fn measure(storage: &Storage, totals: Totals) -> Result<Size, Error> {
    let failed = |source| Error::Io { action: "measure", source };
    let len = storage.medium().len().map_err(failed)?;
    let occupied = storage.medium().occupied().map_err(failed)?;
    let free = free_pages::bytes(storage.medium()).map_err(|error| storage.explain(error))?;
    let in_use = len.saturating_sub(free);
    let total = occupied.clamp(in_use, len);
    Ok(Size { total, in_use, rows: totals.in_use(), packed: totals.packed() })
}
