//! From bytes to an open database: what is there, is it ours, and if nothing is there, make it ours.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use redb::{Database, DatabaseError, TableError};

use crate::error::Content;
use crate::page::MAGIC;
use crate::storage::{Failure, Handle, Storage};
use crate::tables::{MARK, begin_read, begin_write, end_write, table};
use crate::totals::Totals;
use crate::{Bucket, Error, Medium, OpenError, walk};

/// The settings of a backend.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bound on the pages kept in memory, in bytes: pages that were read and, up to half of the bound, pages
    /// that the running commit has changed. A commit that changes more writes some of them early, which is
    /// harmless. Not counted are the few pages on which live views and iterators stand, and two bits for
    /// each 4 KiB of the file.
    pub cache_bytes: usize,
}

/// Row of [`MARK`]: the format of the file's tables and rows, 4 bytes, big endian.
const FORMAT_KEY: &[u8] = b"format";
const FORMAT: u32 = 1;

/// Follows the 16-byte header of page 0, little endian.
const BOLT_MAGIC: [u8; 4] = 0xED0C_DAED_u32.to_le_bytes();
/// Bytes read to recognise a file; everything that redb writes before its magic number is there.
const HEAD_BYTES: u64 = 4096;
/// redb's first file is far below this.
const NEW_FILE_BYTES_MAX: u64 = 8 << 20;

/// The content of a medium.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A creation that a crash interrupted: redb writes its magic number last, in a synced step of its own.
    Unfinished,
    Redb,
    Foreign(Content),
}

/// Opens or creates the database and checks that it is a backend. Also returns whether redb had to read it
/// all to repair it.
pub(crate) fn database(storage: &Arc<Storage>, config: &Config) -> Result<(Database, bool), OpenError> {
    let failed = |action| move |source| OpenError::Io { action, place: storage.place().to_owned(), source };
    match find(storage.medium()).map_err(failed("read"))? {
        Found::Nothing => {}
        Found::Redb => check_header(storage)?,
        Found::Unfinished => storage.medium().set_len(0).map_err(failed("clear"))?,
        Found::Foreign(content) => return Err(foreign(storage, content)),
    }
    let was_scanned = Rc::new(Cell::new(false));
    let opened = redb::Builder::new()
        .set_cache_size(config.cache_bytes)
        .set_repair_callback({
            let was_scanned = Rc::clone(&was_scanned);
            move |_| was_scanned.set(true)
        })
        .create_with_backend(Handle(Arc::clone(storage)));
    let database = opened.map_err(|error| open_error(storage, error))?;
    claim(storage, &database)?;
    match storage.failure() {
        None => Ok((database, was_scanned.get())),
        Some(Failure { action, source }) => Err(failed(action)(source)),
    }
}

fn foreign(storage: &Storage, content: Content) -> OpenError {
    OpenError::Foreign { place: storage.place().to_owned(), content }
}

/// Checks what redb trusts of the header, and tells the guard where the trees begin.
fn check_header(storage: &Storage) -> Result<(), OpenError> {
    let (roots, len) = walk::roots(storage.medium()).map_err(|error| storage.opening(error))?;
    storage.guard().begin(len, &roots);
    Ok(())
}

fn find(medium: &dyn Medium) -> io::Result<Found> {
    let len = medium.len()?;
    let mut head = vec![0; usize::try_from(len.min(HEAD_BYTES)).expect("bounded by HEAD_BYTES")];
    medium.read(0, &mut head)?;
    Ok(if head.is_empty() {
        Found::Nothing
    } else if head.starts_with(&MAGIC) {
        Found::Redb
    } else if head.get(16..20) == Some(&BOLT_MAGIC[..]) {
        Found::Foreign(Content::Bolt)
    } else if head.iter().take(MAGIC.len()).all(|byte| *byte == 0) && is_blank_behind_head(medium, len)? {
        Found::Unfinished
    } else {
        Found::Foreign(Content::Unknown)
    })
}

/// Whether everything behind the head is zero, in a file no larger than a new one.
fn is_blank_behind_head(medium: &dyn Medium, len: u64) -> io::Result<bool> {
    if len > NEW_FILE_BYTES_MAX {
        return Ok(false);
    }
    let n_bytes = len.saturating_sub(HEAD_BYTES);
    let mut rest = vec![0; usize::try_from(n_bytes).expect("bounded by NEW_FILE_BYTES_MAX")];
    medium.read(HEAD_BYTES.min(len), &mut rest)?;
    Ok(rest.iter().all(|byte| *byte == 0))
}

fn open_error(storage: &Storage, error: DatabaseError) -> OpenError {
    let error = match error {
        DatabaseError::UpgradeRequired(version) => return foreign(storage, Content::OldRedb(version)),
        DatabaseError::Storage(error) => Error::from_storage("read", error),
        other => Error::corrupt(other),
    };
    storage.opening(error)
}

/// Checks the mark, or sets it in a database that has no table at all.
fn claim(storage: &Storage, database: &Database) -> Result<(), OpenError> {
    let content = match read_format(database).map_err(|error| storage.opening(error))? {
        Mark::Format(FORMAT) => return Ok(()),
        Mark::Fresh => return create_tables(database).map_err(|error| storage.opening(error)),
        Mark::Format(format) => Content::Format(format),
        Mark::Missing => Content::OtherRedb,
    };
    Err(foreign(storage, content))
}

enum Mark {
    Format(u32),
    /// No table exists: created, and then interrupted before the first commit.
    Fresh,
    Missing,
}

fn read_format(database: &Database) -> Result<Mark, Error> {
    let transaction = begin_read(database)?;
    let n_tables = transaction.list_tables().map_err(|error| Error::from_storage("read", error))?.count();
    let mark = match transaction.open_table(MARK) {
        Ok(mark) => mark,
        Err(TableError::Storage(error)) => return Err(Error::from_storage("read", error)),
        Err(_) if n_tables == 0 => return Ok(Mark::Fresh),
        Err(_) => return Ok(Mark::Missing),
    };
    let format = mark.get(FORMAT_KEY).map_err(|error| Error::from_storage("read", error))?;
    let format = format.and_then(|format| format.value().try_into().ok()).map(u32::from_be_bytes);
    Ok(format.map_or(Mark::Missing, Mark::Format))
}

/// All in one transaction, so that a file with the mark has all its tables.
fn create_tables(database: &Database) -> Result<(), Error> {
    let transaction = begin_write(database)?;
    for bucket in Bucket::ALL {
        let created = transaction.open_table(table(bucket));
        created.map_err(|error| Error::from_table("create", error))?;
    }
    {
        let mut mark = transaction.open_table(MARK).map_err(|error| Error::from_table("create", error))?;
        let inserted = mark.insert(FORMAT_KEY, &FORMAT.to_be_bytes()[..]);
        inserted.map_err(|error| Error::from_storage("create", error))?;
    }
    Totals::default().store(&transaction)?;
    end_write(transaction)
}
