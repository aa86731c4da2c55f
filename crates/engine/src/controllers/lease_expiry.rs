//! The end of leases whose time is over, and checkpoints of long ones.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::{
    LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest, LeaseRevokeResponse,
};
use ferretcd_apply::ApplyError;
use ferretcd_base::LeaseId;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};

use crate::lease::lessor::Lessor;
use crate::metrics::Metrics;
use crate::parts::Parts;
use crate::proposer::Proposer;
use crate::read_index::ReadIndex;
use crate::replies::blocking;
use crate::{Caller, MemberInfo, RequestError};

/// How often expired leases are looked for: a lease ends so much too late at most, and what its entry takes.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);
/// Leases whose end is proposed after one check that this member still leads.
const REVOKES_PER_CHECK: usize = 100;
/// Such proposals that are on their way: enough that the log is never waited for, and some milliseconds of work for the
/// apply thread, in which puts wait.
const REVOKES_IN_FLIGHT_MAX: usize = 400;
/// Leases whose remaining time is remembered by one entry.
const CHECKPOINTS_PER_ENTRY: usize = 1000;

/// Leases that could not be ended, and why the first of them could not.
#[derive(Default)]
struct Failed {
    leases: usize,
    error: Option<RequestError>,
}

/// The controller. Counts down while this member leads, and ends what is over.
pub(super) struct LeaseExpiry {
    proposer: Proposer,
    read_index: ReadIndex,
    lessor: Arc<Lessor>,
    metrics: Arc<Metrics>,
    member: MemberInfo,
}

impl LeaseExpiry {
    pub(super) fn new(parts: &Parts) -> Self {
        Self {
            proposer: parts.proposer.clone(),
            read_index: parts.read_index.clone(),
            lessor: Arc::clone(&parts.channels.lessor),
            metrics: Arc::clone(&parts.channels.metrics),
            member: parts.member.clone(),
        }
    }

    pub(super) async fn run(self) {
        let mut leading = self.member.shared().leading.subscribe();
        // Right from the start: the member may lead already.
        leading.mark_changed();
        let mut ticks = interval(EXPIRY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The term of the countdown. Leases of an earlier countdown may have been renewed at another leader.
        let mut counting = None;
        loop {
            tokio::select! {
                changed = leading.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    counting = *leading.borrow_and_update();
                    self.count_down(counting.is_some()).await;
                }
                _ = ticks.tick() => {
                    if let Some(term) = counting {
                        self.end_expired(term).await;
                        self.checkpoint().await;
                    }
                }
            }
        }
    }

    async fn count_down(&self, leads: bool) {
        if !leads {
            return self.lessor.resign();
        }
        // Clients could not renew while there was no leader.
        let (lessor, extend) = (Arc::clone(&self.lessor), self.member.config().election);
        // Fails only if the runtime ends.
        let _ = blocking(move || {
            lessor.lead(extend);
            Ok(())
        })
        .await;
    }

    /// Proposes the end of all leases whose time is over. Those for which that fails come up again in a while.
    async fn end_expired(&self, term: u64) {
        let mut revokes = VecDeque::new();
        let mut failed = Failed::default();
        // What rejects one would reject the next ones, too.
        while failed.leases == 0 {
            let is_due = self.lessor.deadlines().next().is_some_and(|next| next <= Instant::now());
            // Another member may lead already, and have renewed what is over here.
            if !is_due || !self.confirms_leadership(term).await {
                break;
            }
            let expired = self.lessor.deadlines().expired(Instant::now(), REVOKES_PER_CHECK);
            if expired.is_empty() {
                // All that came up had been renewed; there may be more of them.
                yield_now().await;
                continue;
            }
            // Behind a later leader an entry could end what has been renewed there, so it is proposed for this term alone.
            let revoke = |id: LeaseId| self.proposer.propose_as_leader(term, LeaseRevokeRequest { id: id.0 });
            revokes.extend(expired.into_iter().map(revoke));
            while revokes.len() > REVOKES_IN_FLIGHT_MAX
                && let Some(revoke) = revokes.pop_front()
            {
                self.count(revoke.await, &mut failed);
            }
        }
        for revoke in revokes {
            self.count(revoke.await, &mut failed);
        }
        if let Failed { leases, error: Some(error) } = failed {
            tracing::warn!(leases, %error, "failed to revoke expired leases; trying again");
        }
    }

    async fn confirms_leadership(&self, term: u64) -> bool {
        self.read_index.wait().await.is_ok() && *self.member.shared().leading.borrow() == Some(term)
    }

    fn count(&self, revoked: Result<LeaseRevokeResponse, RequestError>, failed: &mut Failed) {
        match revoked {
            Ok(_) => self.metrics.leases_expired.inc(),
            // A client has revoked it before.
            Err(RequestError::Apply(ApplyError::LeaseNotFound)) => {}
            // The next run of the member counts anew.
            Err(RequestError::Stopped) => {}
            Err(error) => {
                failed.leases += 1;
                failed.error.get_or_insert(error);
            }
        }
    }

    /// Remembers in the log what long leases have left, so that another leader goes on from there.
    async fn checkpoint(&self) {
        if !self.member.config().lease_checkpoint {
            return;
        }
        while let Some(proposed) = self.propose_checkpoints() {
            if let Err(error) = proposed.await {
                tracing::warn!(%error, "failed to checkpoint leases; trying again in some minutes");
                return;
            }
        }
    }

    /// `None` if nothing is due.
    fn propose_checkpoints(&self) -> Option<impl Future<Output = Result<(), RequestError>>> {
        // Locked until they are on their way: a renewal that takes one back must come behind it in the log.
        let mut deadlines = self.lessor.deadlines();
        let due = deadlines.checkpoints(Instant::now(), CHECKPOINTS_PER_ENTRY);
        if due.is_empty() {
            return None;
        }
        let checkpoints = due.into_iter().map(|(id, left)| LeaseCheckpoint { id: id.0, remaining_ttl: left });
        let request = LeaseCheckpointRequest { checkpoints: checkpoints.collect() };
        Some(self.proposer.propose(&Caller::MEMBER, request))
    }
}
