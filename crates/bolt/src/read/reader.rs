use super::bucket::{Bucket, Buckets};
use super::image::Image;
use super::pages::Pages;
use crate::ReadError;

/// An image that is being read. Nothing is cached: each walk reads its pages, one after the other.
///
/// An image is what the newer one of its two meta pages describes; free pages, the rest of a longer file and a
/// [trailer](crate::check_trailer) are not looked at.
#[derive(Debug)]
pub struct Reader<I> {
    pages: Pages<I>,
}

impl<I: Image> Reader<I> {
    /// Reads the meta pages of `image`.
    ///
    /// # Errors
    ///
    /// When neither of them is valid, or the image ends before the last page of the newer one.
    pub fn open(image: I) -> Result<Self, ReadError> {
        Ok(Self { pages: Pages::open(image)? })
    }

    /// The image's length in bytes: whole pages, free ones included, without what follows them in the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.pages.n_bytes()
    }

    /// All buckets, in byte order of their names.
    pub fn buckets(&self) -> Buckets<'_, I> {
        Buckets::new(&self.pages)
    }

    /// The bucket called `name`, if there is one. Looks through the buckets before it.
    ///
    /// # Errors
    ///
    /// As iterating over [`Reader::buckets`].
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket<'_, I>>, ReadError> {
        let has_name = |bucket: &Result<Bucket<'_, I>, _>| bucket.as_ref().map_or(true, |b| b.name() == name);
        self.buckets().find(has_name).transpose()
    }
}
