//! Which tables the report has, and what is in them.

use crate::result::Metric;
use crate::workload::Workload;

/// A table of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Loads,
    Memory,
    Defrag,
    Start,
    Watch,
    Idle,
    Leases,
    OneList,
    BesideLists,
    Counts,
    Pages,
    Auth,
    Http,
    Clusters,
    SlowDisk,
}

impl Part {
    pub(super) const ALL: [Part; 15] = [
        Part::Loads,
        Part::Memory,
        Part::Defrag,
        Part::Start,
        Part::Watch,
        Part::Idle,
        Part::Leases,
        Part::OneList,
        Part::BesideLists,
        Part::Counts,
        Part::Pages,
        Part::Auth,
        Part::Http,
        Part::Clusters,
        Part::SlowDisk,
    ];

    /// Where the details of a workload belong.
    pub(super) fn of(workload: Workload) -> Self {
        match (workload.watches(), workload.rests()) {
            (false, false) if workload.lists() => Self::of_lists(workload),
            (false, false) if workload.authenticates() => Part::Auth,
            (false, false) if workload.is_http() => Part::Http,
            (false, false) if workload.slows_disk() => Part::SlowDisk,
            (false, false) if workload.members() > 1 => Part::Clusters,
            // Renewals are measured like any other request.
            (false, false) if workload.leases() && workload != Workload::LeaseKeepAlive => Part::Leases,
            (false, false) if workload == Workload::Defrag => Part::Defrag,
            (false, false) if workload == Workload::Idle => Part::Start,
            (false, false) => Part::Loads,
            (false, true) => Part::Memory,
            (true, false) => Part::Watch,
            (true, true) => Part::Idle,
        }
    }

    fn of_lists(workload: Workload) -> Self {
        match workload {
            Workload::ListOne | Workload::ListOneStream => Part::OneList,
            Workload::Count | Workload::CountBeside | Workload::CountOld | Workload::CountOldBeside => {
                Part::Counts
            }
            Workload::Pages | Workload::PagesFixed => Part::Pages,
            _ => Part::BesideLists,
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Part::Loads => "Loads",
            Part::Memory => "Memory",
            Part::Defrag => "Deleted keys",
            Part::Start => "Start, and idle afterwards",
            Part::Watch => "Watch",
            Part::Idle => "Idle watchers",
            Part::Leases => "Leases",
            Part::OneList => "One large list",
            Part::BesideLists => "Beside large lists",
            Part::Counts => "Counts",
            Part::Pages => "Pages",
            Part::Auth => "Users and logins",
            Part::Http => "HTTP without gRPC",
            Part::Clusters => "Three members",
            Part::SlowDisk => "Three members, one slow disk",
        }
    }

    pub(super) fn metrics(self) -> &'static [Metric] {
        match self {
            Part::Loads | Part::Http => &LOAD_METRICS,
            Part::Memory => &MEMORY_METRICS,
            Part::Defrag => &DEFRAG_METRICS,
            Part::Start => &START_METRICS,
            Part::Watch => &WATCH_METRICS,
            Part::Idle => &IDLE_METRICS,
            Part::Leases => &LEASE_METRICS,
            Part::OneList => &ONE_LIST_METRICS,
            Part::BesideLists => &BESIDE_LISTS_METRICS,
            Part::Counts => &COUNT_METRICS,
            Part::Pages => &PAGE_METRICS,
            Part::Auth => &AUTH_METRICS,
            Part::Clusters => &CLUSTER_METRICS,
            Part::SlowDisk => &SLOW_DISK_METRICS,
        }
    }

    /// What of it the summary compares.
    pub(super) fn compared(self) -> &'static [Metric] {
        match self {
            Part::Loads => &COMPARED,
            Part::Memory => &COMPARED_MEMORY,
            Part::Defrag => &COMPARED_DEFRAG,
            Part::Start => &COMPARED_START,
            Part::Watch => &COMPARED_WATCH,
            Part::Idle => &COMPARED_IDLE,
            Part::Leases => &COMPARED_LEASES,
            Part::OneList => &COMPARED_ONE_LIST,
            Part::BesideLists => &COMPARED_BESIDE_LISTS,
            Part::Counts => &COMPARED_COUNTS,
            Part::Pages => &COMPARED_PAGES,
            Part::Auth => &COMPARED_AUTH,
            Part::Http => &COMPARED_HTTP,
            Part::Clusters => &COMPARED_CLUSTERS,
            Part::SlowDisk => &COMPARED_SLOW_DISK,
        }
    }
}

const LOAD_METRICS: [Metric; 12] = [
    Metric::Rate,
    Metric::P50,
    Metric::P90,
    Metric::P99,
    Metric::P999,
    Metric::Max,
    Metric::ServerCpu,
    Metric::Written,
    Metric::PeakMemory,
    Metric::GeneratorCpu,
    Metric::Others,
    Metric::Failed,
];
const MEMORY_METRICS: [Metric; 9] = [
    Metric::PeakMemory,
    Metric::Memory,
    Metric::AnonymousMemory,
    Metric::BytesPerKey,
    Metric::Disk,
    Metric::Restart,
    Metric::RestartedMemory,
    Metric::Rate,
    Metric::Failed,
];
const DEFRAG_METRICS: [Metric; 12] = [
    Metric::Defragment,
    Metric::FileBefore,
    Metric::File,
    Metric::Rate,
    Metric::P50,
    Metric::P90,
    Metric::P99,
    Metric::P999,
    Metric::Max,
    Metric::PeakMemory,
    Metric::Others,
    Metric::Failed,
];
const START_METRICS: [Metric; 5] =
    [Metric::Program, Metric::Start, Metric::Memory, Metric::AnonymousMemory, Metric::Failed];
const WATCH_METRICS: [Metric; 19] = [
    Metric::Events,
    Metric::DelayP50,
    Metric::DelayP99,
    Metric::DelayMax,
    Metric::Undelivered,
    Metric::EventCpu,
    Metric::EventBytes,
    Metric::Confirmed,
    Metric::Rate,
    Metric::RateWithout,
    Metric::Loss,
    Metric::P50,
    Metric::P99,
    Metric::Max,
    Metric::PeakMemory,
    Metric::Growth,
    Metric::EventGeneratorCpu,
    Metric::Others,
    Metric::Failed,
];
const IDLE_METRICS: [Metric; 5] =
    [Metric::BytesPerWatcher, Metric::Memory, Metric::AnonymousMemory, Metric::Created, Metric::Failed];
const LEASE_METRICS: [Metric; 12] = [
    Metric::Granted,
    Metric::BytesPerLease,
    Metric::Gone,
    Metric::Left,
    Metric::Revoke,
    Metric::Rate,
    Metric::P50,
    Metric::P99,
    Metric::Max,
    Metric::PeakMemory,
    Metric::Others,
    Metric::Failed,
];
const CLUSTER_METRICS: [Metric; 12] = [
    Metric::Rate,
    Metric::P50,
    Metric::P90,
    Metric::P99,
    Metric::Max,
    Metric::ServerCpu,
    Metric::PeerBytes,
    Metric::Written,
    Metric::PeakMemory,
    Metric::GeneratorCpu,
    Metric::Others,
    Metric::Failed,
];
const SLOW_DISK_METRICS: [Metric; 12] = [
    Metric::Rate,
    Metric::P50,
    Metric::P99,
    Metric::Max,
    Metric::ReadP50,
    Metric::ReadP99,
    Metric::ReadMax,
    Metric::SlowReadP50,
    Metric::SlowReadP99,
    Metric::SlowReadMax,
    Metric::Elections,
    Metric::Failed,
];
const ONE_LIST_METRICS: [Metric; 10] = [
    Metric::FirstByte,
    Metric::FirstByteMax,
    Metric::ListRate,
    Metric::Lists,
    Metric::ServerCpu,
    Metric::PeakMemory,
    Metric::Growth,
    Metric::Refused,
    Metric::Others,
    Metric::Failed,
];
const BESIDE_LISTS_METRICS: [Metric; 20] = [
    Metric::Rate,
    Metric::P50,
    Metric::P99,
    Metric::Max,
    Metric::QuietP99,
    Metric::TimesQuiet,
    Metric::DelayP50,
    Metric::DelayP99,
    Metric::DelayMax,
    Metric::ListRate,
    Metric::ListBytes,
    Metric::Lists,
    Metric::Refused,
    Metric::Dropped,
    Metric::Killed,
    Metric::PeakMemory,
    Metric::Growth,
    Metric::Elections,
    Metric::Others,
    Metric::Failed,
];
const COUNT_METRICS: [Metric; 9] = [
    Metric::Rate,
    Metric::P50,
    Metric::P90,
    Metric::P99,
    Metric::P999,
    Metric::Max,
    Metric::PeakMemory,
    Metric::Others,
    Metric::Failed,
];
const PAGE_METRICS: [Metric; 8] = [
    Metric::Walk,
    Metric::Pass,
    Metric::TimesPass,
    Metric::P50,
    Metric::P99,
    Metric::Max,
    Metric::PeakMemory,
    Metric::Failed,
];
const AUTH_METRICS: [Metric; 19] = [
    Metric::Rate,
    Metric::RateWithoutAuth,
    Metric::OfRateWithoutAuth,
    Metric::P50,
    Metric::P99,
    Metric::Max,
    Metric::QuietP99,
    Metric::TimesQuiet,
    Metric::Logins,
    Metric::Refused,
    Metric::Revoke,
    Metric::CanceledAfter,
    Metric::Left,
    Metric::ServerCpu,
    Metric::Written,
    Metric::PeakMemory,
    Metric::GeneratorCpu,
    Metric::Others,
    Metric::Failed,
];
/// What the summary compares, where it was measured.
const COMPARED: [Metric; 4] = [Metric::Rate, Metric::ServerCpu, Metric::Written, Metric::PeakMemory];
const COMPARED_HTTP: [Metric; 5] =
    [Metric::Rate, Metric::P50, Metric::P99, Metric::ServerCpu, Metric::PeakMemory];
const COMPARED_MEMORY: [Metric; 5] =
    [Metric::PeakMemory, Metric::AnonymousMemory, Metric::Disk, Metric::Restart, Metric::RestartedMemory];
const COMPARED_DEFRAG: [Metric; 6] =
    [Metric::Defragment, Metric::File, Metric::Rate, Metric::P50, Metric::P99, Metric::Max];
const COMPARED_START: [Metric; 4] = [Metric::Program, Metric::Start, Metric::Memory, Metric::AnonymousMemory];
const COMPARED_WATCH: [Metric; 8] = [
    Metric::Events,
    Metric::DelayP50,
    Metric::DelayP99,
    Metric::EventCpu,
    Metric::Rate,
    Metric::Loss,
    Metric::PeakMemory,
    Metric::Growth,
];
const COMPARED_IDLE: [Metric; 3] = [Metric::BytesPerWatcher, Metric::Memory, Metric::Created];
const COMPARED_CLUSTERS: [Metric; 6] =
    [Metric::Rate, Metric::P50, Metric::P99, Metric::ServerCpu, Metric::PeerBytes, Metric::PeakMemory];
const COMPARED_SLOW_DISK: [Metric; 6] =
    [Metric::P50, Metric::P99, Metric::ReadP50, Metric::ReadP99, Metric::SlowReadP99, Metric::Elections];
const COMPARED_LEASES: [Metric; 8] = [
    Metric::Granted,
    Metric::BytesPerLease,
    Metric::Gone,
    Metric::Left,
    Metric::Revoke,
    Metric::P50,
    Metric::P99,
    Metric::Max,
];
const COMPARED_ONE_LIST: [Metric; 5] =
    [Metric::FirstByte, Metric::ListRate, Metric::ServerCpu, Metric::PeakMemory, Metric::Growth];
const COMPARED_BESIDE_LISTS: [Metric; 13] = [
    Metric::Rate,
    Metric::P50,
    Metric::P99,
    Metric::Max,
    Metric::TimesQuiet,
    Metric::DelayP50,
    Metric::DelayMax,
    Metric::ListRate,
    Metric::Refused,
    Metric::Killed,
    Metric::Growth,
    Metric::Elections,
    Metric::Failed,
];
const COMPARED_COUNTS: [Metric; 3] = [Metric::P50, Metric::P99, Metric::Max];
const COMPARED_PAGES: [Metric; 4] = [Metric::Walk, Metric::Pass, Metric::TimesPass, Metric::PeakMemory];
const COMPARED_AUTH: [Metric; 12] = [
    Metric::Rate,
    Metric::OfRateWithoutAuth,
    Metric::P50,
    Metric::P99,
    Metric::TimesQuiet,
    Metric::Logins,
    Metric::Revoke,
    Metric::CanceledAfter,
    Metric::Left,
    Metric::ServerCpu,
    Metric::PeakMemory,
    Metric::Failed,
];
