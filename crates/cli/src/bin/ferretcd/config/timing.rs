//! The flags of raft's clock.

use std::time::Duration;

use ferretcd_embed::Raft;
use ferretcd_flags::Settings;

pub(super) fn raft(settings: &Settings) -> Raft {
    Raft {
        heartbeat_interval: Duration::from_millis(settings.uint("heartbeat-interval")),
        election_timeout: Duration::from_millis(settings.uint("election-timeout")),
        initial_election_tick_advance: settings.bool("initial-election-tick-advance"),
    }
}
