//! A run from its seed to its result.

use crate::cluster::Cluster;
use crate::{Profile, Report, Sabotage, Trace, Violation};

/// Runs a cluster with everything that the seed and the profile say, on the calling thread.
///
/// # Errors
///
/// The first rule that was broken.
///
/// # Panics
///
/// Where code under test panics, which is as much of a finding.
pub fn run(
    seed: u64,
    profile: Profile,
    sabotage: Option<Sabotage>,
    trace: Trace,
) -> Result<Report, Box<Violation>> {
    Cluster::new(seed, profile, sabotage, trace).run().map_err(Box::new)
}
