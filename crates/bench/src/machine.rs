//! The machine: its cores, its processor's name, its disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Outcome;
use crate::result::median;

/// Which cores the server and the generator run on.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    all: CpuSet,
    /// The server's and the generator's; `None` leaves it to the system.
    cores: Option<(CpuSet, CpuSet)>,
}

impl Placement {
    /// One core each when there are exactly two and `pin` is set, otherwise wherever the system likes.
    pub(crate) fn new(pin: bool) -> Outcome<Self> {
        let all = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).map(only);
        let cores = match (usable.next(), usable.next(), usable.next()) {
            (Some(first), Some(second), None) if pin => Some((first, second)),
            _ => None,
        };
        Ok(Self { all, cores })
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.cores.is_some()
    }

    pub(crate) fn n_cores(&self) -> u32 {
        self.all.count()
    }

    /// Puts the calling thread on the generator's core.
    pub(crate) fn enter_generator(&self) -> Outcome<()> {
        let cores = self.cores.as_ref().map_or(&self.all, |(_, generator)| generator);
        Ok(sched_setaffinity(None, cores)?)
    }

    /// Runs `spawn` on the server's core; the process it starts inherits that and sees no other core.
    pub(crate) fn spawn<T>(&self, spawn: impl FnOnce() -> T) -> Outcome<T> {
        let before = sched_getaffinity(None)?;
        sched_setaffinity(None, self.cores.as_ref().map_or(&self.all, |(server, _)| server))?;
        let spawned = spawn();
        sched_setaffinity(None, &before)?;
        Ok(spawned)
    }
}

fn only(core: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(core);
    set
}

/// Time that the cores together have spent on anything but idling since the system started, to 10 ms.
pub(crate) fn busy() -> Outcome<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // What may follow is contained in these.
    let [user, nice, system, _idle, _wait, irq, softirq, steal, ..] = ticks[..] else {
        return Err("/proc/stat is not understood".into());
    };
    let ticks = user + nice + system + irq + softirq + steal;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// The processor's name, if the kernel knows it.
pub(crate) fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Median time of an append and fdatasync in `folder`: what one write of the log costs at least.
pub(crate) fn sync_time(folder: &Path) -> Outcome<Duration> {
    let mut file = File::create(folder.join("sync-probe"))?;
    let mut seconds = Vec::new();
    for _ in 0..200 {
        let begin = Instant::now();
        file.write_all(&[b'x'; 512])?;
        file.sync_data()?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(median(&seconds)))
}

/// Bytes that the files below `folder` take on the disk.
pub(crate) fn disk_bytes(folder: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut total = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::symlink_metadata(&path)?;
        total += if metadata.is_dir() { disk_bytes(&path)? } else { metadata.blocks() * 512 };
    }
    Ok(total)
}
