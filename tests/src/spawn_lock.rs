//! One lock around starting processes and opening a member's files, for members that run in this process.

use std::sync::{Mutex, PoisonError};

/// Between fork and exec a child holds copies of all descriptors of this process, and with them its file locks. A
/// member that releases a file lock and takes it again at that moment finds it taken. So starting a process and
/// opening a member's files exclude each other. Held for that one call.
static SPAWN_LOCK: Mutex<()> = Mutex::new(());

/// Runs `work`, which starts a process or opens a member's files, under the lock.
pub(crate) fn with_spawn_lock<T>(work: impl FnOnce() -> T) -> T {
    // It guards no data that a panic could leave half changed.
    let _guard = SPAWN_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}
