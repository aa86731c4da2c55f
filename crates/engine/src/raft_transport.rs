//! Raft messages on their way to the network, and whether heartbeats leave in time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferretcd_base::MemberId;
use ferretcd_raft_node::{Message, Transport};
use parking_lot::Mutex;
use prometheus::IntCounter;

use crate::Peers;

/// Passes messages on.
pub(crate) struct RaftTransport {
    peers: Arc<dyn Peers>,
    /// Used by the raft driver alone.
    heartbeats: Mutex<Heartbeats>,
    late: IntCounter,
}

impl RaftTransport {
    /// A leader that lets two intervals of `heartbeat` pass between heartbeats to a member is late, and counted.
    pub(crate) fn new(peers: Arc<dyn Peers>, heartbeat: Duration, late: IntCounter) -> Self {
        let heartbeats = Heartbeats { interval: heartbeat, last: HashMap::new() };
        Self { peers, heartbeats: Mutex::new(heartbeats), late }
    }
}

impl Transport for RaftTransport {
    fn send(&self, messages: Vec<Message>) {
        for message in messages.iter().filter(|message| message.is_heartbeat()) {
            let mut heartbeats = self.heartbeats.lock();
            let (to, expected) = (message.to(), 2 * heartbeats.interval);
            if let Some(exceeded) = heartbeats.exceeded(to, message.term(), Instant::now()) {
                self.late.inc();
                tracing::warn!(
                    to = %to,
                    "heartbeat-interval" = format!("{:?}", heartbeats.interval),
                    "expected-duration" = format!("{expected:?}"),
                    "exceeded-duration" = format!("{exceeded:?}"),
                    "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from \
                     slow disk"
                );
            }
        }
        self.peers.send(messages);
    }
}

/// The time of the last heartbeat to each member, and its term.
#[derive(Debug)]
struct Heartbeats {
    interval: Duration,
    last: HashMap<MemberId, (u64, Instant)>,
}

impl Heartbeats {
    /// Notes a heartbeat; returns by how much it comes later than after two intervals. The first one of a term is
    /// never late: the member may have led long ago.
    fn exceeded(&mut self, to: MemberId, term: u64, now: Instant) -> Option<Duration> {
        let (last_term, last) = self.last.insert(to, (term, now))?;
        let exceeded = now.saturating_duration_since(last).saturating_sub(2 * self.interval);
        (last_term == term && !exceeded.is_zero()).then_some(exceeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeat_is_late_after_two_intervals_of_one_term() {
        let interval = Duration::from_millis(100);
        let mut heartbeats = Heartbeats { interval, last: HashMap::new() };
        let begun = Instant::now();
        let mut check = |to, term, ms: u64, expected: Option<u64>| {
            let exceeded = heartbeats.exceeded(MemberId(to), term, begun + Duration::from_millis(ms));
            assert_eq!(exceeded, expected.map(Duration::from_millis), "to {to} at {ms} ms");
        };
        check(1, 5, 0, None);
        check(2, 5, 150, None);
        check(1, 5, 200, None);
        check(1, 5, 401, Some(1));
        check(2, 5, 401, Some(51));
        check(1, 5, 402, None);
        // Another member has led meanwhile.
        check(1, 7, 10_000, None);
        check(1, 7, 10_300, Some(100));
    }
}
