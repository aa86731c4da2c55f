//! Measured numbers: one sample per load and round, medians over the rounds.

use std::collections::BTreeMap;

use crate::options::Product;
use crate::workload::Workload;

/// One load: the workload and how many requests are outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) workload: Workload,
    pub(crate) clients: usize,
}

/// What is measured; the unit is part of the meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    /// Right responses per second.
    Rate,
    /// Latencies in microseconds.
    P50,
    P90,
    P99,
    P999,
    Max,
    /// Processor milliseconds of the server per 1000 requests.
    ServerCpu,
    /// Processor microseconds of the load generator per request.
    GeneratorCpu,
    /// KiB written to the disk per 1000 requests, background work included.
    Written,
    /// MiB of resident memory: the most, now, and now without mapped files.
    PeakMemory,
    Memory,
    AnonymousMemory,
    /// Bytes that each key has added to the resident memory.
    BytesPerKey,
    /// MiB that the data directory takes on the disk.
    Disk,
    /// MiB of the file with the keys, as the server says: before keys were deleted, and after the load.
    FileBefore,
    File,
    /// Milliseconds that a Defragment took.
    Defragment,
    /// Milliseconds from the start of the process after a crash to its first response.
    Restart,
    /// MiB of resident memory after that.
    RestartedMemory,
    /// Milliseconds from the start of the process on an empty data directory to its first response.
    Start,
    /// MiB of the program's file.
    Program,
    /// Processor time of everything else on the machine, in percent of one core. Kernel threads that write to the
    /// disk are a few; more means that the other numbers are not to be trusted.
    Others,
    /// Wrong responses, missing responses, and scheduled requests that were never sent.
    Failed,
    /// Events delivered to watchers per second, to all of them together.
    Events,
    /// Microseconds from the sending of a put until a watcher had its event.
    DelayP50,
    DelayP99,
    DelayMax,
    /// Processor microseconds of the server per delivered event. The puts are part of it.
    EventCpu,
    /// Processor microseconds of the load generator per delivered event, puts included.
    EventGeneratorCpu,
    /// Bytes on the watchers' connections per delivered event.
    EventBytes,
    /// Percent of the events that had not arrived some time after the last put.
    Undelivered,
    /// Percent of the watchers that the server had confirmed when the puts began.
    Confirmed,
    /// Puts per second on the same server and data without the watchers.
    RateWithout,
    /// Percent of that rate that the watchers take.
    Loss,
    /// MiB by which the resident memory was at most higher than before the watchers or the lists came, puts included.
    Growth,
    /// Watchers created per second.
    Created,
    /// Bytes that each watcher has added to the resident memory.
    BytesPerWatcher,
    /// Leases granted per second.
    Granted,
    /// Bytes that each lease with its key has added to the resident memory.
    BytesPerLease,
    /// Seconds from the deadline of the last lease until all leased keys were gone, or until they were waited for no
    /// longer.
    Gone,
    /// Percent of the leased keys or the watches that were left then.
    Left,
    /// Milliseconds that the revoking of a lease or a role took.
    Revoke,
    /// Milliseconds from the request that revokes a role until the last watch had its end.
    CanceledAfter,
    /// Bytes that the members of a cluster have sent to each other per request, warm-up included.
    PeerBytes,
    /// Latencies in microseconds of linearizable reads beside puts, through members whose disks are fast.
    ReadP50,
    ReadP99,
    ReadMax,
    /// The same through the member whose disk is slow.
    SlowReadP50,
    SlowReadP99,
    SlowReadMax,
    /// By how much the term rose.
    Elections,
    /// Milliseconds from the request for a list until the first byte of its message.
    FirstByte,
    FirstByteMax,
    /// Millions of bytes per second that all clients that list have received; of one client, while it waits for a list.
    ListRate,
    /// Millions of bytes that they have received.
    ListBytes,
    /// Lists that were complete.
    Lists,
    /// Lists or logins that the server has refused because it is busy.
    Refused,
    /// Clients that do not read and were dropped.
    Dropped,
    /// Processes of the server that have ended under the load.
    Killed,
    /// The 99th percentile in microseconds on the same server without the lists or logins, and what these make of it.
    QuietP99,
    TimesQuiet,
    /// Milliseconds for all pages, and for the same keys in one list; the first over the second.
    Walk,
    Pass,
    TimesPass,
    /// Requests per second on the same server without authentication, and with it in percent of that.
    RateWithoutAuth,
    OfRateWithoutAuth,
    /// Logins beside puts that had their response within the window.
    Logins,
}

impl Metric {
    /// The column's title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Metric::Rate => "requests/s",
            Metric::P50 => "p50 µs",
            Metric::P90 => "p90 µs",
            Metric::P99 => "p99 µs",
            Metric::P999 => "p99.9 µs",
            Metric::Max => "max µs",
            Metric::ServerCpu => "CPU ms/1000",
            Metric::GeneratorCpu => "generator µs",
            Metric::Written => "KiB/1000",
            Metric::PeakMemory => "peak MiB",
            Metric::Memory => "RSS MiB",
            Metric::AnonymousMemory => "anonymous MiB",
            Metric::BytesPerKey => "RSS bytes/key",
            Metric::Disk => "disk MiB",
            Metric::FileBefore => "file before MiB",
            Metric::File => "file MiB",
            Metric::Defragment => "defragment ms",
            Metric::Restart => "restart ms",
            Metric::RestartedMemory => "restarted MiB",
            Metric::Start => "start ms",
            Metric::Program => "binary MiB",
            Metric::Others => "others %",
            Metric::Failed => "failed",
            Metric::Events => "events/s",
            Metric::DelayP50 => "delay p50 µs",
            Metric::DelayP99 => "delay p99 µs",
            Metric::DelayMax => "delay max µs",
            Metric::EventCpu => "CPU µs/event",
            Metric::EventGeneratorCpu => "generator µs/event",
            Metric::EventBytes => "bytes/event",
            Metric::Undelivered => "undelivered %",
            Metric::Confirmed => "created %",
            Metric::RateWithout => "without watchers",
            Metric::Loss => "loss %",
            Metric::Growth => "growth MiB",
            Metric::Created => "watchers/s",
            Metric::BytesPerWatcher => "RSS bytes/watcher",
            Metric::Granted => "grants/s",
            Metric::BytesPerLease => "RSS bytes/lease",
            Metric::Gone => "gone after s",
            Metric::Left => "left %",
            Metric::Revoke => "revoke ms",
            Metric::CanceledAfter => "canceled after ms",
            Metric::PeerBytes => "peer bytes",
            Metric::ReadP50 => "read p50 µs",
            Metric::ReadP99 => "read p99 µs",
            Metric::ReadMax => "read max µs",
            Metric::SlowReadP50 => "slow read p50 µs",
            Metric::SlowReadP99 => "slow read p99 µs",
            Metric::SlowReadMax => "slow read max µs",
            Metric::Elections => "elections",
            Metric::FirstByte => "first byte ms",
            Metric::FirstByteMax => "first byte max ms",
            Metric::ListRate => "list MB/s",
            Metric::ListBytes => "list MB",
            Metric::Lists => "lists",
            Metric::Refused => "refused",
            Metric::Dropped => "dropped",
            Metric::Killed => "killed",
            Metric::QuietP99 => "quiet p99 µs",
            Metric::TimesQuiet => "p99/quiet",
            Metric::Walk => "pages ms",
            Metric::Pass => "one list ms",
            Metric::TimesPass => "pages/list",
            Metric::RateWithoutAuth => "without auth",
            Metric::OfRateWithoutAuth => "of no auth %",
            Metric::Logins => "logins",
        }
    }

    /// One number for several rounds.
    fn combine(self, values: &[f64]) -> f64 {
        match self {
            Metric::Max
            | Metric::Others
            | Metric::DelayMax
            | Metric::Undelivered
            | Metric::Left
            | Metric::ReadMax
            | Metric::SlowReadMax
            | Metric::FirstByteMax => values.iter().copied().fold(0.0, f64::max),
            Metric::Failed | Metric::Elections | Metric::Refused | Metric::Dropped | Metric::Killed => {
                values.iter().sum()
            }
            _ => median(values),
        }
    }
}

/// The numbers of one load in one round.
pub(crate) type Sample = BTreeMap<Metric, f64>;

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) samples: BTreeMap<(Cell, Product), Vec<Sample>>,
    /// The schedule of an open loop set the pace, not the servers: targets say nothing about it.
    pub(crate) paced: bool,
    /// What went wrong, as sentences. A run with any is not to be trusted.
    pub(crate) failures: Vec<String>,
}

impl Results {
    /// Loads with samples, in the order of the enums.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let mut cells: Vec<Cell> = self.samples.keys().map(|(cell, _)| *cell).collect();
        cells.dedup();
        cells
    }

    /// The median over the rounds; of maxima the greatest, of failures the sum.
    pub(crate) fn value(&self, cell: Cell, product: Product, metric: Metric) -> Option<f64> {
        let samples = self.samples.get(&(cell, product))?;
        let values: Vec<f64> = samples.iter().filter_map(|sample| sample.get(&metric).copied()).collect();
        (!values.is_empty()).then(|| metric.combine(&values))
    }

    /// ferretcd's value over etcd's.
    pub(crate) fn ratio(&self, cell: Cell, metric: Metric) -> Option<f64> {
        let of = |product| self.value(cell, product, metric);
        let (ours, theirs) = (of(Product::Ferretcd)?, of(Product::Etcd)?);
        (theirs > 0.0).then(|| ours / theirs)
    }
}

/// The middle value, of an even number the mean of the middle two; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => 0.0,
        (middle, 0) => f64::midpoint(values[middle - 1], values[middle]),
        (middle, _) => values[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        for (values, expected) in [
            (&[][..], 0.0),
            (&[3.0], 3.0),
            (&[9.0, 1.0], 5.0),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[4.0, 1.0, 2.0, 100.0], 3.0),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }

    #[test]
    fn failures_of_any_round_stay_visible() {
        let cell = Cell { workload: Workload::Put, clients: 1 };
        let mut results = Results::default();
        for (rate, failed) in [(10.0, 0.0), (30.0, 2.0), (20.0, 0.0)] {
            let sample = Sample::from([(Metric::Rate, rate), (Metric::Failed, failed)]);
            results.samples.entry((cell, Product::Etcd)).or_default().push(sample);
        }
        assert_eq!(results.value(cell, Product::Etcd, Metric::Rate), Some(20.0));
        assert_eq!(results.value(cell, Product::Etcd, Metric::Failed), Some(2.0));
        assert_eq!(results.ratio(cell, Metric::Rate), None);
    }
}
