//! The status codes of gRPC.

use std::fmt;

/// A status code of gRPC, with its number on the wire.
///
/// It is the same set as `tonic::Code`, into which it converts with the feature `services`; this one can be
/// named below the rim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Code {
    /// Success.
    Ok = 0,
    /// The caller gave up.
    Canceled = 1,
    /// Nothing is known but the text.
    Unknown = 2,
    /// The request is wrong, whatever the state.
    InvalidArgument = 3,
    /// The caller's time is over.
    DeadlineExceeded = 4,
    /// The entity that the request names does not exist.
    NotFound = 5,
    /// The entity that the request would create exists already.
    AlreadyExists = 6,
    /// The caller is known and must not.
    PermissionDenied = 7,
    /// A limit or quota is reached.
    ResourceExhausted = 8,
    /// The state forbids it.
    FailedPrecondition = 9,
    /// Something else got in between.
    Aborted = 10,
    /// Outside of what exists now.
    OutOfRange = 11,
    /// The server does not do this.
    Unimplemented = 12,
    /// An invariant is broken.
    Internal = 13,
    /// Not now; trying again may help.
    Unavailable = 14,
    /// Data is lost or corrupt.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// The name as etcd spells it in texts and metrics: `PermissionDenied`, `OK`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            code => write!(f, "{code:?}"),
        }
    }
}

#[cfg(feature = "services")]
impl From<Code> for tonic::Code {
    fn from(code: Code) -> Self {
        Self::from_i32(code.number().into())
    }
}
