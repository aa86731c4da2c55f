//! Reading all pages of a commit, to find damage before it is needed.

use std::io;

use crate::guard::Damage;
use crate::page::{self, HEADER_BYTES, PageRef};
use crate::{Error, Medium};

/// What a check of a file has found whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Pages, of 4 KiB and more.
    pub pages: u64,
    /// Bytes of these pages.
    pub bytes: u64,
}

/// Where the trees of the last commit begin, and the medium's length.
pub(crate) fn roots(medium: &dyn Medium) -> Result<(Vec<PageRef>, u64), Error> {
    let len = medium.len().map_err(unreadable)?;
    let mut header = [0; HEADER_BYTES];
    if len < header.len() as u64 {
        return Err(Error::corrupt(Damage::Header("it is shorter than a header")));
    }
    medium.read(0, &mut header).map_err(unreadable)?;
    let roots = page::roots(&header, len).map_err(|reason| Error::corrupt(Damage::Header(reason)))?;
    Ok((roots, len))
}

/// Compares all pages of the last commit with their checksums. Nothing may be written meanwhile. Writes nothing.
pub(crate) fn all(medium: &dyn Medium) -> Result<Checked, Error> {
    let (mut left, len) = roots(medium)?;
    let mut checked = Checked::default();
    let mut buffer = Vec::new();
    // The last is the next. What a page refers to lies in the order of the file as far as it goes, for the system to
    // read ahead.
    while let Some(page) = left.pop() {
        if page.offset + page.len > len {
            return Err(Error::corrupt(Damage::Page { offset: page.offset }));
        }
        let mut references = read(medium, &page, &mut buffer)?;
        references.sort_unstable_by_key(|page| std::cmp::Reverse(page.offset));
        left.append(&mut references);
        checked.pages += 1;
        checked.bytes += page.len;
    }
    Ok(checked)
}

/// Reads a page into the buffer, and returns what it refers to.
pub(crate) fn read(medium: &dyn Medium, page: &PageRef, buffer: &mut Vec<u8>) -> Result<Vec<PageRef>, Error> {
    let len = usize::try_from(page.len).expect("a page has a few gigabytes at most");
    buffer.resize(len, 0);
    medium.read(page.offset, buffer).map_err(unreadable)?;
    let references = page::references(buffer, page.tree, |found| found == page.checksum);
    references.ok_or_else(|| Error::corrupt(Damage::Page { offset: page.offset }))
}

fn unreadable(source: io::Error) -> Error {
    Error::Io { action: "read", source }
}
