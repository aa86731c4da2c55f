//! The medium as redb sees it.
//!
//! What redb reads has passed the [`Guard`]: damaged bytes are a failed read. redb fails every read after one that failed,
//! so the first failure is kept, as the reason of all later ones.
//!
//! redb fails every read once a write has failed. Views of earlier commits are whole nevertheless, and
//! the member still needs them to shut down in order. So failed writes are hidden from redb: from the first
//! failure on the medium is left alone, as if the power had gone at that instant, and what redb goes on to
//! write is kept in memory, where redb alone can read it. The commit checks [`Storage::failure`] before it
//! trusts redb.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::guard::{Damage, Guard};
use crate::{Error, Medium, OpenError};

/// Called with the first read that fails.
pub(crate) type OnReadFailure = Arc<dyn Fn(&Error) + Send + Sync>;

pub(crate) struct Storage {
    /// What errors call the medium.
    place: String,
    medium: Box<dyn Medium>,
    guard: Guard,
    read_failure: OnceLock<ReadFailure>,
    on_read_failure: OnceLock<OnReadFailure>,
    /// Whether it was called. It may come at the same time as the failure.
    is_reported: Mutex<bool>,
    /// Whether changes do not reach the medium any more. Set once, after `lost` is in place, so that the common case costs no
    /// lock.
    has_failed: AtomicBool,
    lost: RwLock<Option<Lost>>,
}

/// The bytes that redb wrote after the first failure, or after the medium was abandoned.
#[derive(Debug)]
struct Lost {
    cause: Option<Failure>,
    len: u64,
    /// In the order written: a later one covers an earlier one.
    writes: Vec<(u64, Vec<u8>)>,
}

/// Why the first read failed.
#[derive(Debug)]
enum ReadFailure {
    Damage(String),
    Io(io::ErrorKind, String),
}

/// The operation that failed first.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) action: &'static str,
    pub(crate) source: io::Error,
}

impl Storage {
    pub(crate) fn new(place: String, medium: Box<dyn Medium>) -> Self {
        Self {
            place,
            medium,
            guard: Guard::default(),
            read_failure: OnceLock::new(),
            on_read_failure: OnceLock::new(),
            is_reported: Mutex::new(false),
            has_failed: AtomicBool::new(false),
            lost: RwLock::new(None),
        }
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Has `call` called with the first failed read; at once if there was one.
    pub(crate) fn on_read_failure(&self, call: OnReadFailure) {
        self.on_read_failure.get_or_init(|| call);
        self.report();
    }

    /// Makes the call, unless it was made, if there are both it and a failure. Each of them is set before this, so that
    /// the later one finds the other.
    fn report(&self) {
        let mut is_reported = self.is_reported.lock().unwrap_or_else(PoisonError::into_inner);
        if let (false, Some(call), Some(error)) =
            (*is_reported, self.on_read_failure.get(), self.read_error())
        {
            *is_reported = true;
            drop(is_reported);
            call(&error);
        }
    }

    /// What [`Self::on_read_failure`] was given.
    pub(crate) fn when_read_fails(&self) -> Option<OnReadFailure> {
        self.on_read_failure.get().cloned()
    }

    /// The error behind `error`, which redb returned, with the place.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match error {
            Error::Io { .. } | Error::Poisoned => self.read_error().unwrap_or(error),
            Error::Corrupt { detail, .. } => Error::Corrupt { place: self.place.clone(), detail },
            other => other,
        }
    }

    /// As [`Self::explain`], for an error while opening.
    pub(crate) fn opening(&self, error: Error) -> OpenError {
        self.explain(error).while_opening(&self.place)
    }

    /// The first failed read.
    pub(crate) fn read_error(&self) -> Option<Error> {
        self.read_failure.get().map(|failure| match failure {
            ReadFailure::Damage(detail) => {
                Error::Corrupt { place: self.place.clone(), detail: detail.clone() }
            }
            ReadFailure::Io(kind, reason) => {
                Error::Io { action: "read", source: io::Error::new(*kind, reason.clone()) }
            }
        })
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.read_unchecked(offset, out).and_then(|()| Ok(self.guard.read(offset, out)?));
        read.inspect_err(|error| self.read_failed(error))
    }

    fn read_failed(&self, error: &io::Error) {
        let damage = error.get_ref().and_then(|inner| inner.downcast_ref::<Damage>());
        let failure = match damage {
            Some(damage) => ReadFailure::Damage(damage.to_string()),
            None => ReadFailure::Io(error.kind(), error.to_string()),
        };
        if self.read_failure.set(failure).is_ok() {
            self.report();
        }
    }

    fn read_unchecked(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if !self.has_failed() {
            return self.medium.read(offset, out);
        }
        let on_medium = self.medium.len()?.saturating_sub(offset).min(len(out));
        let (old, new) = out.split_at_mut(to_index(on_medium));
        if !old.is_empty() {
            self.medium.read(offset, old)?;
        }
        new.fill(0);
        if let Some(lost) = self.read_lost().as_ref() {
            lost.cover(offset, out);
        }
        Ok(())
    }

    pub(crate) fn medium(&self) -> &dyn Medium {
        &*self.medium
    }

    /// The medium, which redb has closed.
    pub(crate) fn into_medium(self) -> Box<dyn Medium> {
        self.medium
    }

    /// Writes nothing more to the medium, which is still read: it is no file of the member any more, and what redb writes
    /// to close it would keep the thread that drops the last view waiting for the disk.
    pub(crate) fn abandon(&self) {
        // Without a length nothing can stand in for the medium; then it is closed as ever.
        if let Ok(len) = self.medium.len() {
            self.stand_in(len, None);
        }
    }

    /// From now on changes are kept in memory.
    fn stand_in(&self, len: u64, cause: Option<Failure>) {
        self.write_lost().get_or_insert(Lost { cause, len, writes: Vec::new() });
        self.has_failed.store(true, Ordering::Release);
    }

    /// The first failure, handed out once.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.write_lost().as_mut()?.cause.take()
    }

    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Acquire)
    }

    fn read_lost(&self) -> RwLockReadGuard<'_, Option<Lost>> {
        self.lost.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lost(&self) -> RwLockWriteGuard<'_, Option<Lost>> {
        self.lost.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Performs `change` on the medium, or on what stands in for it after a failure.
    fn change(
        &self,
        action: &'static str,
        on_medium: impl FnOnce(&dyn Medium) -> io::Result<()>,
        on_lost: impl FnOnce(&mut Lost),
    ) -> io::Result<()> {
        if !self.has_failed() {
            let Err(source) = on_medium(&*self.medium) else { return Ok(()) };
            // Without a length nothing can stand in for the medium: redb has to get the error.
            let len = self.medium.len()?;
            self.stand_in(len, Some(Failure { action, source }));
        }
        on_lost(self.write_lost().as_mut().expect("it is set before the flag"));
        Ok(())
    }
}

impl Lost {
    /// Lays over `out`, which starts at `offset`, what was written there since the failure.
    fn cover(&self, offset: u64, out: &mut [u8]) {
        for (start, data) in &self.writes {
            let (from, to) = (offset.max(*start), (offset + len(out)).min(start + len(data)));
            if from < to {
                let target = to_index(from - offset)..to_index(to - offset);
                out[target].copy_from_slice(&data[to_index(from - start)..to_index(to - start)]);
            }
        }
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, medium, read_failure, .. } = self;
        let mut shown = f.debug_struct("Storage");
        shown.field("place", place).field("medium", medium).field("read_failure", read_failure);
        shown.finish_non_exhaustive()
    }
}

fn len(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

fn to_index(offset: u64) -> usize {
    usize::try_from(offset).expect("it lies within a slice")
}

/// The handle given to redb; the backend keeps the other one.
#[derive(Debug)]
pub(crate) struct Handle(pub(crate) Arc<Storage>);

impl redb::StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        if self.0.has_failed() {
            return Ok(self.0.read_lost().as_ref().map_or(0, |lost| lost.len));
        }
        self.0.medium.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.guard.resized(len);
        self.0.change("resize", |medium| medium.set_len(len), |lost| lost.len = len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.change("sync", |medium| medium.sync(), |_| ())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.guard.written(offset, data);
        self.0.change(
            "write",
            |medium| medium.write(offset, data),
            |lost| lost.writes.push((offset, data.to_vec())),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::MemoryMedium;

    /// A read beyond the end fails while the call comes.
    #[test]
    fn a_failure_is_reported_once() {
        for _ in 0..2000 {
            let storage = Storage::new("memory".to_owned(), Box::new(MemoryMedium::default()));
            let (calls, start) = (Arc::new(AtomicUsize::new(0)), Barrier::new(2));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    start.wait();
                    storage.read(0, &mut [0]).expect_err("it is empty");
                });
                start.wait();
                let calls = Arc::clone(&calls);
                storage.on_read_failure(Arc::new(move |_| {
                    calls.fetch_add(1, Ordering::Relaxed);
                }));
            });
            assert_eq!(calls.load(Ordering::Relaxed), 1);
        }
    }
}
