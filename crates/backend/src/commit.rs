//! One batch, one durable transaction.

use std::ops::Bound;

use redb::{CursorError, Database, Table, WriteTransaction};

use crate::batch::Change;
use crate::open::{MARK, begin_read};
use crate::view::table;
use crate::{Batch, Bucket, Error};

/// A bucket's table, open for changes.
type RowsMut<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

/// Begins a transaction that will be durable when it is committed, and leaves behind a file that opens
/// after a kill without being scanned.
pub(crate) fn begin(database: &Database) -> Result<WriteTransaction, Error> {
    let begun = database.begin_write();
    let mut transaction = begun.map_err(|error| Error::from_transaction("begin a commit to", error))?;
    transaction
        .set_durability(redb::Durability::Immediate)
        .expect("only lowering the durability of a transaction with savepoints is refused");
    transaction.set_quick_repair(true);
    Ok(transaction)
}

pub(crate) fn end(transaction: WriteTransaction) -> Result<(), Error> {
    transaction.commit().map_err(|error| Error::from_commit("commit to", error))
}

/// Applies the batch and returns the totals after it. On an error nothing of it is visible, but if the
/// transaction had got as far as its commit, it may turn out durable.
pub(crate) fn write(database: &Database, batch: &Batch, totals: Totals) -> Result<Totals, Error> {
    let mut totals = totals;
    let transaction = begin(database)?;
    for (bucket, changes) in by_bucket(batch) {
        let opened = transaction.open_table(table(bucket));
        let mut rows = opened.map_err(|error| Error::from_table("write", error))?;
        for run in changes.chunk_by(|a, b| a.value.is_some() == b.value.is_some()) {
            let n_appended = if run[0].value.is_some() { append(&mut rows, run, &mut totals)? } else { 0 };
            for change in &run[n_appended..] {
                totals.apply(&mut rows, change).map_err(|error| Error::from_storage("write", error))?;
            }
        }
    }
    totals.store(&transaction)?;
    end(transaction)?;
    Ok(totals)
}

/// The changes of each bucket that has any, in their order.
fn by_bucket(batch: &Batch) -> impl Iterator<Item = (Bucket, Vec<&Change>)> {
    let mut groups = Bucket::ALL.map(|bucket| (bucket, Vec::new()));
    for change in batch.changes() {
        groups[change.bucket as usize].1.push(change);
    }
    groups.into_iter().filter(|(_, changes)| !changes.is_empty())
}

/// Adds those of the first puts that have ascending keys behind the last row, and returns how many they are.
/// Revisions come in this order, and adding them at the end without a search nearly halves the time per row.
fn append(rows: &mut RowsMut<'_>, changes: &[&Change], totals: &mut Totals) -> Result<usize, Error> {
    let failed = |error| Error::from_storage("write", error);
    let mut end = rows.upper_bound_mut(Bound::<&[u8]>::Unbounded).map_err(failed)?;
    let mut n_appended = 0;
    for Change { key, value, .. } in changes {
        let Some(value) = value else { break };
        match end.insert_before(&key[..], &value[..]) {
            Ok(()) => totals.add(key, value),
            Err(CursorError::UnorderedKey) => break,
            Err(CursorError::Storage(error)) => return Err(failed(error)),
            Err(other) => return Err(Error::Corrupt { detail: other.to_string() }),
        }
        n_appended += 1;
    }
    end.close().map_err(failed)?;
    Ok(n_appended)
}

/// What the live rows add up to. Kept in a row of the mark's table by each commit, because counting would
/// mean reading the whole file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Key and value bytes of all buckets.
    bytes: u64,
    n_rows: u64,
}

/// Row of the mark's table: bytes and number of rows, 8 bytes each, big endian.
const TOTALS_KEY: &[u8] = b"totals";

impl Totals {
    pub(crate) fn load(database: &Database) -> Result<Self, Error> {
        let transaction = begin_read(database)?;
        let mark = transaction.open_table(MARK).map_err(|error| Error::from_table("read", error))?;
        let row = mark.get(TOTALS_KEY).map_err(|error| Error::from_storage("read", error))?;
        row.and_then(|row| row.value().try_into().ok()).map(Self::from_bytes).ok_or_else(|| Error::Corrupt {
            detail: "the row with the totals is missing or too short".into(),
        })
    }

    fn from_bytes(row: [u8; 16]) -> Self {
        let row = u128::from_be_bytes(row);
        Self { bytes: (row >> 64) as u64, n_rows: row as u64 }
    }

    pub(crate) fn store(self, transaction: &WriteTransaction) -> Result<(), Error> {
        let row = (u128::from(self.bytes) << 64) | u128::from(self.n_rows);
        let mut mark = transaction.open_table(MARK).map_err(|error| Error::from_table("write", error))?;
        let stored = mark.insert(TOTALS_KEY, &row.to_be_bytes()[..]);
        stored.map_err(|error| Error::from_storage("write", error))?;
        Ok(())
    }

    /// Bytes of the pages that these rows fill when they are added in order: a leaf keeps two offsets of
    /// 4 bytes for each row, and its unused end and the branches above it were measured at one part in
    /// twenty.
    pub(crate) fn in_use(self) -> u64 {
        let in_leaves = self.bytes.saturating_add(self.n_rows.saturating_mul(8));
        in_leaves.saturating_add(in_leaves / 20)
    }

    fn apply(&mut self, rows: &mut RowsMut<'_>, change: &Change) -> Result<(), redb::StorageError> {
        let key: &[u8] = &change.key;
        let old = match &change.value {
            Some(value) => {
                self.add(key, value);
                rows.insert(key, &value[..])?
            }
            None => rows.remove(key)?,
        };
        if let Some(old) = old {
            self.subtract(key, old.value());
        }
        Ok(())
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.bytes = self.bytes.saturating_add((key.len() + value.len()) as u64);
        self.n_rows = self.n_rows.saturating_add(1);
    }

    fn subtract(&mut self, key: &[u8], value: &[u8]) {
        // The totals came from the disk: a wrong size is no reason to panic.
        self.bytes = self.bytes.saturating_sub((key.len() + value.len()) as u64);
        self.n_rows = self.n_rows.saturating_sub(1);
    }
}
