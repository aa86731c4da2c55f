//! The clock of raft and its bounds.

use std::time::Duration;

/// The longest election timeout in milliseconds.
const ELECTION_TIMEOUT_MS_MAX: u128 = 50_000;

/// The clock of raft. `heartbeat_interval` is the length of a tick.
#[derive(Clone, Copy, Debug)]
pub struct Raft {
    /// Time between heartbeats; at least a millisecond.
    pub heartbeat_interval: Duration,
    /// Time without heartbeats before an election; 5 heartbeats to 50 s.
    pub election_timeout: Duration,
    /// Let the first election come early.
    pub initial_election_tick_advance: bool,
}

/// A clock that raft can't run on. The texts are etcd's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// A tick of no length.
    #[error("--heartbeat-interval must be >0 (set to 0ms)")]
    HeartbeatZero,
    /// An election timeout of no length.
    #[error("--election-timeout must be >0 (set to 0ms)")]
    ElectionZero,
    /// Too few ticks in an election timeout.
    #[error(
        "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
    )]
    ElectionTooShort {
        /// The election timeout in milliseconds.
        election: u128,
        /// The heartbeat interval in milliseconds.
        heartbeat: u128,
    },
    /// An election timeout above 50 s, in milliseconds.
    #[error("--election-timeout[{0}ms] is too long, and should be set less than 50000ms")]
    ElectionTooLong(u128),
}

impl Default for Raft {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(100),
            election_timeout: Duration::from_secs(1),
            initial_election_tick_advance: true,
        }
    }
}

impl Raft {
    /// Checks the bounds.
    pub fn check(&self) -> Result<(), TimingError> {
        let (heartbeat, election) = (self.heartbeat_interval.as_millis(), self.election_timeout.as_millis());
        if heartbeat == 0 {
            return Err(TimingError::HeartbeatZero);
        }
        if election == 0 {
            return Err(TimingError::ElectionZero);
        }
        if 5 * heartbeat > election {
            return Err(TimingError::ElectionTooShort { election, heartbeat });
        }
        if election > ELECTION_TIMEOUT_MS_MAX {
            return Err(TimingError::ElectionTooLong(election));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_election_timeout_is_five_heartbeats_to_fifty_seconds() {
        let check = |heartbeat, election, expected| {
            let [heartbeat_interval, election_timeout] = [heartbeat, election].map(Duration::from_millis);
            let raft = Raft { heartbeat_interval, election_timeout, ..Raft::default() };
            assert_eq!(raft.check(), expected, "{heartbeat} {election}");
        };
        check(100, 1_000, Ok(()));
        check(10_000, 50_000, Ok(()));
        check(0, 1_000, Err(TimingError::HeartbeatZero));
        check(100, 0, Err(TimingError::ElectionZero));
        check(201, 1_000, Err(TimingError::ElectionTooShort { election: 1_000, heartbeat: 201 }));
        check(100, 50_001, Err(TimingError::ElectionTooLong(50_001)));
    }
}
