//! The process between its start and its end: limits, readiness, signals.

mod fd_limit;
mod memory_lock;
mod notify;
mod signal;
#[cfg(test)]
mod tests;

pub(crate) use fd_limit::{FD_RESERVED, raise_fd_limit};
pub(crate) use memory_lock::lock_memory;
pub(crate) use notify::notify_ready;
pub(crate) use signal::{ExitSignal, ReloadSignal, StartSignals};
