//! Why an image could not be read or written.

use std::io;

use bytes::Bytes;
use thiserror::Error;

use crate::{BUCKETS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};

/// Why reading stopped. The text completes "failed to ...".
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The image's length could not be found.
    #[error("find the length of the image")]
    Size(#[source] io::Error),

    /// The image's bytes could not be read.
    #[error("read {len} bytes at offset {offset} of the image")]
    Io {
        /// Where they lie, in bytes.
        offset: u64,
        /// How many were wanted.
        len: usize,
        /// The system's reason.
        source: io::Error,
    },

    /// The image is not a bolt file, or is damaged.
    #[error("read page {page} of the image: {fault}")]
    Corrupt {
        /// The page with the fault. Of both meta pages being bad, the first.
        page: u64,
        /// The fault.
        fault: Fault,
    },

    /// The length fits neither an image nor an image with a hash behind it.
    #[error(
        "find the hash behind the image: {size} bytes are neither whole pages nor whole pages and a hash"
    )]
    Length {
        /// The length in bytes.
        size: u64,
    },

    /// The image is not the one that was hashed.
    #[error("match the image with the hash behind it: the image was changed or cut")]
    Hash,
}

/// A fault of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// The image ends before the page does.
    #[error("the image ends after {size} bytes")]
    Cut {
        /// The image's length.
        size: u64,
    },
    /// A meta page without bolt's mark.
    #[error("magic number is {found:#010x}, not bolt's")]
    Magic {
        /// The number found.
        found: u32,
    },
    /// A meta page of another format.
    #[error("format version {found} is unknown")]
    Version {
        /// The version found.
        found: u32,
    },
    /// A meta page that was not written as it is.
    #[error("checksum differs")]
    Checksum,
    /// A meta page with a page size that no machine has.
    #[error("page size {found} is not a power of two from 1 KiB to 64 KiB")]
    PageSize {
        /// The size found.
        found: u32,
    },
    /// A reference to a meta page or behind the last page.
    #[error("it refers to page {page}, which is none of the data pages up to {mark}, exclusive")]
    Reference {
        /// The page referred to.
        page: u64,
        /// The number of pages.
        mark: u64,
    },
    /// The page has the id of another page.
    #[error("it says that it is page {found}")]
    OwnId {
        /// The id in its header.
        found: u64,
    },
    /// Neither a branch nor a leaf.
    #[error("flags {found:#06x} are neither a branch's nor a leaf's")]
    Kind {
        /// The flags found.
        found: u16,
    },
    /// More overflow pages than there are pages left.
    #[error("{overflow} overflow pages are more than follow")]
    Overflow {
        /// The number claimed.
        overflow: u32,
    },
    /// A node that no writer makes, and that would take much memory.
    #[error("{bytes} bytes are more than the {max} that a node may have")]
    NodeSize {
        /// Its size.
        bytes: u64,
        /// The limit for a node of its kind.
        max: u64,
    },
    /// The elements do not fit into the page.
    #[error("{count} elements do not fit in")]
    Count {
        /// The number claimed.
        count: u16,
    },
    /// A page without elements below another, or a branch without children.
    #[error("it has no elements")]
    Empty,
    /// Key or value reach out of the node, or overlap with what lies before them.
    #[error("element {element} lies outside of its place")]
    Place {
        /// Position in the page, from 0.
        element: u16,
    },
    /// A key that is empty or larger than [`KEY_BYTES_MAX`].
    #[error("element {element} has a key of {len} bytes, not of 1 to {KEY_BYTES_MAX}")]
    KeySize {
        /// Position in the page, from 0.
        element: u16,
        /// The key's length.
        len: usize,
    },
    /// A key that is not above the one before it, or not within the bounds of the branch above.
    #[error("element {element} is out of order")]
    Order {
        /// Position in the page, from 0.
        element: u16,
    },
    /// A bucket where rows are, or a row where buckets are, or neither.
    #[error("element {element} has flags {flags:#x}, expected {expected:#x}")]
    ElementFlags {
        /// Position in the page, from 0.
        element: u16,
        /// The flags found.
        flags: u32,
        /// 0 for a row, 1 for a bucket.
        expected: u32,
    },
    /// A bucket whose entry is too short, or whose page within the entry is not a leaf.
    #[error("the entry of bucket {bucket} is malformed")]
    BucketEntry {
        /// Which bucket, counted from 0.
        bucket: usize,
    },
    /// More buckets than are read.
    #[error("it has more than {BUCKETS_MAX} buckets")]
    Buckets,
    /// The tree is higher than one of bolt's can be.
    #[error("it lies {depth} levels below the root")]
    Depth {
        /// The level, counted from 0 at the root.
        depth: usize,
    },
    /// The tree has more pages than the image, so it has some of them twice.
    #[error("the tree has more pages than the image")]
    Repeated,
}

impl Fault {
    pub(crate) fn at(self, page: u64) -> ReadError {
        ReadError::Corrupt { page, fault: self }
    }
}

/// Why writing stopped; `E` is the source's error. The text completes "failed to ...". What was written by then is of
/// no use.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError<E> {
    /// The source failed.
    #[error("read the rows of the image")]
    Source(#[source] E),

    /// The output failed.
    #[error("write the image")]
    Io(#[source] io::Error),

    /// The source has a bucket with a name that cannot come next.
    #[error("write bucket \"{}\": {fault}", shown(.name))]
    Bucket {
        /// The bucket's name.
        name: Bytes,
        /// The fault.
        fault: RowFault,
    },

    /// The source has a row that cannot come next.
    #[error("write row \"{}\" of bucket \"{}\": {fault}", shown(.key), shown(.bucket))]
    Row {
        /// The bucket's name.
        bucket: Bytes,
        /// The row's key.
        key: Bytes,
        /// The fault of the row.
        fault: RowFault,
    },

    /// The source did not give the rows again that the plan was made of.
    #[error("write the image as planned: the rows have changed since")]
    Changed,
}

/// Why a bolt file cannot hold a row or bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowFault {
    /// A key or name that is empty or larger than [`KEY_BYTES_MAX`].
    #[error("its key has {len} bytes, not 1 to {KEY_BYTES_MAX}")]
    KeySize {
        /// The key's length.
        len: usize,
    },
    /// A value larger than [`VALUE_BYTES_MAX`].
    #[error("its value has {len} bytes, more than {VALUE_BYTES_MAX}")]
    ValueSize {
        /// The value's length.
        len: usize,
    },
    /// A key or name that is not above the one before it.
    #[error("it is not above the one before it")]
    Order,
    /// A row that comes before the first bucket.
    #[error("no bucket has begun")]
    NoBucket,
}

/// The beginning of a key as text.
fn shown(key: &[u8]) -> impl std::fmt::Display + '_ {
    const BYTES: usize = 64;
    key[..key.len().min(BYTES)].escape_ascii()
}
