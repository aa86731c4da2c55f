//! `cargo xtask bench`: runs the load generator, a package of its own, so that the other tasks build without its
//! libraries.

use std::io::Write as _;
use std::process::{Command, ExitCode};

use crate::workspace_root;

/// Runs the bench with these arguments and ends as it ends; it prints its errors itself.
pub(crate) fn run(options: &[&str]) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = workspace_root().join("Cargo.toml");
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--package", "ferretcd-bench", "--manifest-path"])
        .arg(manifest)
        .arg("--")
        .args(options)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
