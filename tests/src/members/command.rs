//! Programs of the system.

use std::env;
use std::io;
use std::process::{Command, Stdio};

use crate::spawn_lock::with_spawn_lock;

/// Looks for programs, each with the Debian package that brings it. The error names what is missing.
pub(super) fn find(programs: &[(&str, &str)]) -> Result<(), String> {
    let path = env::var_os("PATH").unwrap_or_default();
    for (program, package) in programs {
        if !env::split_paths(&path).any(|dir| dir.join(program).is_file()) {
            return Err(format!("find `{program}` in PATH (Debian package {package})"));
        }
    }
    Ok(())
}

/// Runs a command line. Its arguments contain no blanks.
pub(super) fn run(command: &str) -> io::Result<()> {
    let mut words = command.split(' ');
    let program = words.next().expect("a command has a first word");
    let mut child = Command::new(program);
    child.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let output = with_spawn_lock(|| child.spawn())?.wait_with_output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(io::Error::other(format!("run `{command}`: {why}")))
        }
    }
}
