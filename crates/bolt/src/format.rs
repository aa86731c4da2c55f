//! The parts of a file that have a fixed size. All numbers are little endian.
//!
//! ```text
//! page    | header 16 | count elements of 16 each | keys and values ...        | zeros |
//! element                 leaf: flags 4, pos 4, key size 4, value size 4
//!                         branch: pos 4, key size 4, child page 8
//!                         the key lies pos bytes behind the element's start, the value behind the key
//! ```
//!
//! A node is a page with the overflow pages behind it, which have no header of their own.

use bytes::{Buf, BufMut};

use crate::Fault;

/// The page size of images that are written here. Bolt takes the page size of the machine that makes a file and
/// opens files of any other.
pub(crate) const PAGE_BYTES: usize = 4096;

/// The page sizes that machines have.
const PAGE_BYTES_MIN: u32 = 1 << 10;
const PAGE_BYTES_MAX: u32 = 1 << 16;

/// The page sizes that a file may have, smallest first.
pub(crate) fn page_sizes() -> impl Iterator<Item = u32> {
    (PAGE_BYTES_MIN.trailing_zeros()..=PAGE_BYTES_MAX.trailing_zeros()).map(|shift| 1 << shift)
}

pub(crate) const HEADER_BYTES: usize = 16;
pub(crate) const ELEMENT_BYTES: usize = 16;
pub(crate) const META_BYTES: usize = 64;
pub(crate) const BUCKET_BYTES: usize = 16;

pub(crate) const BRANCH: u16 = 1;
pub(crate) const LEAF: u16 = 2;
const META: u16 = 4;

/// The kinds of leaf elements.
pub(crate) const ROW: u32 = 0;
pub(crate) const BUCKET: u32 = 1;

/// The first page that is not a meta page.
pub(crate) const FIRST_PAGE: u64 = 2;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// Instead of the free list's page: on opening, the free pages are those that the tree does not use.
const NO_FREE_LIST: u64 = u64::MAX;

/// The beginning of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u64,
    pub(crate) flags: u16,
    pub(crate) count: u16,
    /// How many pages continue this one.
    pub(crate) overflow: u32,
}

impl Header {
    pub(crate) fn read(bytes: &[u8; HEADER_BYTES]) -> Self {
        let mut bytes = &bytes[..];
        Self {
            id: bytes.get_u64_le(),
            flags: bytes.get_u16_le(),
            count: bytes.get_u16_le(),
            overflow: bytes.get_u32_le(),
        }
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.put_u64_le(self.id);
        out.put_u16_le(self.flags);
        out.put_u16_le(self.count);
        out.put_u32_le(self.overflow);
    }
}

/// The state that a meta page describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_bytes: u32,
    /// Where the tree of buckets begins.
    pub(crate) root: u64,
    /// The number of pages; all ids are below it.
    pub(crate) mark: u64,
    pub(crate) txid: u64,
}

impl Meta {
    /// Reads what follows the header of a meta page.
    pub(crate) fn read(bytes: &[u8; META_BYTES]) -> Result<Self, Fault> {
        let (summed, mut checksum) = bytes.split_at(META_BYTES - size_of::<u64>());
        let mut fields = summed;
        let magic = fields.get_u32_le();
        let version = fields.get_u32_le();
        let page_bytes = fields.get_u32_le();
        let _flags = fields.get_u32_le();
        let root = fields.get_u64_le();
        let _sequence = fields.get_u64_le();
        let _free_list = fields.get_u64_le();
        let mark = fields.get_u64_le();
        let txid = fields.get_u64_le();

        if magic != MAGIC {
            return Err(Fault::Magic { found: magic });
        }
        if version != VERSION {
            return Err(Fault::Version { found: version });
        }
        if checksum.get_u64_le() != fnv1a(summed) {
            return Err(Fault::Checksum);
        }
        if !page_sizes().any(|size| size == page_bytes) {
            return Err(Fault::PageSize { found: page_bytes });
        }
        Ok(Self { page_bytes, root, mark, txid })
    }

    /// Appends meta page `id`, as a whole.
    pub(crate) fn put_page(self, id: u64, out: &mut Vec<u8>) {
        let start = out.len();
        Header { id, flags: META, count: 0, overflow: 0 }.put(out);
        let summed = out.len();
        out.put_u32_le(MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(self.page_bytes);
        out.put_u32_le(0); // flags
        out.put_u64_le(self.root);
        out.put_u64_le(0); // the root bucket's sequence
        out.put_u64_le(NO_FREE_LIST);
        out.put_u64_le(self.mark);
        out.put_u64_le(self.txid);
        out.put_u64_le(fnv1a(&out[summed..]));
        out.resize(start + self.page_bytes as usize, 0);
    }
}

/// The 64-bit FNV-1a hash.
fn fnv1a(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fnv1a_of_known_texts() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn meta_pages_are_read_as_they_were_written() {
        let meta = Meta { page_bytes: 4096, root: 7, mark: 9, txid: 3 };
        let mut page = Vec::new();
        meta.put_page(1, &mut page);
        assert_eq!(page.len(), 4096);
        assert_eq!(page[..16], [1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]);
        let fields: &[u8; META_BYTES] = page[HEADER_BYTES..].first_chunk().unwrap();
        assert_eq!(Meta::read(fields), Ok(meta));
        for at in 0..META_BYTES {
            let mut damaged = *fields;
            damaged[at] ^= 0x10;
            assert!(Meta::read(&damaged).is_err(), "byte {at}");
        }
    }
}
