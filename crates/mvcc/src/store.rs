//! The store: readers, write transactions, and the rows in memory.

use std::sync::Arc;

use arc_swap::ArcSwap;
use ferretcd_backend::Batch;

use crate::compactions::Compactions;
use crate::read::Reader;
use crate::shared::Shared;
use crate::write::WriteTxn;

/// The store and its one writer. Readers come from [`Store::reader`].
#[derive(Debug)]
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    /// Where readers find `shared`; changed by [`Store::restore_with`] alone.
    pub(crate) current: Arc<ArcSwap<Shared>>,
    /// All rows up to this main revision are in the backend's view.
    pub(crate) released: i64,
    pub(crate) compactions: Compactions,
}

impl Store {
    /// A handle for reading; any number, on any threads.
    pub fn reader(&self) -> Reader {
        Reader { current: Arc::clone(&self.current) }
    }

    /// The current main revision; 1 in an empty store.
    pub fn revision(&self) -> i64 {
        self.shared.current()
    }

    /// The compacted revision; -1 if there never was a compaction.
    pub fn compacted(&self) -> i64 {
        self.shared.compacted()
    }

    /// Begins a write transaction. Its rows go into `batch` when it commits; the caller adds rows of its
    /// own and commits the batch to the backend when it likes, batches in the order they were made.
    pub fn write<'a>(&'a mut self, batch: &'a mut Batch) -> WriteTxn<'a> {
        WriteTxn::new(&self.shared, batch)
    }

    /// Reports that the backend's view now has all rows up to the main revision `main`, inclusive;
    /// their copies in memory are dropped. To be called after every commit of the backend: a compaction
    /// goes on only behind it.
    pub fn release(&mut self, main: i64) {
        let main = main.min(self.revision());
        self.released = self.released.max(main);
        let rows = self.shared.recent.write().release(main);
        drop(rows);
    }

    /// Memory held by rows that are not yet released.
    pub fn buffered_bytes(&self) -> usize {
        self.shared.recent.read().bytes()
    }
}
