use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use redb::{ReadOnlyTable, ReadableDatabase};

use crate::storage::Storage;
use crate::tables::table;
use crate::{Bucket, Error};

/// Room taken by a backend, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes of the file on its disk. This is less than the file's length, which grows by doubling:
    /// the parts not yet written take no room. Only a [`Rewrite`](crate::Rewrite) gives any of it back.
    pub total: u64,
    /// Bytes of the pages that are in use: with rows, which may not fill them, with redb's own tables, and those that the
    /// last commits have freed and that are free for the next but one. The rest of the total is used again.
    pub in_use: u64,
    /// Bytes that the live rows need: about the total of a new backend with the same small rows, whatever has become of
    /// the pages. What a limit can count: unlike the others it shrinks with the rows.
    pub rows: u64,
    /// Bytes that a file would take which has the same rows and nothing else, in pages that they fill as far as they go:
    /// an estimate from the average length of the rows, exact where all have the same.
    pub packed: u64,
}

/// The backend's state as of one commit. Never changes; readers and the writer do not wait for each other.
///
/// While a view or a [`Rows`] of it lives, the space of rows that were deleted or replaced since can't be
/// used again: the file grows. Hold one for the length of a request, not for the length of a connection.
pub struct View {
    /// Indexed by the bucket's discriminant.
    tables: [ReadOnlyTable<&'static [u8], &'static [u8]>; Bucket::ALL.len()],
    size: Size,
    transaction: Arc<OpenTransaction>,
    storage: Arc<Storage>,
    /// Keeps the file open; declared last, so that the tables let go of it first.
    database: Arc<redb::Database>,
}

/// One of the read transactions that are open, as long as a view or rows of it live.
struct OpenTransaction(Arc<AtomicUsize>);

impl OpenTransaction {
    fn begin(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenTransaction {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl View {
    /// Opens every bucket once, so that no read has to look its table up. `n_open` counts the transactions of the file
    /// that are open.
    pub(crate) fn open(
        database: &Arc<redb::Database>,
        storage: &Arc<Storage>,
        size: Size,
        n_open: &Arc<AtomicUsize>,
    ) -> Result<Self, Error> {
        const ACTION: &str = "open a view of";
        let transaction = database.begin_read().map_err(|error| Error::from_transaction(ACTION, error))?;
        let mut tables = Vec::with_capacity(Bucket::ALL.len());
        for bucket in Bucket::ALL {
            let opened = transaction.open_table(table(bucket));
            tables.push(opened.map_err(|error| Error::from_table(ACTION, error))?);
        }
        let tables = tables.try_into().expect("one table was pushed for each bucket");
        let transaction = Arc::new(OpenTransaction::begin(n_open));
        Ok(Self { tables, size, transaction, storage: Arc::clone(storage), database: Arc::clone(database) })
    }

    /// Room taken right after the commit.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// The value of `key`, copied; none if there is no such row.
    ///
    /// Costs a descent of the bucket's tree, some microseconds when its pages are in the cache.
    ///
    /// # Errors
    ///
    /// When the medium fails to read or holds damaged bytes. A failed read ends all commits, and all later
    /// reads of what is not in the cache.
    pub fn get(&self, bucket: Bucket, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.tables[bucket as usize].get(key);
        let value = value.map_err(|error| read_error(&self.storage, error))?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
    }

    /// The rows within both bounds, in byte order of their keys. Bounds that exclude everything, such as
    /// a start behind the end, give no rows.
    ///
    /// Reads nothing yet: pages are read as the iterator advances.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn range(&self, bucket: Bucket, bounds: (Bound<&[u8]>, Bound<&[u8]>)) -> Result<Rows, Error> {
        let rows = self.tables[bucket as usize].range::<&[u8]>(bounds);
        let rows = rows.map_err(|error| read_error(&self.storage, error))?;
        let (transaction, storage) = (Arc::clone(&self.transaction), Arc::clone(&self.storage));
        let database = Arc::clone(&self.database);
        Ok(Rows { rows: Some(rows), storage, _transaction: transaction, _database: database })
    }

    /// Number of rows of a bucket; constant time.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn count(&self, bucket: Bucket) -> Result<u64, Error> {
        let count = redb::ReadableTableMetadata::len(&self.tables[bucket as usize]);
        count.map_err(|error| read_error(&self.storage, error))
    }
}

fn read_error(storage: &Storage, error: redb::StorageError) -> Error {
    storage.explain(Error::from_storage("read", error))
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}

/// Rows of a [`View`] from both ends, each copied as it is reached. After an error the iterator ends.
pub struct Rows {
    /// None once a read has failed.
    rows: Option<redb::Range<'static, &'static [u8], &'static [u8]>>,
    _transaction: Arc<OpenTransaction>,
    storage: Arc<Storage>,
    /// Keeps the file open; declared last, so that the range lets go of it first.
    _database: Arc<redb::Database>,
}

type Guards = (redb::AccessGuard<'static, &'static [u8]>, redb::AccessGuard<'static, &'static [u8]>);

impl Rows {
    /// Shows the next row to `visit` where it lies, without a copy; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// As [`View::get`].
    pub fn visit_next<T>(&mut self, visit: impl FnOnce(&[u8], &[u8]) -> T) -> Option<Result<T, Error>> {
        let row = self.rows.as_mut()?.next();
        self.visit(row, visit)
    }

    fn visit<T>(
        &mut self,
        row: Option<Result<Guards, redb::StorageError>>,
        visit: impl FnOnce(&[u8], &[u8]) -> T,
    ) -> Option<Result<T, Error>> {
        let visited = row?.map(|(key, value)| visit(key.value(), value.value()));
        if visited.is_err() {
            self.rows = None;
        }
        Some(visited.map_err(|error| read_error(&self.storage, error)))
    }
}

fn copied(key: &[u8], value: &[u8]) -> (Bytes, Bytes) {
    (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value))
}

impl Iterator for Rows {
    type Item = Result<(Bytes, Bytes), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.visit_next(copied)
    }
}

impl DoubleEndedIterator for Rows {
    fn next_back(&mut self) -> Option<Self::Item> {
        let row = self.rows.as_mut()?.next_back();
        self.visit(row, copied)
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("failed", &self.rows.is_none()).finish_non_exhaustive()
    }
}
