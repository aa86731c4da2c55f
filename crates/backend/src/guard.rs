//! Comparing each page that is read with what is known of it.
//!
//! redb compares no checksums when it reads, and takes any page for what it once wrote: damaged bytes become other rows,
//! or lead it out of bounds. So the bytes are compared below it. A page is read only after another one that refers to
//! it, whose bytes have been compared before, up to the header; the references are noted as they pass, and so is a
//! checksum of each page that is written. Costs eight bytes of memory for each 4 KiB of the file.

use std::io;
use std::sync::{Mutex, PoisonError};

use twox_hash::XxHash3_128;

use crate::page::{self, PAGE_BYTES, PageRef, Tree};

/// What is known of each page of a file.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The file's length, to which references are confined.
    len: u64,
    /// By offset, in smallest pages: the checksum's lower seven bytes above the kind.
    pages: Vec<u64>,
    /// The trees that pages belong to whose checksum comes from another page; their kinds begin at [`FIRST_TREE`].
    trees: Vec<Tree>,
}

/// No page that was read refers to it, and it was not written.
const UNKNOWN: u64 = 0;
/// Its checksum is that of all its bytes.
const WRITTEN: u64 = 1;
/// Its checksum is that of its rows, and it may refer to others.
const FIRST_TREE: u64 = 2;
/// Kinds have a byte. A backend has four trees.
const TREES_MAX: usize = 100;

/// How bytes show that they are not those that were written. The text is a clause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("{0}")]
    Header(&'static str),
    #[error("the page at byte {offset} does not match its checksum")]
    Page { offset: u64 },
    #[error("no page refers to the page at byte {offset}, which is needed")]
    Unreferenced { offset: u64 },
}

impl From<Damage> for io::Error {
    fn from(damage: Damage) -> Self {
        Self::new(io::ErrorKind::InvalidData, damage)
    }
}

impl Guard {
    /// Notes what the header of a file of `len` bytes refers to.
    pub(crate) fn begin(&self, len: u64, roots: &[PageRef]) {
        self.resized(len);
        self.note(roots);
    }

    /// Compares bytes that were read at `offset`, and notes what they refer to.
    pub(crate) fn read(&self, offset: u64, bytes: &[u8]) -> Result<(), Damage> {
        // The header, which was compared when the file was opened.
        if offset < PAGE_BYTES {
            return Ok(());
        }
        let (expected, tree) = self.expected(offset);
        let damage = Damage::Page { offset };
        match (expected & 0xFF, tree) {
            (WRITTEN, _) if entry(XxHash3_128::oneshot(bytes), WRITTEN) == expected => Ok(()),
            (WRITTEN, _) => Err(damage),
            (kind, Some(tree)) => {
                let references = page::references(bytes, tree, |found| entry(found, kind) == expected);
                self.note(&references.ok_or(damage)?);
                Ok(())
            }
            (_, None) => Err(Damage::Unreferenced { offset }),
        }
    }

    /// Notes bytes that are written.
    pub(crate) fn written(&self, offset: u64, bytes: &[u8]) {
        if offset < PAGE_BYTES {
            return;
        }
        let entry = entry(XxHash3_128::oneshot(bytes), WRITTEN);
        let first = index(offset);
        let mut known = self.lock();
        let span = known.span(first, bytes.len() as u64);
        span.fill(UNKNOWN);
        span[0] = entry;
    }

    /// The file has `len` bytes now: what lay behind is forgotten.
    pub(crate) fn resized(&self, len: u64) {
        let mut known = self.lock();
        known.len = len;
        known.pages.truncate(index(len));
    }

    fn expected(&self, offset: u64) -> (u64, Option<Tree>) {
        let known = self.lock();
        let entry = known.pages.get(index(offset)).copied().unwrap_or(UNKNOWN);
        let tree = (entry & 0xFF).checked_sub(FIRST_TREE).and_then(|kind| known.trees.get(kind as usize));
        (entry, tree.copied())
    }

    /// A page that is written or noted already stays as it is: as long as any page refers to it, it does not change.
    fn note(&self, references: &[PageRef]) {
        let mut known = self.lock();
        for page in references {
            if page.offset + page.len > known.len {
                continue;
            }
            let Some(kind) = known.kind(page.tree) else { continue };
            let place = &mut known.span(index(page.offset), 1)[0];
            if *place == UNKNOWN {
                *place = entry(page.checksum, kind);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The entries of `len` bytes from the page `first` on; at least one.
    fn span(&mut self, first: usize, len: u64) -> &mut [u64] {
        let end = first + index(len).max(1);
        if self.pages.len() < end {
            self.pages.resize(end, UNKNOWN);
        }
        &mut self.pages[first..end]
    }

    fn kind(&mut self, tree: Tree) -> Option<u64> {
        let found = self.trees.iter().position(|known| *known == tree);
        let kind = found.or_else(|| {
            self.trees.push(tree);
            (self.trees.len() <= TREES_MAX).then(|| self.trees.len() - 1)
        })?;
        Some(FIRST_TREE + kind as u64)
    }
}

fn entry(checksum: u128, kind: u64) -> u64 {
    (checksum as u64) << 8 | kind
}

fn index(offset: u64) -> usize {
    usize::try_from(offset / PAGE_BYTES)
        .expect("a file that can be opened has fewer pages than memory has bytes")
}
