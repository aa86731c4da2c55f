//! One lock around starting processes and opening a member's files, for members that run in this process.

use std::sync::{Mutex, PoisonError};

/// Between fork and exec a child holds copies of all descriptors of this process, and with them its file locks. A
/// member that releases a file lock and takes it again at that moment finds it taken. So starting a process and
/// opening a member's files exclude each other. Held for that one call.
static ALONE: Mutex<()> = Mutex::new(());

/// Runs `work`, which starts a process or opens a member's files.
pub(crate) fn alone<T>(work: impl FnOnce() -> T) -> T {
    // It guards no data that a panic could leave half changed.
    let _guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}
