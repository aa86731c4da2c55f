//! Errors.

use ferretcd_base::LeaseId;

/// Why a lease was not granted. Nothing has been changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// A lease has the id.
    #[error("grant a lease: id {0} is in use")]
    Exists(LeaseId),
    /// Zero is the id of no lease.
    #[error("grant a lease: it needs an id")]
    NoId,
    /// The time to live is out of range.
    #[error("grant a lease: {0} seconds are too long")]
    TtlTooLarge(i64),
}

/// Why the stored leases could not be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The state file could not be read.
    #[error("read the leases from the state file: {0}")]
    Backend(#[from] ferretcd_backend::Error),
    /// A row does not have the form that it must have.
    #[error("read the leases from the state file: bucket lease has a row that is none: {row}")]
    Corrupt {
        /// The row's key, in hexadecimal.
        row: String,
    },
}
