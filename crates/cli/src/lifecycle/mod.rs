//! The process between its start and its end: limits, data directory, readiness, signals.

mod data_dir;
mod fd_limit;
mod notify;
mod signal;

pub use data_dir::{DataDir, DataDirError};
pub use fd_limit::{FD_RESERVED, FdLimitTooLow, raise_fd_limit};
pub use notify::notify_ready;
pub use signal::{ExitSignal, ShutdownSignals};
