//! Keeping the memory of the process from being swapped out.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};

/// The memory can't be kept. The text begins as etcd's.
#[derive(Debug, thiserror::Error)]
#[error(
    "mlock error: {0}; raise the limit of locked memory to unlimited (ulimit -l, LimitMEMLOCK=infinity), grant \
     CAP_IPC_LOCK, or start without --memory-mlock"
)]
pub(crate) struct MemoryLockError(io::Error);

/// Has the system keep every page of the process in memory from the time on when it is first touched. Pages that are only
/// reserved stay so.
pub(crate) fn lock_memory() -> Result<(), MemoryLockError> {
    // With another limit the call may succeed, and the process fail at the page that is one too many.
    let is_unlimited = getrlimit(Resource::Memlock).current.is_none();
    let is_capable = || capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    if !is_unlimited && !is_capable() {
        return Err(MemoryLockError(io::Error::other("cannot allocate memory")));
    }
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(flags).map_err(|error| MemoryLockError(error.into()))
}
