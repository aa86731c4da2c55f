use std::io::{self, Write};

use super::layout::{Layout, Outline};
use super::pages::Pages;
use super::source::{Part, Source};
use super::stream::Stream;
use crate::WriteError;
use crate::format::PAGE_BYTES;

/// The layout of an image before it is written: what its first pages must say of the rest, and how long it will be.
///
/// It is small, because a layout follows from the rows: [`Plan::write`] lays out again what
/// [`Plan::new`] laid out without writing it. So an image needs no temporary file, and goes into outputs that cannot
/// seek.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan(Outline);

impl Plan {
    /// Reads all of `source`, at the cost of building each page.
    ///
    /// # Errors
    ///
    /// When the source fails, or has rows that an image cannot hold: wrongly ordered or too large.
    pub fn new<S: Source>(source: &S) -> Result<Self, WriteError<S::Error>> {
        lay_out(source, Pages::new(io::sink(), u64::MAX)).map(Self)
    }

    /// As [`Plan::new`], of rows that come by themselves instead of being read from a source.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`].
    pub fn of<E>(parts: impl IntoIterator<Item = Result<Part, E>>) -> Result<Self, WriteError<E>> {
        let mut layout = Layout::new(Pages::new(io::sink(), u64::MAX));
        for part in parts {
            layout.part(part.map_err(WriteError::Source)?)?;
        }
        let (outline, _) = layout.finish()?;
        Ok(Self(outline))
    }

    /// The image as a stream that is written as it is read, of the same parts that the plan was made of.
    pub fn stream<P>(&self, parts: P) -> Stream<P> {
        Stream::new(self.0, parts)
    }

    /// The length in bytes of the image to be written.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.mark * PAGE_BYTES as u64
    }

    /// Reads all of `source` again and writes the image from its first byte to its last, then flushes `out`. Writes
    /// are a page or a large row each, so `out` should collect them.
    ///
    /// # Errors
    ///
    /// When the source or `out` fail, or the rows are not those of the first time. Never more than [`Plan::size`]
    /// bytes are written; after an error those that were are not an image.
    pub fn write<S: Source>(&self, source: &S, out: impl Write) -> Result<(), WriteError<S::Error>> {
        let mut pages = Pages::new(out, self.0.mark);
        pages.write_metas(self.0.root, self.0.mark).map_err(WriteError::Io)?;
        match lay_out(source, pages)? == self.0 {
            true => Ok(()),
            false => Err(WriteError::Changed),
        }
    }
}

/// Gives the rows of `source` to a layout, bucket by bucket.
fn lay_out<S: Source>(source: &S, pages: Pages<impl Write>) -> Result<Outline, WriteError<S::Error>> {
    let mut layout = Layout::new(pages);
    for name in source.buckets().map_err(WriteError::Source)? {
        layout.begin(name.clone())?;
        for row in source.rows(&name).map_err(WriteError::Source)? {
            layout.row(row.map_err(WriteError::Source)?)?;
        }
    }
    let (outline, _) = layout.finish()?;
    Ok(outline)
}
