//! Times that travel in values: the generator writes and reads them, so one clock is enough.

use std::sync::LazyLock;
use std::time::Instant;

/// Bytes of a stamp.
pub(crate) const STAMP_BYTES: usize = 8;

/// What all stamps count from; no instant that is stamped is earlier.
static ZERO: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds from a moment at the start of the process until `instant`.
pub(crate) fn nanos(instant: Instant) -> u64 {
    u64::try_from(instant.saturating_duration_since(*ZERO).as_nanos()).expect("not 500 years")
}

/// The stamp of an instant.
pub(crate) fn write(instant: Instant) -> [u8; STAMP_BYTES] {
    nanos(instant).to_le_bytes()
}

/// The [`nanos`] of the stamp that a value begins with.
pub(crate) fn read(value: &[u8]) -> Option<u64> {
    value.first_chunk().map(|stamp| u64::from_le_bytes(*stamp))
}
