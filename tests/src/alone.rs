//! Processes started beside members that run in this one.

use std::sync::{Mutex, PoisonError};

/// Between its fork and its exec a child holds copies of all descriptors of this process, and so of its locks on
/// files. A member that gives a lock back and takes it again in that moment finds it taken by another. So whatever
/// starts a process, and whatever opens a member's files, does it alone. Held for that one call.
static ALONE: Mutex<()> = Mutex::new(());

/// Starts a process, or opens a member's files.
pub(crate) fn alone<T>(work: impl FnOnce() -> T) -> T {
    // It guards no data that a panic could leave half changed.
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}
