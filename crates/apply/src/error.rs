//! What can go wrong while applying: a rejected command gets an error, a fault stops the member.

/// A command was rejected, on every member alike; the state is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A put refers to the value or lease of a key that does not exist.
    #[error("apply: the key does not exist")]
    KeyNotFound,
    /// A put names a lease that does not exist.
    #[error("apply: the lease does not exist")]
    LeaseNotFound,
    /// A lease could not be granted.
    #[error("apply: {0}")]
    Grant(#[from] ferretcd_lease::GrantError),
    /// The revision is compacted.
    #[error("apply: revision {requested} is compacted, the oldest is {compacted}")]
    Compacted {
        /// The requested revision.
        requested: i64,
        /// The oldest revision that can be read.
        compacted: i64,
    },
    /// The revision does not exist yet.
    #[error("apply: revision {requested} is in the future of {current}")]
    Future {
        /// The requested revision.
        requested: i64,
        /// The newest revision.
        current: i64,
    },
    /// A NOSPACE alarm rejects everything that grows the store.
    #[error("apply: a NOSPACE alarm is active")]
    NoSpace,
    /// A CORRUPT alarm rejects every change.
    #[error("apply: a CORRUPT alarm is active")]
    Corrupt,
    /// A member is not there to be changed, or a change of the members is not possible.
    #[error(transparent)]
    Membership(#[from] ferretcd_membership::ChangeError),
    /// The user may not make the request, or users and roles do not allow it.
    #[error(transparent)]
    Auth(#[from] ferretcd_auth::AuthError),
    /// The stores cannot be read any more. The member must stop.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The stores or the entry are unreadable: going on would make this member differ from the others.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A row could not be read.
    #[error("apply: {0}")]
    Read(ferretcd_mvcc::ReadError),
    /// A step of the physical compaction failed.
    #[error("apply: {0}")]
    Scrub(#[source] ferretcd_mvcc::Error),
    /// A member's description in an entry or a request cannot be read.
    #[error("apply entry {index}: the description of the member is unreadable: {source}")]
    Member {
        /// Index of the entry.
        index: u64,
        /// The fault.
        source: serde_json::Error,
    },
    /// The bytes of an entry are no command that this version knows.
    #[error("apply entry {index}: {source}")]
    Command {
        /// Index of the entry.
        index: u64,
        /// The fault.
        source: crate::DecodeError,
    },
}

impl From<ferretcd_mvcc::ReadError> for ApplyError {
    fn from(error: ferretcd_mvcc::ReadError) -> Self {
        match error {
            ferretcd_mvcc::ReadError::Compacted { requested, compacted } => {
                Self::Compacted { requested, compacted }
            }
            ferretcd_mvcc::ReadError::Future { requested, current } => Self::Future { requested, current },
            other => Self::Fault(Fault::Read(other)),
        }
    }
}

impl From<ferretcd_mvcc::CompactError> for ApplyError {
    fn from(error: ferretcd_mvcc::CompactError) -> Self {
        match error {
            ferretcd_mvcc::CompactError::Compacted { requested, compacted } => {
                Self::Compacted { requested, compacted }
            }
            ferretcd_mvcc::CompactError::Future { requested, current } => Self::Future { requested, current },
        }
    }
}

/// Why the stored state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The key space.
    #[error(transparent)]
    Mvcc(#[from] ferretcd_mvcc::OpenError),
    /// The leases.
    #[error(transparent)]
    Lease(#[from] ferretcd_lease::OpenError),
    /// The members.
    #[error(transparent)]
    Membership(#[from] ferretcd_membership::OpenError),
    /// Users and roles.
    #[error(transparent)]
    Auth(#[from] ferretcd_auth::OpenError),
    /// The state file itself.
    #[error("read the state file: {0}")]
    Backend(#[from] ferretcd_backend::Error),
    /// A row of the bookkeeping has a form that it never has.
    #[error("read the state file: bucket {bucket} has a broken row {row}")]
    Corrupt {
        /// Name of the bucket.
        bucket: &'static str,
        /// Key of the row.
        row: String,
    },
    /// A state that was to be restored is older than the one that is there.
    #[error("restore the state at index {index}: applied is {applied}")]
    Older {
        /// Index of the last entry applied in the state to be restored.
        index: u64,
        /// Index of the last entry applied here.
        applied: u64,
    },
}
