//! What ferretcd promises relative to etcd.

use std::fmt;

use crate::result::{Cell, Metric};
use crate::workload::Workload;

/// A bound on the ratio of ferretcd's value to etcd's, or on the value itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// A ratio of at least the first, or a value of at least the second.
    AtLeastOrValue(f64, f64),
    ValueAtLeast(f64),
    ValueAtMost(f64),
}

impl Target {
    pub(super) fn of(cell: Cell, metric: Metric) -> Option<Self> {
        match (cell.workload, metric) {
            // One client waits for the disk most of the time, which is the same for both.
            (Workload::Put, Metric::Rate) if cell.clients == 1 => Some(Target::AtLeast(1.1)),
            (Workload::Put, Metric::Rate) => Some(Target::AtLeast(2.5)),
            (Workload::Put, Metric::ServerCpu) => Some(Target::AtMost(1.0 / 3.0)),
            (Workload::Put, Metric::Written) => Some(Target::AtMost(1.0)),
            (Workload::Range, Metric::Rate) => Some(Target::AtLeast(4.0)),
            (Workload::ListSmall, Metric::Rate) => Some(Target::AtLeast(6.0)),
            (Workload::Memory, Metric::PeakMemory) => Some(Target::AtMost(0.5)),
            (Workload::ClusterPut, Metric::Rate) if cell.clients > 1 => Some(Target::AtLeast(2.5)),
            (Workload::ClusterRange, Metric::Rate) => Some(Target::AtLeast(3.0)),
            (Workload::ClusterSlowFollower | Workload::ClusterSlowLeader, Metric::Elections) => {
                Some(Target::ValueAtMost(0.0))
            }
            // Microseconds.
            (Workload::ClusterSlowFollower | Workload::ClusterSlowLeader, Metric::ReadP99) => {
                Some(Target::ValueAtMost(5_000.0))
            }
            (Workload::Watch, Metric::Events) => Some(Target::AtLeast(5.0)),
            (Workload::GatewayPut | Workload::GatewayRange, Metric::Rate) if cell.clients == 64 => {
                Some(Target::AtLeast(6.0))
            }
            (Workload::GatewayPut | Workload::GatewayRange, Metric::ServerCpu) if cell.clients == 64 => {
                Some(Target::AtMost(0.2))
            }
            (Workload::GatewayWatch, Metric::Events) => Some(Target::AtLeast(5.0)),
            // Microseconds.
            (Workload::Metrics, Metric::P50) => Some(Target::ValueAtMost(5_000.0)),
            (Workload::WatchCatchup, Metric::Events) => Some(Target::AtLeastOrValue(5.0, 1e6)),
            (Workload::WatchBehind | Workload::WatchStalled, Metric::Loss) => Some(Target::ValueAtMost(5.0)),
            (Workload::WatchIdle | Workload::WatchIdleStreams, Metric::BytesPerWatcher) => {
                Some(Target::AtMost(0.5))
            }
            (Workload::LeaseKeepAlive, Metric::Rate) => Some(Target::AtLeast(3.0)),
            (Workload::LeaseExpiry, Metric::Gone) => Some(Target::ValueAtMost(10.0)),
            // Microseconds.
            (Workload::LeaseExpiry, Metric::P99) => Some(Target::ValueAtMost(50_000.0)),
            (workload, metric) if workload.lists() => Self::of_lists(workload, metric),
            (workload, metric) if workload.authenticates() => Self::of_auth(cell, metric),
            _ => None,
        }
    }

    fn of_auth(cell: Cell, metric: Metric) -> Option<Self> {
        match (cell.workload, metric) {
            (Workload::AuthPut | Workload::AuthRange, Metric::Rate) if cell.clients == 64 => {
                Some(Target::AtLeast(4.0))
            }
            (Workload::AuthPut | Workload::AuthRange, Metric::OfRateWithoutAuth) => {
                Some(Target::ValueAtLeast(97.0))
            }
            (Workload::AuthLoginWarm, Metric::Rate) => Some(Target::AtLeast(200.0)),
            (Workload::AuthLoginCold, Metric::Rate) => Some(Target::AtLeast(1.0)),
            (Workload::AuthLoginStorm, Metric::TimesQuiet) => Some(Target::ValueAtMost(1.2)),
            (Workload::AuthLoginStorm, Metric::Failed) => Some(Target::ValueAtMost(0.0)),
            // Milliseconds.
            (Workload::AuthRevoke, Metric::CanceledAfter) => Some(Target::ValueAtMost(100.0)),
            (Workload::AuthRevoke, Metric::Left) => Some(Target::ValueAtMost(0.0)),
            _ => None,
        }
    }

    fn of_lists(workload: Workload, metric: Metric) -> Option<Self> {
        match (workload, metric) {
            (_, Metric::Elections | Metric::Killed | Metric::Failed) => Some(Target::ValueAtMost(0.0)),
            // Milliseconds, and MiB.
            (Workload::ListOne | Workload::ListOneStream, Metric::FirstByte) => {
                Some(Target::ValueAtMost(5.0))
            }
            (Workload::ListOne | Workload::ListOneStream, Metric::Growth) => Some(Target::ValueAtMost(16.0)),
            (Workload::ListOne | Workload::ListOneStream, Metric::ListRate) => Some(Target::AtLeast(3.0)),
            (Workload::ListGroup | Workload::ListGroupStream, Metric::TimesQuiet) => {
                Some(Target::ValueAtMost(2.0))
            }
            (Workload::EventBeside, Metric::DelayP50 | Metric::DelayMax) => Some(Target::AtMost(1.0)),
            (
                Workload::ListBeside
                | Workload::ListStalled
                | Workload::ListUnread
                | Workload::ClusterListBeside
                | Workload::ClusterListStalled,
                Metric::P99 | Metric::Max,
            ) => Some(Target::AtMost(1.0)),
            // Microseconds.
            (Workload::Count | Workload::CountBeside, Metric::P50) => Some(Target::ValueAtMost(200.0)),
            // These walk over what has changed since.
            (Workload::CountOld | Workload::CountOldBeside, Metric::P50) => Some(Target::AtMost(1.0)),
            (Workload::Pages | Workload::PagesFixed, Metric::TimesPass) => Some(Target::ValueAtMost(1.5)),
            _ => None,
        }
    }

    /// Judges the numbers as they are printed: what differs in the third digit is noise.
    pub(super) fn is_met(self, value: f64, ratio: Option<f64>) -> bool {
        let rounded = |number: f64| (number * 100.0).round() / 100.0;
        let ratio = |is_good: &dyn Fn(f64) -> bool| ratio.map(rounded).is_some_and(is_good);
        match self {
            Target::AtLeast(bound) => ratio(&|ratio| ratio >= bound),
            Target::AtMost(bound) => ratio(&|ratio| ratio <= bound),
            Target::AtLeastOrValue(bound, least) => value >= least || ratio(&|ratio| ratio >= bound),
            Target::ValueAtLeast(least) => rounded(value) >= least,
            Target::ValueAtMost(most) => rounded(value) <= most,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtLeast(bound) => write!(f, ">= {bound:.2}"),
            Target::AtMost(bound) => write!(f, "<= {bound:.2}"),
            Target::AtLeastOrValue(bound, least) => write!(f, ">= {bound:.2} or {least}"),
            Target::ValueAtLeast(least) => write!(f, "{least} at least"),
            Target::ValueAtMost(most) => write!(f, "{most} at most"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_on_ratios_or_values() {
        for (target, value, ratio, expected) in [
            (Target::AtLeast(5.0), 10.0, Some(4.996), true),
            (Target::AtLeast(5.0), 10.0, Some(4.99), false),
            (Target::AtMost(0.5), 10.0, Some(0.51), false),
            // Nothing to compare with.
            (Target::AtMost(0.5), 10.0, None, false),
            (Target::AtLeastOrValue(5.0, 1e6), 2e6, None, true),
            (Target::AtLeastOrValue(5.0, 1e6), 2e5, Some(6.0), true),
            (Target::AtLeastOrValue(5.0, 1e6), 2e5, Some(4.0), false),
            (Target::ValueAtLeast(97.0), 96.996, None, true),
            (Target::ValueAtLeast(97.0), 96.9, Some(9.0), false),
            (Target::ValueAtMost(5.0), -3.0, None, true),
            (Target::ValueAtMost(5.0), 5.1, Some(0.1), false),
        ] {
            assert_eq!(target.is_met(value, ratio), expected, "{target} {value} {ratio:?}");
        }
    }
}
