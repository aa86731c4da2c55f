//! Running a member.

use std::process::ExitCode;

use tracing::{error, info};

use crate::config::Config;
use crate::lifecycle::{DataDir, FD_RESERVED, raise_fd_limit};
use crate::log_start;

/// Runs a member until it is told to stop; returns the exit status.
pub fn run(config: Config) -> ExitCode {
    if let Err(error) = raise_fd_limit() {
        error!(level = "fatal", limit = error.limit, "recommended-limit" = FD_RESERVED, "{error}");
        return ExitCode::FAILURE;
    }
    let found = match DataDir::identify(&config.data_dir) {
        Ok(found) => found,
        Err(error) => {
            error!(level = "fatal", %error, "failed to use the data directory");
            return ExitCode::FAILURE;
        }
    };
    match found {
        DataDir::Empty => {
            info!(
                "data-dir" = %config.data_dir.display(),
                "dir-type" = found.as_str(),
                "Initialize and start etcd server"
            );
        }
        DataDir::Member => {
            info!(
                "data-dir" = %config.data_dir.display(),
                "dir-type" = found.as_str(),
                "server has already been initialized"
            );
        }
    }
    log_start(&config, found == DataDir::Member);
    error!(level = "fatal", error = "no server is composed yet", "failed to start etcd server");
    ExitCode::FAILURE
}
