//! A disk that takes long to sync, made by strace.
//!
//! `xtask/src/bench/slow_disk.rs` has the same command for the bench, and says why it has its own: what is changed in
//! one of the two is changed in both.

use super::command::{find, run};

/// What comes before the command of a member whose syncs take longer. Only the thread that syncs waits; the process
/// that is started becomes the member itself, and strace one beside it that ends when the member does.
const STRACE: &str = "strace -D -f -q --seccomp-bpf -o /dev/null -e trace=fdatasync,fsync \
                      -e inject=fdatasync,fsync:delay_exit=150000 --";

/// Why there can be no such disk here; none if there can.
pub(super) fn available() -> Result<(), String> {
    find(&[("strace", "strace")])?;
    // Containers may have it and not let it trace.
    run(&format!("{STRACE} true")).map_err(|error| error.to_string())
}

pub(super) fn prefix() -> impl Iterator<Item = String> {
    STRACE.split_whitespace().map(str::to_owned)
}
