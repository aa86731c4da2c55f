//! The trace of a run, for comparing runs and for looking at one.

use std::io::Write as _;

use crate::event_queue::Micros;

/// Takes note of everything that happens: into a hash, by which two runs are compared, and on demand as lines.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    is_printed: bool,
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

impl Trace {
    /// One that only sums up.
    pub fn silent() -> Self {
        Self { hash: FNV_OFFSET, is_printed: false }
    }

    /// One that also prints a line for each thing to stdout.
    pub fn printed() -> Self {
        Self { is_printed: true, ..Self::silent() }
    }

    /// The sum of all that happened, in its order.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Records that something happened to `actor`. `number` is what may differ first between two runs that part.
    pub(crate) fn note(
        &mut self,
        now: Micros,
        actor: u64,
        what: &str,
        number: u64,
        detail: impl FnOnce() -> String,
    ) {
        for byte in [now, actor, number].into_iter().flat_map(u64::to_le_bytes).chain(what.bytes()) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
        if self.is_printed {
            let (seconds, micros) = (now / 1_000_000, now % 1_000_000);
            let line = format!("{seconds:3}.{micros:06} {actor:3} {what} {number} {}\n", detail());
            // The reader may have closed the pipe.
            let _ = std::io::stdout().write_all(line.as_bytes());
        }
    }
}
