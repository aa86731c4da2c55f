//! Requests that have waited too long.

use std::time::{Duration, Instant};

use ferretcd_raft_node::NodeHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::channels::Channels;
use crate::parts::Parts;
use crate::{MemberInfo, RequestError};

/// How often overdue requests are looked for, and how long a read index is waited for.
pub(crate) const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// The controller. Fails requests that are overdue, retries requests for a read index, and forgets tokens.
pub(super) struct Timeouts {
    node: NodeHandle,
    channels: Channels,
    member: MemberInfo,
}

impl Timeouts {
    pub(super) fn new(parts: &Parts) -> Self {
        let (node, channels) = (parts.node.clone(), parts.channels.clone());
        Self { node, channels, member: parts.member.clone() }
    }

    pub(super) async fn run(self) {
        let mut ticks = interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            self.sweep_reads(now);
            self.sweep_proposals(now);
            self.channels.tokens.remove_expired(now);
        }
    }

    fn sweep_reads(&self, now: Instant) {
        let Channels { read_rounds, submissions, metrics, .. } = &self.channels;
        if let Some(token) = read_rounds.retry(now, SWEEP_INTERVAL) {
            metrics.slow_reads.inc();
            // A rejected request is retried at the next sweep.
            let _ = self.node.read_index(token);
        }
        // For reads behind a round whose reads have all given up.
        submissions.wake();
        for read in read_rounds.take_overdue(now, self.member.config().request_timeout()) {
            metrics.failed_reads.inc();
            let _ = read.send(Err(RequestError::Timeout));
        }
    }

    fn sweep_proposals(&self, now: Instant) {
        let timeout = self.member.config().request_timeout();
        let leader_lost = *self.member.shared().leader_lost.lock();
        let was_lost = leader_lost.is_some_and(|at| now.saturating_duration_since(at) < 2 * timeout);
        for proposal in self.channels.waiters.take_overdue(now, timeout) {
            self.channels.metrics.proposals_failed.inc();
            let error = match was_lost {
                _ if self.member.status().leader.is_none() => RequestError::TimeoutNoLeader,
                true => RequestError::TimeoutLeaderLost,
                false => RequestError::Timeout,
            };
            let _ = proposal.send(Err(error));
        }
    }
}
