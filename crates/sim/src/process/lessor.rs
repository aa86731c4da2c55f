//! The state of the leader's countdown of leases.

use ferretcd_base::LeaseId;
use ferretcd_lease::Deadlines;

use crate::check::OpId;

#[derive(Debug)]
pub(super) struct Lessor {
    pub(super) deadlines: Deadlines,
    /// The term that is counted down for.
    pub(super) term: Option<u64>,
    /// Whether leases are about to be ended.
    pub(super) is_ending: bool,
    /// Renewals that wait for a change: their lease was over, or the member ceased to lead.
    pub(super) retrying: Vec<(OpId, LeaseId)>,
}

impl Lessor {
    pub(super) fn new(now: std::time::Instant) -> Self {
        Self { deadlines: Deadlines::new(now), term: None, is_ending: false, retrying: Vec::new() }
    }
}
