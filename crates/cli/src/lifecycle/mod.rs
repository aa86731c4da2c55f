//! The process between its start and its end: limits, readiness, signals.

mod fd_limit;
mod notify;
mod signal;

pub use fd_limit::{FD_RESERVED, FdLimitTooLow, raise_fd_limit};
pub use notify::notify_ready;
pub use signal::{ExitSignal, ShutdownSignals};
