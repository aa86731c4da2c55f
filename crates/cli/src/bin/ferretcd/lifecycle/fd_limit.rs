//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for the member's own files; the rest of the limit is for connections.
pub(crate) const FD_RESERVED: u64 = 150;

/// There would be no descriptors left for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("file descriptor limit of etcd process is too low; please set higher")]
pub(crate) struct FdLimitTooLow {
    /// The limit.
    pub(crate) limit: u64,
}

/// Raises the limit of open descriptors as far as the process may, and returns it: more than [`FD_RESERVED`].
///
/// The default of 1024 that shells inherit is for programs that use `select`; the hard limit is what the
/// administrator wants.
pub(crate) fn raise_fd_limit() -> Result<u64, FdLimitTooLow> {
    let limit = getrlimit(Resource::Nofile);
    // An error leaves the old limit in force, which is checked below.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit <= FD_RESERVED { Err(FdLimitTooLow { limit }) } else { Ok(limit) }
}
