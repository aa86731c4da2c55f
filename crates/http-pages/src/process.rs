//! What the kernel knows about this process, read from `/proc` at each scrape, but for what never changes.
//!
//! The prometheus crate has a collector of its own, which counts whole seconds of CPU only and lacks the
//! limits. Where there is no `/proc` the values that need it are absent.

use std::collections::HashMap;
use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};
use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// Collects `process_*` and `os_fd_*` for the running process.
pub(crate) struct ProcessCollector {
    descs: Vec<Desc>,
    /// Seconds since the Unix epoch. Read once: the file that has it is long on large machines.
    boot_time: Option<f64>,
}

impl ProcessCollector {
    pub(crate) fn new() -> ProcessCollector {
        let desc = |family: &Family| {
            Desc::new(family.name.into(), family.help.into(), Vec::new(), HashMap::new())
                .expect("the names of the table are valid")
        };
        let boot_time = text("/proc/stat").as_deref().and_then(boot_time);
        ProcessCollector { descs: FAMILIES.iter().map(desc).collect(), boot_time }
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let process = Process::read(self.boot_time);
        FAMILIES.iter().filter_map(|family| Some(family.sample((family.value)(&process)?))).collect()
    }
}

struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    value: fn(&Process) -> Option<f64>,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "process_resident_memory_bytes",
        help: "Memory that is resident.",
        kind: MetricType::GAUGE,
        value: |process| Some(process.stat.as_ref()?.resident_pages * page_size() as f64),
    },
    Family {
        name: "process_virtual_memory_bytes",
        help: "Memory that is mapped.",
        kind: MetricType::GAUGE,
        value: |process| Some(process.stat.as_ref()?.virtual_bytes),
    },
    Family {
        name: "process_virtual_memory_max_bytes",
        help: "The limit of mapped memory.",
        kind: MetricType::GAUGE,
        value: |_| Some(limit(Resource::As)),
    },
    Family {
        name: "process_cpu_seconds_total",
        help: "User and system CPU time spent in seconds.",
        kind: MetricType::COUNTER,
        value: |process| Some(seconds(process.stat.as_ref()?.cpu_ticks)),
    },
    Family {
        name: "process_start_time_seconds",
        help: "Start time of the process since the Unix epoch in seconds.",
        kind: MetricType::GAUGE,
        value: |process| Some(process.boot_time? + seconds(process.stat.as_ref()?.start_ticks)),
    },
    Family {
        name: "process_open_fds",
        help: "Open file descriptors.",
        kind: MetricType::GAUGE,
        value: |process| process.open_fds,
    },
    Family {
        name: "process_max_fds",
        help: "The limit of open file descriptors.",
        kind: MetricType::GAUGE,
        value: |_| Some(limit(Resource::Nofile)),
    },
    Family {
        name: "process_network_receive_bytes_total",
        help: "Bytes received over the network by the process's network namespace.",
        kind: MetricType::COUNTER,
        value: |process| Some(process.traffic?.received),
    },
    Family {
        name: "process_network_transmit_bytes_total",
        help: "Bytes sent over the network by the process's network namespace.",
        kind: MetricType::COUNTER,
        value: |process| Some(process.traffic?.sent),
    },
    Family {
        name: "os_fd_used",
        help: "Number of used file descriptors.",
        kind: MetricType::GAUGE,
        value: |process| process.open_fds,
    },
    Family {
        name: "os_fd_limit",
        help: "Limit of file descriptors.",
        kind: MetricType::GAUGE,
        value: |_| Some(limit(Resource::Nofile)),
    },
];

impl Family {
    fn sample(&self, value: f64) -> MetricFamily {
        let mut metric = Metric::default();
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        let mut family = MetricFamily::default();
        family.set_name(self.name.into());
        family.set_help(self.help.into());
        family.set_field_type(self.kind);
        family.set_metric(vec![metric]);
        family
    }
}

/// One look at the process.
struct Process {
    stat: Option<Stat>,
    /// As in the collector.
    boot_time: Option<f64>,
    open_fds: Option<f64>,
    traffic: Option<Traffic>,
}

impl Process {
    fn read(boot_time: Option<f64>) -> Process {
        Process {
            stat: text("/proc/self/stat").as_deref().and_then(Stat::parse),
            boot_time,
            open_fds: open_fds(),
            traffic: text("/proc/self/net/netstat").as_deref().and_then(Traffic::parse),
        }
    }
}

/// Since Linux 6.2 the size of the folder is the number of descriptors. Before that they have to be counted, which takes
/// some milliseconds for ten thousand connections.
fn open_fds() -> Option<f64> {
    const FOLDER: &str = "/proc/self/fd";
    match fs::metadata(FOLDER).ok()?.len() {
        // Reading the folder opens one more, which is not counted.
        0 => fs::read_dir(FOLDER).ok().map(|fds| fds.count().saturating_sub(1) as f64),
        count => Some(count as f64),
    }
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// From `/proc/self/stat`; times in clock ticks.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_ticks: f64,
    /// Since boot.
    start_ticks: f64,
    virtual_bytes: f64,
    resident_pages: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Stat> {
        // The second field is the program's name in parentheses, which may hold anything.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Stat {
            cpu_ticks: field(14)? + field(15)?,
            start_ticks: field(22)?,
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn boot_time(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// From `/proc/self/net/netstat`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Traffic {
    received: f64,
    sent: f64,
}

impl Traffic {
    fn parse(text: &str) -> Option<Traffic> {
        // One line of names, one of values, both behind the same word.
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt:"));
        let (names, values) = (lines.next()?, lines.next()?);
        let pairs = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
        let value = |name| pairs.clone().find(|(found, _)| *found == name)?.1.parse().ok();
        Some(Traffic { received: value("InOctets")?, sent: value("OutOctets")? })
    }
}

fn seconds(ticks: f64) -> f64 {
    ticks / clock_ticks_per_second() as f64
}

/// The limit now in force; no limit shows as the largest number the kernel could name.
fn limit(resource: Resource) -> f64 {
    getrlimit(resource).current.unwrap_or(u64::MAX) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_survives_any_program_name() {
        let text =
            "77 (a) b (c)) S 1 77 77 0 -1 4194560 5 0 0 0 130 20 0 0 20 0 9 0 4242 1000000 250 1844 1 1";
        let expected =
            Stat { cpu_ticks: 150.0, start_ticks: 4242.0, virtual_bytes: 1_000_000.0, resident_pages: 250.0 };
        assert_eq!(Stat::parse(text), Some(expected));
        assert_eq!(Stat::parse("77 (short) S 1 2"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn traffic_is_found_by_name() {
        let text = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 500 600\n";
        assert_eq!(Traffic::parse(text), Some(Traffic { received: 500.0, sent: 600.0 }));
        assert_eq!(Traffic::parse("IpExt: InOctets\n"), None);
    }

    #[test]
    fn boot_time_is_one_line_of_many() {
        assert_eq!(boot_time("cpu 1 2 3\nbtime 1700000000\nprocesses 5\n"), Some(1_700_000_000.0));
        assert_eq!(boot_time("cpu 1 2 3\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_all_values() {
        let families = ProcessCollector::new().collect();
        assert_eq!(families.len(), FAMILIES.len());
        let resident = families[0].get_metric()[0].get_gauge().get_value();
        assert!(resident > 100_000.0, "{resident}");
    }
}
