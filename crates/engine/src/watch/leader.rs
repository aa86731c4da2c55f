//! When streams that require a leader must end.

/// Checks in a row that find no leader before streams are ended. Clients come back all at once, which costs
/// more than to wait whether an election is soon over.
const CHECKS: u32 = 3;

/// Counts the checks that found no leader.
#[derive(Debug, Default)]
pub(crate) struct LeaderCheck {
    failed: u32,
}

impl LeaderCheck {
    /// Takes in what one check has found. Returns whether streams must end now.
    pub(crate) fn is_lost(&mut self, has_leader: bool) -> bool {
        self.failed = if has_leader { 0 } else { self.failed.saturating_add(1) };
        self.failed >= CHECKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_checks_in_a_row_count() {
        let mut check = LeaderCheck::default();
        let found = [false, false, true, false, false, false, false, true, false];
        let lost = found.map(|has_leader| check.is_lost(has_leader));
        assert_eq!(lost, [false, false, false, false, false, true, true, false, false]);
    }
}
