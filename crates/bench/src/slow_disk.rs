//! Whether a disk can be made slow here, and a program on such a disk.

use std::path::Path;
use std::process::{Command, Stdio};

/// Why there can be no such disk on this machine; nothing if there can.
pub(crate) fn available() -> Result<(), String> {
    let mut child = command(Path::new("true"));
    match child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("strace ends with {status}")),
        Err(error) => Err(format!("strace does not start: {error}")),
    }
}

/// Runs a program whose syncs take longer.
pub(crate) fn command(program: &Path) -> Command {
    let mut words = ferretcd_testkit::slow_disk::prefix();
    let mut command = Command::new(words.next().expect("the prefix is a command"));
    command.args(words).arg(program);
    command
}
