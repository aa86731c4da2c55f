//! Processor time between two moments, by process.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Outcome;
use crate::machine::busy;
use crate::process::Usage;

/// The counters of the server, the generator and the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) usage: Usage,
    time: Instant,
    generator: Duration,
    busy: Duration,
}

/// Seconds of processor time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Costs {
    pub(super) server: f64,
    pub(super) generator: f64,
    others: f64,
    seconds: f64,
}

impl Moment {
    /// Looks at the server and at this process, which is the generator.
    pub(super) fn now(server: &[u32]) -> Outcome<Self> {
        let usage = Usage::of(server)?;
        Ok(Self { usage, time: Instant::now(), generator: own_cpu(), busy: busy()? })
    }

    /// What was spent until a later moment.
    pub(super) fn until(&self, end: &Moment) -> Costs {
        let server = (end.usage.cpu - self.usage.cpu).as_secs_f64();
        let generator = (end.generator - self.generator).as_secs_f64();
        let others = ((end.busy - self.busy).as_secs_f64() - server - generator).max(0.0);
        Costs { server, generator, others, seconds: (end.time - self.time).as_secs_f64() }
    }
}

impl Costs {
    /// Everything else on the machine, in percent of one core.
    pub(super) fn others_percent(&self) -> f64 {
        self.others * 100.0 / self.seconds
    }
}

/// Processor time of all threads of this process.
fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}
