use std::collections::BTreeMap;
use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;

use crate::{Image, ReadError, Reader, Row};

/// A piece of what an image is made of, when the pieces come by themselves instead of being read from a [`Source`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// A bucket of this name begins.
    Bucket(Bytes),
    /// Key and value of a row of the bucket that began last.
    Row(Bytes, Bytes),
}

/// The rows of an image. They are read twice, so they must not change: a view, not a store.
pub trait Source {
    /// Why the source could not be read.
    type Error: Error + 'static;

    /// The names of all buckets, in byte order, each once.
    ///
    /// # Errors
    ///
    /// When the source cannot be read.
    fn buckets(&self) -> Result<Vec<Bytes>, Self::Error>;

    /// Keys and values of `bucket`, one of [`Source::buckets`], in byte order of the keys, each key once. The first
    /// error ends the writing.
    ///
    /// # Errors
    ///
    /// When the source cannot be read.
    fn rows(&self, bucket: &[u8]) -> Result<impl Iterator<Item = Result<Row, Self::Error>>, Self::Error>;
}

/// Buckets in memory.
impl Source for BTreeMap<Bytes, BTreeMap<Bytes, Bytes>> {
    type Error = Infallible;

    fn buckets(&self) -> Result<Vec<Bytes>, Infallible> {
        Ok(self.keys().cloned().collect())
    }

    fn rows(&self, bucket: &[u8]) -> Result<impl Iterator<Item = Result<Row, Infallible>>, Infallible> {
        let rows = self.get(bucket).into_iter().flatten();
        Ok(rows.map(|(key, value)| Ok((key.clone(), value.clone()))))
    }
}

/// Another image, to be written again without its free pages.
impl<I: Image> Source for Reader<I> {
    type Error = ReadError;

    fn buckets(&self) -> Result<Vec<Bytes>, ReadError> {
        Reader::buckets(self).map(|bucket| Ok(bucket?.name().clone())).collect()
    }

    fn rows(&self, bucket: &[u8]) -> Result<impl Iterator<Item = Result<Row, ReadError>>, ReadError> {
        Ok(self.bucket(bucket)?.into_iter().flat_map(|bucket| bucket.rows()))
    }
}
