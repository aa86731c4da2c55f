//! A disk with slow syncs, made by strace.
//!
//! `crates/bench/src/slow_disk.rs` has the same command for the bench, and says why it has its own: what is changed in
//! one of the two is changed in both.

use super::command::{find, run};

/// The words before the command of a member with slow syncs. Only the syncing thread waits. The started process
/// becomes the member itself; strace runs beside it and ends with it.
const STRACE: &str = "strace -D -f -q --seccomp-bpf -o /dev/null -e trace=fdatasync,fsync \
                      -e inject=fdatasync,fsync:delay_exit=150000 --";

/// Errs with the reason when there can be no such disk on this machine.
pub(super) fn available() -> Result<(), String> {
    find(&[("strace", "strace")])?;
    // A container may have strace and forbid tracing.
    run(&format!("{STRACE} true")).map_err(|error| error.to_string())
}

pub(super) fn prefix() -> impl Iterator<Item = String> {
    STRACE.split_whitespace().map(str::to_owned)
}
