use std::io::{self, Write};

use super::node::Node;
use crate::WriteError;
use crate::format::{FIRST_PAGE, Meta, PAGE_BYTES};

/// The pages of an image as they are given out, one after the other.
#[derive(Debug)]
pub(super) struct Pages<W> {
    out: W,
    /// The id of the next page.
    next: u64,
    /// The first id that is not given out, if that is known.
    end: u64,
    /// Over all pages but the metas.
    crc: u32,
    buffer: Vec<u8>,
}

impl<W: Write> Pages<W> {
    /// Begins with the first page behind the metas.
    pub(super) fn new(out: W, end: u64) -> Self {
        Self { out, next: FIRST_PAGE, end, crc: 0, buffer: Vec::new() }
    }

    /// Writes both meta pages of the state that `root` and `mark` describe. The transaction ids are those that bolt
    /// would have put into these pages.
    pub(super) fn write_metas(&mut self, root: u64, mark: u64) -> io::Result<()> {
        self.buffer.clear();
        for (page, txid) in [(0, 2), (1, 1)] {
            let meta = Meta { page_bytes: PAGE_BYTES as u32, root, mark, txid };
            meta.put_page(page, &mut self.buffer);
        }
        self.out.write_all(&self.buffer)
    }

    /// Writes a node and returns its page.
    pub(super) fn write<E>(&mut self, node: &Node) -> Result<u64, WriteError<E>> {
        let n_pages = node.n_bytes().div_ceil(PAGE_BYTES);
        if n_pages as u64 > self.end - self.next {
            return Err(WriteError::Changed);
        }
        let overflow = u32::try_from(n_pages - 1).expect("keys and values are limited");
        self.buffer.clear();
        node.put(self.next, overflow, &mut self.buffer);
        self.buffer.resize(n_pages * PAGE_BYTES, 0);
        self.crc = crc32c::crc32c_append(self.crc, &self.buffer);
        self.out.write_all(&self.buffer).map_err(WriteError::Io)?;
        let page = self.next;
        self.next += n_pages as u64;
        Ok(page)
    }

    pub(super) fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Number of pages, checksum over them, and where they went.
    pub(super) fn finish<E>(mut self) -> Result<(u64, u32, W), WriteError<E>> {
        self.out.flush().map_err(WriteError::Io)?;
        Ok((self.next, self.crc, self.out))
    }
}
