//! How everything here ends, and how it waits.

use std::time::Duration;

/// Errors are for the person at the terminal only.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Waits where there is nothing to wait for: the numbers in /proc, and another program's opening of a port.
pub(crate) fn pause(time: Duration) {
    #[expect(clippy::disallowed_methods, reason = "neither announces its changes")]
    std::thread::sleep(time);
}
