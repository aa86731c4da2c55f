//! Clients that send requests to any member of a cluster, and note the responses for
//! [`ferretcd_testkit::history`].

mod truth;
mod watcher;
mod workload;

pub use ferretcd_testkit::history::{History, Summary, Truth, check};

pub use self::truth::read_truth;
pub use self::workload::{Running, Workload};
