//! What a suite reports besides passing and failing.

use std::io::Write as _;

use crate::Cluster;

/// Reports on stderr, past the capturing of the test harness, that something was not run.
pub fn skipped(what: &str, reason: &str) {
    // One write, so that notices of parallel tests don't mix. If stderr is closed, only the notice is lost.
    let _ = std::io::stderr().write_all(format!("SKIPPED {what}: {reason}\n").as_bytes());
}

/// Reports a measurement on stderr. It never fails a test.
pub fn measured(what: &str, value: &str) {
    let _ = std::io::stderr().write_all(format!("MEASURED {what}: {value}\n").as_bytes());
}

/// Whether the target is available on this machine; reports a skip if not. A missing ferretcd is a failure.
pub fn available<C: Cluster>(what: &str) -> bool {
    match C::available() {
        Ok(()) => true,
        Err(missing) if C::KIND.reference => {
            skipped(&format!("{what} on {}", C::KIND.name), &format!("failed to {missing}"));
            false
        }
        Err(missing) => panic!("failed to {missing}"),
    }
}

/// Writes something to stderr, past the capturing of the test harness.
pub(crate) fn shown(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
