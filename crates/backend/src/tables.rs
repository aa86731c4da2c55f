//! The tables in redb's file, and the transactions on them.

use redb::{Database, ReadTransaction, ReadableDatabase, Table, WriteTransaction};

use crate::{Bucket, Error};

pub(crate) type RowTable = redb::TableDefinition<'static, &'static [u8], &'static [u8]>;

pub(crate) const fn table(bucket: Bucket) -> RowTable {
    RowTable::new(bucket.name())
}

/// A bucket's table, open for changes.
pub(crate) type RowsMut<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

/// The table that marks a file as a backend. No bucket has its name.
pub(crate) const MARK: RowTable = RowTable::new("ferretcd");

pub(crate) fn begin_read(database: &Database) -> Result<ReadTransaction, Error> {
    database.begin_read().map_err(|error| Error::from_transaction("read", error))
}

/// Begins a transaction that will be durable when it is committed, and leaves behind a file that opens
/// after a kill without being scanned.
pub(crate) fn begin_write(database: &Database) -> Result<WriteTransaction, Error> {
    let begun = database.begin_write();
    let mut transaction = begun.map_err(|error| Error::from_transaction("begin a commit to", error))?;
    transaction
        .set_durability(redb::Durability::Immediate)
        .expect("only lowering the durability of a transaction with savepoints is refused");
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// As [`begin_write`], for a file that nothing opens again after a crash: the transaction is on the disk when it is
/// committed, but opening the file then would mean to scan it. Costs one sync instead of two, and no map of free pages.
pub(crate) fn begin_unfinished_write(database: &Database) -> Result<WriteTransaction, Error> {
    database.begin_write().map_err(|error| Error::from_transaction("begin a commit to", error))
}

pub(crate) fn end_write(transaction: WriteTransaction) -> Result<(), Error> {
    transaction.commit().map_err(|error| Error::from_commit("commit to", error))
}
