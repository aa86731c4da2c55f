//! What the kernel knows about the processes of a server, from /proc.

use std::fs;
use std::time::{Duration, Instant};

use crate::{Outcome, pause};

/// Counters that only grow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time of all its threads, in user and kernel mode, to 10 ms.
    pub(crate) cpu: Duration,
    /// Bytes of dirtied file pages, which the kernel has written to the disk or will.
    pub(crate) written_bytes: u64,
}

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// The most it has been.
    pub(crate) peak: u64,
    pub(crate) resident: u64,
    /// The part that is not a mapped file, whose pages the kernel could drop.
    pub(crate) anonymous: u64,
}

impl Usage {
    /// Of all together.
    pub(crate) fn of(pids: &[u32]) -> Outcome<Self> {
        pids.iter().try_fold(Self { cpu: Duration::ZERO, written_bytes: 0 }, |sum, pid| {
            let one = Self::of_one(*pid)?;
            Ok(Self { cpu: sum.cpu + one.cpu, written_bytes: sum.written_bytes + one.written_bytes })
        })
    }

    fn of_one(pid: u32) -> Outcome<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
        Ok(Self {
            cpu: cpu(&stat).ok_or("/proc/PID/stat is not understood")?,
            written_bytes: field(&io, "write_bytes:").ok_or("/proc/PID/io is not understood")?,
        })
    }

    /// Waits until the processes have stopped writing: their background work of the last requests is done.
    pub(crate) fn when_settled(pids: &[u32]) -> Outcome<Self> {
        const QUIET: Duration = Duration::from_millis(300);
        const WAIT_MAX: Duration = Duration::from_secs(10);
        let begin = Instant::now();
        let mut usage = Usage::of(pids)?;
        let mut last_change = begin;
        while last_change.elapsed() < QUIET && begin.elapsed() < WAIT_MAX {
            pause(Duration::from_millis(30));
            let now = Usage::of(pids)?;
            if now.written_bytes != usage.written_bytes {
                last_change = Instant::now();
            }
            usage = now;
        }
        Ok(usage)
    }

    /// Waits until the processes do next to nothing: requests that clients have given up are over, too.
    pub(crate) fn when_idle(pids: &[u32]) -> Outcome<Self> {
        const LOOK_TIME: Duration = Duration::from_millis(300);
        const WAIT_MAX: Duration = Duration::from_secs(60);
        let begin = Instant::now();
        let mut usage = Usage::when_settled(pids)?;
        loop {
            pause(LOOK_TIME);
            let now = Usage::of(pids)?;
            if now.cpu - usage.cpu < LOOK_TIME / 10 || begin.elapsed() >= WAIT_MAX {
                return Ok(now);
            }
            usage = now;
        }
    }
}

impl Memory {
    /// Of all together.
    pub(crate) fn of(pids: &[u32]) -> Outcome<Self> {
        pids.iter().try_fold(Self { peak: 0, resident: 0, anonymous: 0 }, |sum, pid| {
            let one = Self::of_one(*pid)?;
            Ok(Self {
                peak: sum.peak + one.peak,
                resident: sum.resident + one.resident,
                anonymous: sum.anonymous + one.anonymous,
            })
        })
    }

    fn of_one(pid: u32) -> Outcome<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let bytes = |name| {
            let kib: Option<u64> = field(&status, name);
            kib.map(|kib| kib * 1024).ok_or_else(|| format!("/proc/PID/status has no {name}"))
        };
        Ok(Self { peak: bytes("VmHWM:")?, resident: bytes("VmRSS:")?, anonymous: bytes("RssAnon:")? })
    }

    /// Makes the present size the peak; kernels without the feature keep the old one.
    pub(crate) fn forget_peak(pids: &[u32]) {
        for pid in pids {
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }
}

/// The length in bytes of the file that a process runs.
pub(crate) fn program_bytes(pid: u32) -> Outcome<u64> {
    Ok(fs::metadata(format!("/proc/{pid}/exe"))?.len())
}

/// The number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// Fields 14 and 15; the second one, the program's name in parentheses, may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_read() {
        let pids = [std::process::id()];
        let memory = Memory::of(&pids).unwrap();
        assert!(memory.peak >= memory.anonymous && memory.anonymous > 0);
        Usage::of(&pids).unwrap();
    }

    #[test]
    fn a_process_runs_a_file_of_some_length() {
        let file = fs::metadata(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(program_bytes(std::process::id()).unwrap(), file.len());
    }

    #[test]
    fn names_of_programs_may_look_like_fields() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 5 6 20 0 3 0";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu(stat), Some(Duration::from_secs_f64(200.0 / ticks)));
    }
}
