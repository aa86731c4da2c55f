//! Why a snapshot could not be sent or received.

use std::io;

use bytes::Bytes;

use crate::OpenError;

/// Why a snapshot could not be read. The text completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The position of the state.
    #[error(transparent)]
    Position(#[from] OpenError),
    /// The rows could not be read, or there is one that no image can hold.
    #[error(transparent)]
    Layout(#[from] ferretcd_bolt::WriteError<ferretcd_backend::Error>),
}

/// Why an image did not become a state file. The text completes "failed to ...".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The image could not be read, or is damaged.
    #[error(transparent)]
    Image(#[from] ferretcd_bolt::ReadError),
    /// The image has a bucket that no state has.
    #[error("take over bucket \"{}\" of the image: it is not one of etcd's", shown(.name))]
    Bucket {
        /// The bucket's name.
        name: Bytes,
    },
    /// A row of the history is malformed.
    #[error(transparent)]
    History(#[from] ferretcd_mvcc::Corruption),
    /// Other rows are malformed.
    #[error(transparent)]
    Rows(#[from] OpenError),
    /// The new state file could not be made.
    #[error(transparent)]
    Create(#[from] ferretcd_backend::OpenError),
    /// The new state file could not be written.
    #[error(transparent)]
    Write(#[from] ferretcd_backend::Error),
    /// The caller's `progress` broke the import off.
    #[error("take over an image: it was broken off after {n_bytes} bytes of rows")]
    BrokenOff {
        /// Bytes of rows that were stored.
        n_bytes: u64,
    },
    /// The file system failed.
    #[error("{action} {place}: {source}")]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The file.
        place: String,
        /// The system's reason.
        source: io::Error,
    },
}

/// The beginning of a name as text.
fn shown(name: &[u8]) -> impl std::fmt::Display + '_ {
    const BYTES: usize = 64;
    name[..name.len().min(BYTES)].escape_ascii()
}
