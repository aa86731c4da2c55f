//! The medium as redb sees it.
//!
//! redb fails every read once a write has failed. Views of earlier commits are whole nevertheless, and
//! the member still needs them to shut down in order. So failed writes are hidden from redb: from the first
//! failure on the medium is left alone, as if the power had gone at that instant, and what redb goes on to
//! write is kept in memory, where redb alone can read it. The commit checks [`Storage::failure`] before it
//! trusts redb.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::Medium;

#[derive(Debug)]
pub(crate) struct Storage {
    medium: Box<dyn Medium>,
    /// Set once, after `lost` is in place, so that the common case costs no lock.
    has_failed: AtomicBool,
    lost: RwLock<Option<Lost>>,
}

/// The bytes that redb wrote after the first failure.
#[derive(Debug)]
struct Lost {
    cause: Option<Failure>,
    len: u64,
    /// In the order written: a later one covers an earlier one.
    writes: Vec<(u64, Vec<u8>)>,
}

/// The operation that failed first.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) action: &'static str,
    pub(crate) source: io::Error,
}

impl Storage {
    pub(crate) fn new(medium: Box<dyn Medium>) -> Self {
        Self { medium, has_failed: AtomicBool::new(false), lost: RwLock::new(None) }
    }

    pub(crate) fn medium(&self) -> &dyn Medium {
        &*self.medium
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
            let cause = Some(Failure { action, source });
            self.write_lost().get_or_insert(Lost { cause, len, writes: Vec::new() });
            self.has_failed.store(true, Ordering::Release);
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
        if !self.0.has_failed() {
            return self.0.medium.read(offset, out);
        }
        let on_medium = self.0.medium.len()?.saturating_sub(offset).min(len(out));
        let (old, new) = out.split_at_mut(to_index(on_medium));
        if !old.is_empty() {
            self.0.medium.read(offset, old)?;
        }
        new.fill(0);
        if let Some(lost) = self.0.read_lost().as_ref() {
            lost.cover(offset, out);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.change("resize", |medium| medium.set_len(len), |lost| lost.len = len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.change("sync", |medium| medium.sync(), |_| ())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.change(
            "write",
            |medium| medium.write(offset, data),
            |lost| lost.writes.push((offset, data.to_vec())),
        )
    }
}
