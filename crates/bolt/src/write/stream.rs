//! An image that is written as it is read.

use std::error::Error;
use std::io::{self, Read};

use super::layout::{Layout, Outline};
use super::pages::Pages;
use super::source::Part;
use crate::WriteError;

/// Bytes laid out before they are handed out; a little more when a node ends them.
const PIECE_BYTES: usize = 64 << 10;

/// An image as bytes to be read, [`Plan::size`](crate::Plan::size) of them; made by
/// [`Plan::stream`](crate::Plan::stream). Works when it is read, and
/// holds some 64 KiB of the image and one unfinished node of each level, or a large row.
///
/// Reading fails when the parts do, or are not those of the plan: what was read by then is of no use, and
/// there is no more.
#[derive(Debug)]
pub struct Stream<P> {
    planned: Outline,
    parts: P,
    /// None when all is laid out, and after an error.
    layout: Option<Layout<Vec<u8>>>,
    /// The bytes laid out; those from `n_read` on are not read yet.
    piece: Vec<u8>,
    n_read: usize,
    has_failed: bool,
}

impl<P> Stream<P> {
    pub(super) fn new(planned: Outline, parts: P) -> Self {
        let mut pages = Pages::new(Vec::new(), planned.mark);
        pages.write_metas(planned.root, planned.mark).expect("a vector takes everything");
        let layout = Some(Layout::new(pages));
        Self { planned, parts, layout, piece: Vec::new(), n_read: 0, has_failed: false }
    }

    /// Lays out the next piece; it is empty behind the end.
    fn advance<E>(&mut self) -> Result<(), WriteError<E>>
    where
        P: Iterator<Item = Result<Part, E>>,
    {
        self.piece.clear();
        self.n_read = 0;
        // Taken, so that nothing goes on behind an error.
        let Some(mut layout) = self.layout.take() else { return Ok(()) };
        while layout.out().len() < PIECE_BYTES {
            let Some(part) = self.parts.next() else {
                let (outline, rest) = layout.finish()?;
                self.piece = rest;
                return if outline == self.planned { Ok(()) } else { Err(WriteError::Changed) };
            };
            layout.part(part.map_err(WriteError::Source)?)?;
        }
        std::mem::swap(layout.out(), &mut self.piece);
        self.layout = Some(layout);
        Ok(())
    }
}

impl<P, E> Read for Stream<P>
where
    P: Iterator<Item = Result<Part, E>>,
    E: Error + Send + Sync + 'static,
{
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.has_failed {
            return Err(io::Error::other("an earlier read of the image failed"));
        }
        if self.n_read == self.piece.len()
            && let Err(error) = self.advance()
        {
            self.has_failed = true;
            return Err(io::Error::other(error));
        }
        let n_read = (&self.piece[self.n_read..]).read(out)?;
        self.n_read += n_read;
        Ok(n_read)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::Plan;

    /// Parts of one bucket with rows of the given sizes.
    fn parts(
        sizes: impl Iterator<Item = usize> + Clone,
    ) -> impl Iterator<Item = Result<Part, Infallible>> + Clone {
        let row =
            |(i, size): (usize, usize)| Ok(Part::Row(format!("k{i:08}").into(), vec![b'v'; size].into()));
        std::iter::once(Ok(Part::Bucket("key".into()))).chain(sizes.enumerate().map(row))
    }

    /// Reads all and returns the most bytes that were ever laid out ahead.
    fn check(sizes: impl Iterator<Item = usize> + Clone) -> usize {
        let plan = Plan::of(parts(sizes.clone())).expect("the rows fit");
        let mut stream = plan.stream(parts(sizes));
        let (mut n_read, mut most) = (0, 0);
        let mut out = [0; 1000];
        loop {
            let n = stream.read(&mut out).expect("the rows are the same");
            most = most.max(stream.piece.capacity());
            n_read += n as u64;
            if n == 0 {
                assert_eq!(n_read, plan.size());
                return most;
            }
        }
    }

    #[test]
    fn memory_does_not_grow_with_the_image() {
        let few = check((0..2_000).map(|_| 500));
        let many = check((0..60_000).map(|_| 500));
        assert!(few <= 4 * PIECE_BYTES && many <= 4 * PIECE_BYTES, "{few} {many}");
        let large = check([10, 1 << 20, 10, 1 << 20].into_iter());
        assert!(large <= 3 << 20, "{large}");
    }
}
