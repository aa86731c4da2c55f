//! What ferretcd promises relative to etcd.

use std::fmt;

use super::super::result::{Cell, Metric};
use super::super::workload::Workload;

/// A bound on the ratio of ferretcd's value to etcd's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    pub(super) fn of(cell: Cell, metric: Metric) -> Option<Self> {
        match (cell.workload, metric) {
            // One client waits for the disk most of the time, which is the same for both.
            (Workload::Put, Metric::Rate) if cell.clients == 1 => Some(Target::AtLeast(1.1)),
            (Workload::Put, Metric::Rate) => Some(Target::AtLeast(2.5)),
            (Workload::Put, Metric::ServerCpu) => Some(Target::AtMost(1.0 / 3.0)),
            (Workload::Put, Metric::Written) => Some(Target::AtMost(1.0)),
            (Workload::Range | Workload::List, Metric::Rate) => Some(Target::AtLeast(4.0)),
            (Workload::Memory, Metric::PeakMemory) => Some(Target::AtMost(0.5)),
            _ => None,
        }
    }

    /// Judges the ratio as it is printed: what differs in the third digit is noise.
    pub(super) fn is_met(self, ratio: f64) -> bool {
        let ratio = (ratio * 100.0).round() / 100.0;
        match self {
            Target::AtLeast(bound) => ratio >= bound,
            Target::AtMost(bound) => ratio <= bound,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtLeast(bound) => write!(f, ">= {bound:.2}"),
            Target::AtMost(bound) => write!(f, "<= {bound:.2}"),
        }
    }
}
