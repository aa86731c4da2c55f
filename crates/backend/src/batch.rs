use bytes::Bytes;

use crate::Bucket;

/// Changes to be committed together, in the order in which they were added.
///
/// Plain data: building one touches no file and takes no lock. A later change to a key wins over an
/// earlier one.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
    bytes: usize,
    n_deletes: usize,
}

/// One put (`value` is some) or delete (`value` is none).
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) bucket: Bucket,
    pub(crate) key: Bytes,
    pub(crate) value: Option<Bytes>,
}

impl Batch {
    /// Sets `key` to `value`, whether or not the key exists.
    pub fn put(&mut self, bucket: Bucket, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.push(Change { bucket, key: key.into(), value: Some(value.into()) });
    }

    /// Removes `key`; nothing happens if it does not exist.
    pub fn delete(&mut self, bucket: Bucket, key: impl Into<Bytes>) {
        self.push(Change { bucket, key: key.into(), value: None });
    }

    /// Adds the changes of `other` after those of this batch.
    pub fn append(&mut self, mut other: Batch) {
        self.bytes += other.bytes;
        self.n_deletes += other.n_deletes;
        self.changes.append(&mut other.changes);
    }

    /// Sum of the lengths of all keys and values, in bytes; a measure for when to commit.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of deletes among the changes. Rows that are deleted lie anywhere, so that each may make a commit write a page
    /// anew, and the page from before is free only two commits later: a measure for how much the file may grow.
    #[must_use]
    pub fn n_deletes(&self) -> usize {
        self.n_deletes
    }

    /// Whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Number of changes, counting each change of the same key.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.n_deletes += usize::from(change.value.is_none());
        self.bytes += change.key.len() + change.value.as_ref().map_or(0, Bytes::len);
        self.changes.push(change);
    }

    pub(crate) fn changes(&self) -> &[Change] {
        &self.changes
    }
}
