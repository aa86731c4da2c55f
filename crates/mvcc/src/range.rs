//! What is read of a range at once.

use bytes::Bytes;

use crate::error::{Corruption, ReadError};
use crate::selection::KeyState;

/// The selection of a range read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RangeOptions {
    /// The main revision to read at, not below the compacted one; `None` is the newest of the view. No key
    /// exists at numbers below 2.
    pub at: Option<i64>,
    /// The largest number of rows; 0 is no bound.
    pub limit: usize,
    /// No rows, only the count.
    pub count_only: bool,
    /// Rows without value and lease. They come from the index alone.
    pub keys_only: bool,
    /// Stops at the limit; the count is then that of the rows.
    pub skip_count: bool,
}

/// The result of a range read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeResult {
    /// In key order, no more than the limit.
    pub rows: Vec<Row>,
    /// All keys of the range that exist at the revision, whatever the limit.
    pub count: usize,
}

/// One key's state at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The protobuf `mvccpb.KeyValue`, byte for byte as stored and shared with the store's own memory.
    /// In a keys-only read it is made anew, without value and lease.
    pub encoded: Bytes,
    /// Main revision of the put that created the key.
    pub create_revision: i64,
    /// Main revision of the last put.
    pub mod_revision: i64,
    /// Number of puts since the key was created.
    pub version: i64,
}

impl Row {
    /// The row decoded; key and value share its bytes. Fails only for a corrupt backend.
    pub fn key_value(&self) -> Result<ferretcd_api_proto::mvccpb::KeyValue, ReadError> {
        let revision = ferretcd_base::Revision::new(self.mod_revision, 0);
        prost::Message::decode(self.encoded.clone()).map_err(|_| Corruption::Row { revision }.into())
    }

    pub(crate) fn new(key: &KeyState<'_>, encoded: Bytes) -> Self {
        let &KeyState { create_revision, mod_revision, version, .. } = key;
        Self { encoded, create_revision, mod_revision, version }
    }
}
