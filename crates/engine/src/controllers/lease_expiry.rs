//! The end of leases whose time is over, and checkpoints of long ones.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::{LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest};
use ferretcd_api_proto::ferretcdpb::LeaseExpireRequest;
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
/// Leases that end with one entry: about a millisecond of work for the apply thread, in which puts wait.
const LEASES_PER_ENTRY: usize = 100;
/// Such entries on their way at once: enough that the log is never waited for.
const ENTRIES_AHEAD: usize = 4;
/// The same where each lease needs an entry, because a member may run etcd.
const SINGLE_ENTRIES_AHEAD: usize = 256;
/// Leases whose remaining time is remembered by one entry.
const CHECKPOINTS_PER_ENTRY: usize = 1000;

/// The number of leases that a proposal has ended.
type Ending<'a> = Pin<Box<dyn Future<Output = Result<usize, RequestError>> + Send + 'a>>;

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

    /// Proposes the end of all leases whose time is over.
    async fn end_expired(&self, term: u64) {
        let mut endings = VecDeque::new();
        let (per_entry, ahead) = match self.may_write_own_entries() {
            true => (LEASES_PER_ENTRY, ENTRIES_AHEAD),
            false => (1, SINGLE_ENTRIES_AHEAD),
        };
        loop {
            let is_due = self.lessor.deadlines().next().is_some_and(|next| next <= Instant::now());
            // Another member may lead already, and have renewed what is over here.
            if !is_due || !self.confirms_leadership(term).await {
                break;
            }
            let expired = self.lessor.deadlines().expired(Instant::now(), per_entry);
            if expired.is_empty() {
                // All that came up had been renewed; there may be more of them.
                yield_now().await;
                continue;
            }
            endings.push_back((expired.len(), self.end(&expired, term)));
            if endings.len() >= ahead
                && let Some((n_leases, ending)) = endings.pop_front()
            {
                self.report(n_leases, ending.await);
            }
        }
        for (n_leases, ending) in endings {
            self.report(n_leases, ending.await);
        }
    }

    /// Whether entries may be written that etcd could not read, and would stop at. A member that has not responded
    /// lately may run etcd.
    fn may_write_own_entries(&self) -> bool {
        let is_alone = self.member.membership().members().nth(1).is_none();
        is_alone || self.member.shared().are_all_ferretcd.load(Ordering::Acquire)
    }

    async fn confirms_leadership(&self, term: u64) -> bool {
        self.read_index.wait().await.is_ok() && *self.member.shared().leading.borrow() == Some(term)
    }

    /// Proposes the end of leases at once; the future waits for it. Behind a later leader it could end what has been
    /// renewed there, so it is proposed for this term alone.
    fn end<'a>(&'a self, ids: &[LeaseId], term: u64) -> Ending<'a> {
        match *ids {
            // In etcd's words, as long as they do.
            [id] => {
                let revoked = self.proposer.propose_as_leader(term, LeaseRevokeRequest { id: id.0 });
                Box::pin(async { revoked.await.map(|_| 1) })
            }
            _ => {
                let request = LeaseExpireRequest { ids: ids.iter().map(|id| id.0).collect() };
                let expired = self.proposer.propose_as_leader(term, request);
                Box::pin(async { expired.await.map(|ended| ended.len()) })
            }
        }
    }

    /// A failed proposal is made again when the countdown reports its leases once more.
    fn report(&self, leases: usize, ended: Result<usize, RequestError>) {
        match ended {
            Ok(n_ended) => self.metrics.leases_expired.inc_by(n_ended as u64),
            // A client has revoked it before.
            Err(RequestError::Apply(ApplyError::LeaseNotFound)) => {}
            // The next run of the member counts anew.
            Err(RequestError::Stopped) => {}
            Err(error) => {
                tracing::warn!(leases, %error, "failed to revoke expired leases; trying again");
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
