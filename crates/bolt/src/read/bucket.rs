use bytes::{Buf, Bytes};

use super::image::Image;
use super::node::{Kind, Node};
use super::pages::Pages;
use super::walk::{Found, Walk};
use crate::format::{BUCKET, BUCKET_BYTES, HEADER_BYTES, Header, ROW};
use crate::{BUCKETS_MAX, Fault, ReadError, Row};

/// A named map of an image.
#[derive(Debug)]
pub struct Bucket<'r, I> {
    pages: &'r Pages<I>,
    name: Bytes,
    /// The page of the bucket's entry.
    page: u64,
    place: Place,
}

/// Where a bucket's rows are.
#[derive(Debug, Clone)]
enum Place {
    Root(u64),
    /// In a leaf within the bucket's entry.
    Inline(Node),
}

impl<'r, I: Image> Bucket<'r, I> {
    /// The bucket's name.
    #[must_use]
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// The bucket's rows, in byte order of their keys.
    ///
    /// Reads nothing yet: leaves are read as the iterator advances.
    #[must_use]
    pub fn rows(&self) -> Rows<'r, I> {
        Rows(match &self.place {
            Place::Root(root) => Walk::from_page(self.pages, ROW, self.page, *root),
            Place::Inline(leaf) => Walk::from_node(self.pages, ROW, Some(leaf.clone())),
        })
    }
}

/// Keys and values of a [`Bucket`]. After an error the iterator ends.
///
/// A row shares the memory of its leaf, about a page or, with overflow pages, much more: copy what is kept for long.
#[derive(Debug)]
pub struct Rows<'r, I>(Walk<'r, I>);

impl<I: Image> Iterator for Rows<'_, I> {
    type Item = Result<Row, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.0.next()?;
        Some(found.map(|Found { key, value, .. }| (key, value)))
    }
}

/// The buckets of a [`Reader`](crate::Reader). After an error the iterator ends.
#[derive(Debug)]
pub struct Buckets<'r, I> {
    walk: Walk<'r, I>,
    n_found: usize,
}

impl<'r, I: Image> Buckets<'r, I> {
    pub(super) fn new(pages: &'r Pages<I>) -> Self {
        // Opening has checked the reference to the root.
        Self { walk: Walk::from_page(pages, BUCKET, 0, pages.root()), n_found: 0 }
    }

    fn bucket(&mut self, found: Found) -> Result<Bucket<'r, I>, ReadError> {
        let Found { page, key, value } = found;
        let index = self.n_found;
        if index == BUCKETS_MAX {
            return Err(Fault::Buckets.at(page));
        }
        self.n_found += 1;
        let place = place(page, index, value).map_err(|fault| fault.at(page))?;
        // The name outlives the walk, the leaf it is in need not.
        Ok(Bucket { pages: self.walk.pages(), name: Bytes::copy_from_slice(&key), page, place })
    }
}

impl<'r, I: Image> Iterator for Buckets<'r, I> {
    type Item = Result<Bucket<'r, I>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = self.walk.next()?;
        let bucket = found.and_then(|found| self.bucket(found));
        if bucket.is_err() {
            self.walk.stop();
        }
        Some(bucket)
    }
}

/// Understands the value of the entry of a bucket.
fn place(page: u64, index: usize, mut value: Bytes) -> Result<Place, Fault> {
    let malformed = Fault::BucketEntry { bucket: index };
    if value.len() < BUCKET_BYTES {
        return Err(malformed);
    }
    let root = value.get_u64_le();
    let _sequence = value.get_u64_le();
    if root != 0 {
        return Ok(Place::Root(root));
    }
    let header = Header::read(value.first_chunk::<HEADER_BYTES>().ok_or(malformed)?);
    let leaf = Node::new(page, header, value)?;
    match leaf.kind {
        Kind::Leaf => Ok(Place::Inline(leaf)),
        Kind::Branch => Err(malformed),
    }
}
