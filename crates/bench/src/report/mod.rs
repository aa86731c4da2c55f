//! The results as tables: ratios against their targets first, details behind.

mod json;
mod target;

use std::fmt::Write as _;

use comfy_table::{CellAlignment, Table, presets};

pub(crate) use self::json::render as json;
use self::target::Target;
use crate::options::Product;
use crate::result::{Cell, Metric, Results};
use crate::workload::Workload;

/// How tables look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// With lines, for a terminal.
    Drawn,
    /// Aligned columns, for a pipe.
    Plain,
    Markdown,
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
/// What the summary compares, where it was measured.
const COMPARED: [Metric; 4] = [Metric::Rate, Metric::ServerCpu, Metric::Written, Metric::PeakMemory];
const COMPARED_MEMORY: [Metric; 5] =
    [Metric::PeakMemory, Metric::AnonymousMemory, Metric::Disk, Metric::Restart, Metric::RestartedMemory];
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

/// More processor time than this, in percent of a core, is not the kernel's housekeeping.
const OTHERS_MAX: f64 = 20.0;

/// The whole report. `setting` are lines that say what was measured where.
pub(crate) fn text(results: &Results, setting: &[String], look: Look) -> String {
    let mut text = String::new();
    for line in setting {
        let bullet = if look == Look::Markdown { "- " } else { "" };
        let _ = writeln!(text, "{bullet}{line}");
    }
    section(&mut text, "Ratios, ferretcd to etcd", summary(results), look);
    for part in Part::ALL {
        let cells: Vec<Cell> =
            results.cells().into_iter().filter(|cell| Part::of(cell.workload) == part).collect();
        section(&mut text, part.title(), details(results, &cells, part.metrics()), look);
    }
    let most = results.samples.values().flatten().filter_map(|sample| sample.get(&Metric::Others));
    let most = most.copied().fold(0.0, f64::max);
    if most > OTHERS_MAX {
        let _ = writeln!(
            text,
            "\nOther programs took up to {most:.0} % of a core; repeat this on an idle machine."
        );
    }
    for failure in &results.failures {
        let _ = writeln!(text, "\nFAILED: {failure}");
    }
    text
}

/// A table of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Loads,
    Memory,
    Start,
    Watch,
    Idle,
    Leases,
    Clusters,
    SlowDisk,
}

impl Part {
    const ALL: [Part; 8] = [
        Part::Loads,
        Part::Memory,
        Part::Start,
        Part::Watch,
        Part::Idle,
        Part::Leases,
        Part::Clusters,
        Part::SlowDisk,
    ];

    /// Where the details of a workload belong.
    fn of(workload: Workload) -> Self {
        match (workload.watches(), workload.rests()) {
            (false, false) if workload.slows_disk() => Part::SlowDisk,
            (false, false) if workload.members() > 1 => Part::Clusters,
            // Renewals are measured like any other request.
            (false, false) if workload.leases() && workload != Workload::LeaseKeepAlive => Part::Leases,
            (false, false) if workload == Workload::Idle => Part::Start,
            (false, false) => Part::Loads,
            (false, true) => Part::Memory,
            (true, false) => Part::Watch,
            (true, true) => Part::Idle,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Part::Loads => "Loads",
            Part::Memory => "Memory",
            Part::Start => "Start, and idle afterwards",
            Part::Watch => "Watch",
            Part::Idle => "Idle watchers",
            Part::Leases => "Leases",
            Part::Clusters => "Three members",
            Part::SlowDisk => "Three members, one slow disk",
        }
    }

    fn metrics(self) -> &'static [Metric] {
        match self {
            Part::Loads => &LOAD_METRICS,
            Part::Memory => &MEMORY_METRICS,
            Part::Start => &START_METRICS,
            Part::Watch => &WATCH_METRICS,
            Part::Idle => &IDLE_METRICS,
            Part::Leases => &LEASE_METRICS,
            Part::Clusters => &CLUSTER_METRICS,
            Part::SlowDisk => &SLOW_DISK_METRICS,
        }
    }

    /// What of it the summary compares.
    fn compared(self) -> &'static [Metric] {
        match self {
            Part::Loads => &COMPARED,
            Part::Memory => &COMPARED_MEMORY,
            Part::Start => &COMPARED_START,
            Part::Watch => &COMPARED_WATCH,
            Part::Idle => &COMPARED_IDLE,
            Part::Leases => &COMPARED_LEASES,
            Part::Clusters => &COMPARED_CLUSTERS,
            Part::SlowDisk => &COMPARED_SLOW_DISK,
        }
    }
}

fn section(text: &mut String, title: &str, (header, rows): Rows, look: Look) {
    if rows.is_empty() {
        return;
    }
    let mut table = Table::new();
    table.load_style(match look {
        Look::Drawn => presets::UTF8_FULL_CONDENSED,
        Look::Plain => presets::NOTHING,
        Look::Markdown => presets::ASCII_MARKDOWN,
    });
    table.set_header(header).add_rows(rows);
    for column in table.column_iter_mut().skip(N_NAME_COLUMNS) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mark = if look == Look::Markdown { "### " } else { "" };
    let _ = writeln!(text, "\n{mark}{title}\n");
    for line in table.lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// A header and the rows below it, left-aligned in the first [`N_NAME_COLUMNS`].
type Rows = (Vec<String>, Vec<Vec<String>>);
const N_NAME_COLUMNS: usize = 3;

fn summary(results: &Results) -> Rows {
    let header = ["workload", "clients", "measure", "ferretcd", "etcd", "ratio", "target", ""];
    let mut rows = Vec::new();
    for cell in results.cells() {
        for metric in Part::of(cell.workload).compared() {
            let of = |product| results.value(cell, product, *metric);
            let (Some(ours), Some(theirs)) = (of(Product::Ferretcd), of(Product::Etcd)) else { continue };
            // A loss is a ratio by itself, and etcd's can be 0 or, by noise, less.
            let ratio = results.ratio(cell, *metric).filter(|_| *metric != Metric::Loss);
            let target = Target::of(cell, *metric).filter(|_| !results.paced);
            let verdict = match target.map(|target| target.is_met(ours, ratio)) {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            rows.push(vec![
                cell.workload.name().to_owned(),
                cell.clients.to_string(),
                metric.title().to_owned(),
                number(ours),
                number(theirs),
                ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                target.map(|target| target.to_string()).unwrap_or_default(),
                verdict.to_owned(),
            ]);
        }
    }
    (header.map(str::to_owned).to_vec(), rows)
}

fn details(results: &Results, cells: &[Cell], metrics: &[Metric]) -> Rows {
    let names = ["workload", "clients", "server"].into_iter();
    let header = names.chain(metrics.iter().map(|metric| metric.title())).map(str::to_owned).collect();
    let mut rows = Vec::new();
    for cell in cells {
        for product in [Product::Ferretcd, Product::Etcd] {
            if !results.samples.contains_key(&(*cell, product)) {
                continue;
            }
            let mut row =
                vec![cell.workload.name().to_owned(), cell.clients.to_string(), product.name().to_owned()];
            row.extend(metrics.iter().map(|metric| match results.value(*cell, product, *metric) {
                Some(value) => number(value),
                None => "-".to_owned(),
            }));
            rows.push(row);
        }
    }
    (header, rows)
}

/// Three digits or more.
fn number(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        _ if value.abs() < 10.0 => format!("{value:.2}"),
        _ if value.abs() < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Sample;

    fn results(ours: f64, theirs: f64) -> Results {
        let cell = Cell { workload: Workload::Put, clients: 64 };
        let mut results = Results::default();
        for (product, rate) in [(Product::Ferretcd, ours), (Product::Etcd, theirs)] {
            results.samples.insert((cell, product), vec![Sample::from([(Metric::Rate, rate)])]);
        }
        results
    }

    #[test]
    fn the_summary_judges_ratios() {
        for (ours, theirs, expected) in
            [(30_000.0, 10_000.0, "3.00  >= 2.50  met"), (5.0, 10.0, "0.50  >= 2.50  MISSED")]
        {
            let text = text(&results(ours, theirs), &[], Look::Plain);
            assert!(text.contains(expected), "{text}");
        }
    }

    #[test]
    fn what_a_server_leaves_behind_is_judged_by_the_time() {
        let cell = Cell { workload: Workload::LeaseExpiry, clients: 1000 };
        let mut results = Results::default();
        for (product, gone, left) in [(Product::Ferretcd, 2.5, 0.0), (Product::Etcd, 60.0, 40.0)] {
            let sample = Sample::from([(Metric::Gone, gone), (Metric::Left, left)]);
            results.samples.insert((cell, product), vec![sample]);
        }
        let text = text(&results, &[], Look::Plain);
        assert!(text.contains("10 at most  met") && text.contains("Leases"), "{text}");
    }

    #[test]
    fn failures_are_part_of_the_report() {
        let results = Results { failures: vec!["etcd ended".into()], ..Results::default() };
        assert_eq!(text(&results, &["2 cores".into()], Look::Markdown), "- 2 cores\n\nFAILED: etcd ended\n");
    }

    #[test]
    fn without_a_counterpart_there_is_no_summary() {
        let mut results = results(1.0, 1.0);
        results.samples.retain(|(_, product), _| *product == Product::Etcd);
        let text = text(&results, &[], Look::Plain);
        assert!(!text.contains("Ratios") && text.contains("Loads"), "{text}");
    }
}
