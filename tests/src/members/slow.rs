//! Whether a disk can be made slow on this machine.

use ferretcd_testkit::slow_disk;

use super::command::{find, run};

/// Errs with the reason when there can be no such disk on this machine.
pub(super) fn available() -> Result<(), String> {
    find(&[("strace", "strace")])?;
    // A container may have strace and forbid tracing.
    let words: Vec<String> = slow_disk::prefix().collect();
    run(&format!("{} true", words.join(" "))).map_err(|error| error.to_string())
}
