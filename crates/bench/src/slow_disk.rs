//! A disk that takes long to sync, made by strace.
//!
//! The end-to-end suites make theirs in the same way, in `tests/src/members/slow.rs`, and what is changed in one of the
//! two is changed in both. Neither is called by the other, because this program would be built with the whole server
//! then, or the suites with everything that this program is made of.

use std::path::Path;
use std::process::{Command, Stdio};

/// How much longer each sync takes, in microseconds.
const DELAY: u32 = 150_000;

/// Why there can be no such disk on this machine; nothing if there can.
pub(crate) fn available() -> Result<(), String> {
    let mut child = command(Path::new("true"));
    match child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("strace ends with {status}")),
        Err(error) => Err(format!("strace does not start: {error}")),
    }
}

/// Runs a program whose syncs take longer. Only the thread that syncs waits for them, and other calls to the system
/// are not looked at. What is started becomes the program itself, and strace a process beside it that ends when it
/// does.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new("strace");
    command
        .args(["-D", "-f", "-q", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e"])
        .arg(format!("inject=fdatasync,fsync:delay_exit={DELAY}"))
        .arg("--")
        .arg(program);
    command
}
