//! What the measuring examples share.

use std::error::Error;
use std::io::{self, Write};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub(crate) fn say(line: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Physical memory of this process; 0 where the system doesn't show it.
pub(crate) fn resident_bytes() -> Result<usize> {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.map_or(Ok(0), str::parse::<usize>)? << 10)
}
