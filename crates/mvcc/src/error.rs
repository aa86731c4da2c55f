//! Errors.

use bytes::Bytes;
use ferretcd_base::Revision;

/// Bytes in the backend that no store writes. The member must stop: its state can't be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Corruption {
    /// The key of a row in bucket `key` is no revision.
    #[error("understand the row key {key:?} of bucket key")]
    RowKey {
        /// The row key as found.
        key: Bytes,
    },
    /// The value of a row in bucket `key` is no `KeyValue`.
    #[error("decode the row of revision {revision}")]
    Row {
        /// The row's revision.
        revision: Revision,
    },
    /// A revision occurs twice in the history of one key.
    #[error("order the row of revision {revision} after those before it")]
    Order {
        /// The row's revision.
        revision: Revision,
    },
    /// The index has a revision that is neither in memory nor in the backend.
    #[error("find the row of revision {revision}")]
    MissingRow {
        /// The row's revision.
        revision: Revision,
    },
    /// Rows of a range are no `KeyValue`s.
    #[error("decode the rows of a range at revision {revision}")]
    Range {
        /// The revision that was read.
        revision: i64,
    },
    /// A compaction marker in bucket `meta` is no revision.
    #[error("understand the marker {name} = {value:?} of bucket meta")]
    Marker {
        /// The marker's name.
        name: &'static str,
        /// The marker's value as found.
        value: Bytes,
    },
}

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The backend failed.
    #[error("read the history: {0}")]
    Backend(#[from] ferretcd_backend::Error),
    /// The history isn't readable.
    #[error("read the history: {0}")]
    Corrupt(#[from] Corruption),
}

/// Why a step of the physical removal failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The backend failed.
    #[error("remove compacted rows: {0}")]
    Backend(#[from] ferretcd_backend::Error),
    /// The history isn't readable.
    #[error("remove compacted rows: {0}")]
    Corrupt(#[from] Corruption),
}

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The revision lies below the compacted one, or a compaction passed it during the read.
    #[error("read revision {requested}: compacted up to {compacted}")]
    Compacted {
        /// The revision that was to be read.
        requested: i64,
        /// The compacted revision.
        compacted: i64,
    },
    /// The revision doesn't exist yet, or not in this view.
    #[error("read revision {requested}: the newest is {current}")]
    Future {
        /// The revision that was to be read.
        requested: i64,
        /// The newest revision that could have been read.
        current: i64,
    },
    /// The backend failed.
    #[error("read rows: {0}")]
    Backend(#[from] ferretcd_backend::Error),
    /// A row isn't readable or isn't there.
    #[error("read rows: {0}")]
    Corrupt(#[from] Corruption),
}

/// Why a compaction was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// That revision is compacted already.
    #[error("compact at revision {requested}: compacted up to {compacted}")]
    Compacted {
        /// The requested revision.
        requested: i64,
        /// The compacted revision.
        compacted: i64,
    },
    /// That revision doesn't exist yet.
    #[error("compact at revision {requested}: the newest is {current}")]
    Future {
        /// The requested revision.
        requested: i64,
        /// The current revision.
        current: i64,
    },
}
