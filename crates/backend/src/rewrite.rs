//! The same rows in a new file.
//!
//! redb gives nothing back of a file: what deleted rows leave is used again, and the file stays as long as it ever was. A
//! new file that gets the rows in order has neither free pages nor half empty ones.
//!
//! The rows are copied in steps, each of which reads from the newest view what lies behind the rows copied so far, so
//! that no view pins the old file for long. A commit in between is followed: what it changes at or before that place is
//! changed in the new file too, by the next step; what it changes behind it will be copied.
//!
//! ```text
//!   alarm ... key ─────────────────┬──────────────────── lease ... meta
//!   copied; commits are followed   │ not read yet; the newest view has it
//! ```

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use bytes::Bytes;
use redb::{Database, WriteTransaction};

use crate::batch::Change;
use crate::file::FileMedium;
use crate::open_file::{OpenFile, Writer};
use crate::storage::{Failure, Storage};
use crate::tables::{begin_unfinished_write, begin_write, end_write};
use crate::totals::Totals;
use crate::view::View;
use crate::{Backend, Batch, Bucket, Config, Error, Medium, OpenError, RewriteError, commit, open};

/// Pages of the new file in memory while it is filled. Rows come in order, so few are met again.
const CACHE_BYTES: usize = 4 << 20;
/// What a row takes besides its bytes, at least. So a step also ends where rows are empty.
const ROW_BYTES: usize = 8;

/// A rewrite of a backend's file under way. Dropped before [`Rewrite::finish`], it leaves everything as it was.
///
/// Belongs to the thread that commits: each commit in between has to be followed. After an error it has to be dropped.
#[derive(Debug)]
pub struct Rewrite {
    /// The file that is copied.
    old: Arc<OpenFile>,
    new: NewFile,
    /// How the new file is opened once it is whole.
    config: Config,
    /// Where the rows begin that are still to be copied; `None` if there are none.
    next: Option<Position>,
    /// Changes before that place which the new file is still to get.
    followed: Batch,
    /// Commits of the old file that the new file, or `followed`, has.
    n_commits: u64,
    /// The last field, because the file is closed before it is deleted.
    part: Part,
}

/// A place between two rows of a file: behind `last`, or before all rows of the bucket.
#[derive(Clone, Debug)]
struct Position {
    bucket: Bucket,
    last: Option<Bytes>,
}

/// The file that is being filled.
#[derive(Debug)]
struct NewFile {
    totals: Totals,
    database: Database,
    storage: Arc<Storage>,
}

/// The name of a file that is deleted unless it is kept.
#[derive(Debug)]
struct Part(Option<PathBuf>);

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // The next rewrite does it otherwise.
            let _ = fs::remove_file(path);
        }
    }
}

impl Rewrite {
    /// Begins to fill a new file at `path`, where a file that exists is deleted first. Takes a few milliseconds. The new
    /// file is opened with `config` in the end, and has a cache of 4 MiB until then.
    ///
    /// # Errors
    ///
    /// When the file cannot be created, and when commits to the backend are not possible.
    pub fn begin(backend: &Backend, path: &Path, config: &Config) -> Result<Self, RewriteError> {
        let place = path.display().to_string();
        let failed = |action| {
            let place = place.clone();
            move |source| OpenError::Io { action, place, source }
        };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("delete")(error).into());
            }
            _ => {}
        }
        let part = Part(Some(path.to_owned()));
        let medium = FileMedium::open(path).map_err(failed("create"))?;
        let medium = medium.ok_or_else(|| OpenError::InUse { place: place.clone() })?;
        Self::fill(backend, part, &place, Box::new(medium), config)
    }

    /// As [`Rewrite::begin`], on an empty medium.
    ///
    /// # Errors
    ///
    /// As [`Rewrite::begin`].
    pub fn begin_on(backend: &Backend, medium: impl Medium, config: &Config) -> Result<Self, RewriteError> {
        Self::fill(backend, Part(None), "the given medium", Box::new(medium), config)
    }

    fn fill(
        backend: &Backend,
        part: Part,
        place: &str,
        medium: Box<dyn Medium>,
        config: &Config,
    ) -> Result<Self, RewriteError> {
        let old = backend.file();
        let n_commits = {
            let writer = old.lock();
            writer.check()?;
            writer.n_commits
        };
        let storage = Arc::new(Storage::new(place.to_owned(), medium));
        let (database, _) = open::database(&storage, &Config { cache_bytes: CACHE_BYTES })?;
        Ok(Self {
            old,
            new: NewFile { totals: Totals::default(), database, storage },
            config: config.clone(),
            next: Some(Position { bucket: Bucket::ALL[0], last: None }),
            followed: Batch::default(),
            n_commits,
            part,
        })
    }

    /// Notes a commit that has succeeded since the beginning. Each has to be followed before the next step, in their order.
    /// Costs no more than a look at each change; the next step writes them.
    pub fn follow(&mut self, batch: &Batch) {
        if batch.is_empty() {
            return;
        }
        self.n_commits += 1;
        for change in batch.changes() {
            if self.next.as_ref().is_none_or(|next| next.has_passed(change)) {
                self.followed.push(change.clone());
            }
        }
    }

    /// Copies rows of at least `bytes` bytes, their keys and values and 8 for each, or all that are left; and makes the
    /// changes of the commits that were followed since the last step. Returns whether the new file has all rows. What is
    /// copied is on the disk on return, so that the disk has little to do at the end.
    ///
    /// # Errors
    ///
    /// When the old file cannot be read, which ends its commits; when the new one cannot be written; and with
    /// [`Error::Replaced`] when the old file is none of the backend's any more.
    ///
    /// # Panics
    ///
    /// When a commit was not followed.
    pub fn step(&mut self, bytes: usize) -> Result<bool, RewriteError> {
        self.check(&self.old.lock())?;
        let view = self.old.view.load_full();
        let rows = self.read(&view, bytes)?;
        let followed = std::mem::take(&mut self.followed);
        self.new.write(begin_unfinished_write, &[&followed, &rows])?;
        Ok(self.next.is_none())
    }

    fn check(&self, writer: &Writer) -> Result<(), Error> {
        writer.check()?;
        assert_eq!(self.n_commits, writer.n_commits, "each commit is followed");
        Ok(())
    }

    /// The next rows to be copied.
    fn read(&mut self, view: &View, bytes: usize) -> Result<Batch, Error> {
        let mut rows = Batch::default();
        while let Some(Position { bucket, last }) = &mut self.next {
            let start = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            for row in view.range(*bucket, (start, Bound::Unbounded))? {
                let (key, value) = row?;
                rows.put(*bucket, key, value);
                if rows.bytes() + ROW_BYTES * rows.len() >= bytes {
                    *last = rows.changes().last().map(|change| change.key.clone());
                    return Ok(rows);
                }
            }
            let following = Bucket::ALL.get(*bucket as usize + 1);
            self.next = following.map(|bucket| Position { bucket: *bucket, last: None });
        }
        Ok(rows)
    }

    /// Bytes that the new file takes up so far.
    ///
    /// # Errors
    ///
    /// When the medium cannot tell.
    pub fn bytes(&self) -> io::Result<u64> {
        self.new.storage.medium().occupied()
    }

    /// Puts the new file, which has all rows, into the place of the old one: `name` gives it that one's name, durably.
    /// All handles of the old file show the new one then; views from before keep the old one open, and its room taken,
    /// until they are dropped. Closes the file and opens it as a start does, and checks that the sums over the rows agree.
    /// Takes some syncs of the disk; commits wait meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Rewrite::step`], and when the new file is not what it should be. Then everything is as before. When `name`
    /// fails, a start may find one file or the other, so there will be no more commits to either.
    ///
    /// # Panics
    ///
    /// When a commit was not followed, or rows are left to be copied.
    pub fn finish(mut self, name: impl FnOnce() -> io::Result<()>) -> Result<(), RewriteError> {
        assert!(self.next.is_none(), "all rows are copied");
        let mut writer = self.old.lock();
        self.check(&writer)?;
        self.new.write(begin_write, &[&self.followed])?;
        let medium = self.new.close()?;
        // What is said of the file from now on is about the name that it gets.
        let n_open = Arc::clone(&self.old.n_open);
        let new = OpenFile::open(writer.storage.place(), medium, &self.config, n_open)?;
        if new.lock().totals != writer.totals {
            return Err(RewriteError::Differs);
        }
        writer.is_poisoned = true;
        name().map_err(|source| RewriteError::Name { source })?;
        self.part.0 = None;
        writer.is_poisoned = false;
        self.old.move_to(new, &mut writer);
        Ok(())
    }
}

impl Position {
    /// Whether the row of `change` lies before this place, and was copied.
    fn has_passed(&self, change: &Change) -> bool {
        let Self { bucket, last } = self;
        change.bucket < *bucket
            || change.bucket == *bucket && last.as_ref().is_some_and(|last| change.key <= *last)
    }
}

impl NewFile {
    /// Makes all changes in one transaction.
    fn write(
        &mut self,
        begin: impl FnOnce(&Database) -> Result<WriteTransaction, Error>,
        batches: &[&Batch],
    ) -> Result<(), Error> {
        let written = begin(&self.database).and_then(|transaction| {
            let mut totals = self.totals;
            for batch in batches {
                commit::apply(&transaction, batch, &mut totals)?;
            }
            totals.store(&transaction)?;
            end_write(transaction)?;
            Ok(totals)
        });
        // Failed writes are hidden from redb, so its success alone means nothing.
        self.check()?;
        self.totals = written.map_err(|error| self.storage.explain(error))?;
        Ok(())
    }

    /// Whether all that was written has reached the medium.
    fn check(&self) -> Result<(), Error> {
        match self.storage.failure() {
            None => Ok(()),
            Some(Failure { action, source }) => Err(Error::Io { action, source }),
        }
    }

    /// Has redb close the file.
    fn close(self) -> Result<Box<dyn Medium>, Error> {
        let Self { database, storage, .. } = self;
        drop(database);
        if let Some(Failure { action, source }) = storage.failure() {
            return Err(Error::Io { action, source });
        }
        Ok(Arc::into_inner(storage).expect("the database alone had the other handle").into_medium())
    }
}
