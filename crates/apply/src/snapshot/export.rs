//! A state as the bytes of a bolt image.

use std::io::{self, Read};
use std::ops::Bound;
use std::slice;
use std::sync::Arc;

use bytes::Bytes;
use ferretcd_backend::{Bucket, View};
use ferretcd_bolt::{Part, Plan, Stream};

use super::ExportError;
use crate::Applied;

/// The state that a view shows, as an image: a database of etcd with all rows byte for byte. To be read to its
/// end, from any thread; the rows are read from the view meanwhile, which it keeps.
#[derive(Debug)]
pub struct Export {
    mark: Applied,
    len: u64,
    image: Stream<Parts>,
}

/// Lays the image out, so that its length is known before its first byte. Reads all rows for that, about a second
/// for a million; reading the image reads them again.
///
/// # Errors
///
/// When the view cannot be read.
pub fn export(view: Arc<View>) -> Result<Export, ExportError> {
    let mark = Applied::read(&view)?;
    let plan = Plan::of(Parts::new(Arc::clone(&view)))?;
    Ok(Export { mark, len: plan.size(), image: plan.stream(Parts::new(view)) })
}

impl Export {
    /// The position in the log that the state is at, and the configuration of the group there.
    #[must_use]
    pub fn mark(&self) -> &Applied {
        &self.mark
    }

    /// The length of the whole image in bytes, however much of it was read.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an image always has pages")]
    pub fn len(&self) -> u64 {
        self.len
    }
}

/// An error is that of the view, or of a row; nothing can be read behind one.
impl Read for Export {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.image.read(out)
    }
}

/// All buckets and rows of a view, in order.
#[derive(Debug)]
struct Parts {
    view: Arc<View>,
    buckets: slice::Iter<'static, Bucket>,
    /// Of the bucket begun last.
    rows: Option<ferretcd_backend::Rows>,
}

impl Parts {
    fn new(view: Arc<View>) -> Self {
        Self { view, buckets: Bucket::ALL.iter(), rows: None }
    }

    fn begin(&mut self, bucket: Bucket) -> Result<Part, ferretcd_backend::Error> {
        self.rows = Some(self.view.range(bucket, (Bound::Unbounded, Bound::Unbounded))?);
        Ok(Part::Bucket(Bytes::from_static(bucket.name().as_bytes())))
    }
}

impl Iterator for Parts {
    type Item = Result<Part, ferretcd_backend::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.as_mut().and_then(Iterator::next) {
            Some(row) => Some(row.map(|(key, value)| Part::Row(key, value))),
            None => {
                let bucket = *self.buckets.next()?;
                Some(self.begin(bucket))
            }
        }
    }
}
