//! The end of watch streams that require a leader.

use tokio::time::sleep;

use crate::{MemberInfo, Watches};

/// Checks in a row that find no leader before streams are ended. Clients come back all at once, which costs
/// more than to wait whether an election is soon over.
const CHECKS: u32 = 3;

/// The controller.
pub(super) async fn run(watches: Watches, member: MemberInfo) {
    let mut check = LeaderCheck::default();
    loop {
        sleep(member.config().election).await;
        if check.is_lost(member.status().leader.is_some()) {
            watches.watching().leader_lost();
        }
    }
}

/// Counts the checks that found no leader.
#[derive(Debug, Default)]
struct LeaderCheck {
    failed: u32,
}

impl LeaderCheck {
    /// Takes in the result of one check. Returns whether streams must end now.
    fn is_lost(&mut self, has_leader: bool) -> bool {
        self.failed = if has_leader { 0 } else { self.failed.saturating_add(1) };
        self.failed >= CHECKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leader_is_lost_after_three_checks_in_a_row() {
        let mut check = LeaderCheck::default();
        let found = [false, false, true, false, false, false, false, true, false];
        let lost = found.map(|has_leader| check.is_lost(has_leader));
        assert_eq!(lost, [false, false, false, false, false, true, true, false, false]);
    }
}
