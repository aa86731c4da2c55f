//! The pages of an image: the newest meta page, and nodes by their page.

use bytes::Bytes;

use super::image::Image;
use super::node::{Kind, Node};
use crate::format::{FIRST_PAGE, HEADER_BYTES, Header, META_BYTES, Meta, page_sizes};
use crate::{Fault, ReadError};

/// The pages that the newer one of an image's two meta pages describes. Nothing is cached.
#[derive(Debug)]
pub(super) struct Pages<I> {
    image: I,
    meta: Meta,
}

impl<I: Image> Pages<I> {
    /// Reads the meta pages of `image`. Errs when neither is valid, or the image ends before the last page of the
    /// newer one.
    pub(super) fn open(image: I) -> Result<Self, ReadError> {
        let size = image.size().map_err(ReadError::Size)?;
        let (page, meta) = newest_meta(&image, size)?;
        let pages = Self { image, meta };
        let bytes = meta.mark.checked_mul(u64::from(meta.page_bytes));
        if bytes.is_none_or(|bytes| bytes > size) {
            return Err(Fault::Cut { size }.at(page));
        }
        pages.check_reference(page, meta.root)?;
        Ok(pages)
    }

    /// The bytes of all pages.
    pub(super) fn n_bytes(&self) -> u64 {
        self.meta.mark * u64::from(self.meta.page_bytes)
    }

    /// The page of the tree of buckets.
    pub(super) fn root(&self) -> u64 {
        self.meta.root
    }

    /// The number of pages.
    pub(super) fn n_pages(&self) -> u64 {
        self.meta.mark
    }

    /// Checks that `page`, which page `from` refers to, can hold a node.
    pub(super) fn check_reference(&self, from: u64, page: u64) -> Result<(), ReadError> {
        let mark = self.meta.mark;
        match (FIRST_PAGE..mark).contains(&page) {
            true => Ok(()),
            false => Err(Fault::Reference { page, mark }.at(from)),
        }
    }

    /// Reads the node that begins at `page`, which must have been checked. It takes its pages from `n_pages_left`.
    pub(super) fn node(&self, page: u64, n_pages_left: &mut u64) -> Result<Node, ReadError> {
        let page_bytes = self.meta.page_bytes as usize;
        let offset = page * u64::from(self.meta.page_bytes);
        let mut bytes = vec![0; page_bytes];
        read(&self.image, &mut bytes, offset)?;
        let header = Header::read(bytes.first_chunk().expect("a page is larger than its header"));
        let n_bytes = self.check_header(page, header, n_pages_left).map_err(|fault| fault.at(page))?;
        if n_bytes > page_bytes {
            bytes.resize(n_bytes, 0);
            read(&self.image, &mut bytes[page_bytes..], offset + u64::from(self.meta.page_bytes))?;
        }
        Node::new(page, header, Bytes::from(bytes)).map_err(|fault| fault.at(page))
    }

    /// The size of the node, all of which lies within the image.
    fn check_header(&self, page: u64, header: Header, n_pages_left: &mut u64) -> Result<usize, Fault> {
        if header.id != page {
            return Err(Fault::OwnId { found: header.id });
        }
        let kind = Kind::of(header)?;
        let n_pages = 1 + u64::from(header.overflow);
        if n_pages > self.meta.mark - page {
            return Err(Fault::Overflow { overflow: header.overflow });
        }
        let (bytes, max) = (n_pages * u64::from(self.meta.page_bytes), kind.bytes_max());
        if bytes > max {
            return Err(Fault::NodeSize { bytes, max });
        }
        *n_pages_left = n_pages_left.checked_sub(n_pages).ok_or(Fault::Repeated)?;
        Ok(usize::try_from(bytes).expect("the limits of nodes are below 4 GiB"))
    }
}

fn read(image: &impl Image, out: &mut [u8], offset: u64) -> Result<(), ReadError> {
    image.read_at(out, offset).map_err(|source| ReadError::Io { offset, len: out.len(), source })
}

/// The valid meta with the higher transaction id, and its page.
fn newest_meta(image: &impl Image, size: u64) -> Result<(u64, Meta), ReadError> {
    match read_meta(image, size, 0)? {
        Ok(first) => {
            let second = read_meta(image, size, first.page_bytes.into())?;
            let newer = second.ok().filter(|m| m.txid > first.txid && m.page_bytes == first.page_bytes);
            Ok(newer.map_or((0, first), |second| (1, second)))
        }
        // Only page 1 itself contains where it begins.
        Err(fault) => {
            for page_bytes in page_sizes() {
                let second = read_meta(image, size, page_bytes.into())?;
                if let Some(second) = second.ok().filter(|meta| meta.page_bytes == page_bytes) {
                    return Ok((1, second));
                }
            }
            Err(fault.at(0))
        }
    }
}

/// Reads the meta page at `offset`. A fault of it is no error yet.
fn read_meta(image: &impl Image, size: u64, offset: u64) -> Result<Result<Meta, Fault>, ReadError> {
    let mut bytes = [0; HEADER_BYTES + META_BYTES];
    if size < offset + bytes.len() as u64 {
        return Ok(Err(Fault::Cut { size }));
    }
    read(image, &mut bytes, offset)?;
    Ok(Meta::read(bytes.last_chunk().expect("the fields end the array")))
}
