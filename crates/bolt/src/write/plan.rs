use std::io::{self, Write};

use bytes::Bytes;

use super::node::{Content, Element};
use super::pages::Pages;
use super::source::Source;
use super::tree::Tree;
use crate::format::PAGE_BYTES;
use crate::{KEY_BYTES_MAX, RowFault, VALUE_BYTES_MAX, WriteError};

/// The layout of an image before it is written: what its first pages must say of the rest, and how long it will be.
///
/// It takes no room to speak of, because a layout follows from the rows: [`Plan::write`] lays out again what
/// [`Plan::new`] laid out without writing it. So an image needs no temporary file, and goes into outputs that cannot
/// seek.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The page of the tree of buckets.
    root: u64,
    /// The number of pages.
    mark: u64,
    /// Over all pages but the metas.
    crc: u32,
}

impl Plan {
    /// Reads all of `source`, at the cost of building each page.
    ///
    /// # Errors
    ///
    /// When the source fails, or has rows that an image cannot hold: wrongly ordered or too large.
    pub fn new<S: Source>(source: &S) -> Result<Self, WriteError<S::Error>> {
        lay_out(source, Pages::new(io::sink(), u64::MAX))
    }

    /// The length in bytes of the image to be written.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.mark * PAGE_BYTES as u64
    }

    /// Reads all of `source` again and writes the image from its first byte to its last, then flushes `out`. Writes
    /// are a page or a large row each, so `out` should collect them.
    ///
    /// # Errors
    ///
    /// When the source or `out` fail, or the rows are not those of the first time. Never more than [`Plan::size`]
    /// bytes are written; after an error those that were are not an image.
    pub fn write<S: Source>(&self, source: &S, out: impl Write) -> Result<(), WriteError<S::Error>> {
        let mut pages = Pages::new(out, self.mark);
        pages.write_metas(self.root, self.mark)?;
        match lay_out(source, pages)? == *self {
            true => Ok(()),
            false => Err(WriteError::Changed),
        }
    }
}

/// Gives all nodes of an image to `pages`, bucket by bucket, each after its children.
fn lay_out<S: Source>(source: &S, mut pages: Pages<impl Write>) -> Result<Plan, WriteError<S::Error>> {
    let mut top = Tree::new();
    let mut last = Vec::new();
    for name in source.buckets().map_err(WriteError::Source)? {
        if let Err(fault) = check_key(&name, &mut last) {
            return Err(WriteError::Bucket { name, fault });
        }
        let content = Content::Bucket(lay_out_bucket(source, &name, &mut pages)?);
        top.push(Element { key: name, content }, &mut pages)?;
    }
    let root = top.finish(&mut pages)?;
    let (mark, crc) = pages.finish()?;
    Ok(Plan { root, mark, crc })
}

/// Returns the value of the bucket's entry.
fn lay_out_bucket<S: Source>(
    source: &S,
    bucket: &Bytes,
    pages: &mut Pages<impl Write>,
) -> Result<Bytes, WriteError<S::Error>> {
    let mut tree = Tree::new();
    let mut last = Vec::new();
    for row in source.rows(bucket).map_err(WriteError::Source)? {
        let (key, value) = row.map_err(WriteError::Source)?;
        if let Err(fault) = check_key(&key, &mut last).and_then(|()| check_value(&value)) {
            return Err(WriteError::Row { bucket: bucket.clone(), key, fault });
        }
        tree.push(Element { key, content: Content::Row(value) }, pages)?;
    }
    tree.finish_bucket(pages)
}

/// Checks that `key` can come behind `last`, and puts it in its place.
fn check_key(key: &[u8], last: &mut Vec<u8>) -> Result<(), RowFault> {
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
        return Err(RowFault::KeySize { len: key.len() });
    }
    if key <= &last[..] {
        return Err(RowFault::Order);
    }
    last.clear();
    last.extend_from_slice(key);
    Ok(())
}

fn check_value(value: &[u8]) -> Result<(), RowFault> {
    match value.len() {
        0..=VALUE_BYTES_MAX => Ok(()),
        len => Err(RowFault::ValueSize { len }),
    }
}
