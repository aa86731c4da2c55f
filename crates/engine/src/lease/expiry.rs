//! The task that ends leases whose time is over.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ferretcd_api_proto::etcdserverpb::{LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest};
use ferretcd_api_proto::ferretcdpb::LeaseExpireRequest;
use ferretcd_apply::{Request, Response};
use ferretcd_base::LeaseId;
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval};

use crate::read::blocking;
use crate::replies::Reply;
use crate::{Engine, RequestError};

/// How often expired leases are looked for: a lease ends so much too late at most, and what its entry takes.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(100);
/// Leases that end with one entry: about a millisecond of work for the apply thread, in which puts wait.
const LEASES_PER_ENTRY: usize = 100;
/// Such entries on their way at once: enough that the log is never waited for.
const ENTRIES_AHEAD: usize = 4;
/// The same where each lease needs an entry, because a member may be an etcd.
const SINGLE_ENTRIES_AHEAD: usize = 256;
/// Leases whose remaining time is remembered by one entry.
const CHECKPOINTS_PER_ENTRY: usize = 1000;

impl Engine {
    /// Counts down while this member leads, and ends what is over.
    pub(crate) async fn expire_leases(self) {
        let mut leading = self.0.shared.leading.subscribe();
        // Right from the start: it may lead already.
        leading.mark_changed();
        let mut ticks = interval(EXPIRY_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The term that is counted down for; what was counted in an earlier one may be long renewed elsewhere.
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
                        self.checkpoint_leases().await;
                    }
                }
            }
        }
    }

    async fn count_down(&self, leads: bool) {
        if !leads {
            return self.0.lessor.resign();
        }
        let engine = self.clone();
        // Fails only if the runtime ends.
        let _ = blocking(move || {
            // The time without a leader is nobody's fault.
            engine.0.lessor.lead(engine.config().election);
            Ok(())
        })
        .await;
    }

    /// Proposes the end of all leases whose time is over.
    async fn end_expired(&self, term: u64) {
        let lessor = &self.0.lessor;
        let mut endings = VecDeque::new();
        let (per_entry, ahead) = match self.may_write_own_entries() {
            true => (LEASES_PER_ENTRY, ENTRIES_AHEAD),
            false => (1, SINGLE_ENTRIES_AHEAD),
        };
        loop {
            let is_due = lessor.deadlines.lock().next().is_some_and(|next| next <= Instant::now());
            // Another member may lead without this one having heard of it, and have renewed what is over here.
            if !is_due || !self.confirms_leadership(term).await {
                break;
            }
            let expired = lessor.deadlines.lock().expired(Instant::now(), per_entry);
            if expired.is_empty() {
                // All that came up had been renewed; there may be more of them.
                yield_now().await;
                continue;
            }
            endings.push_back((expired.len(), self.end_leases(&expired, term)));
            if endings.len() >= ahead
                && let Some((leases, ending)) = endings.pop_front()
            {
                self.note_end(leases, ending.await);
            }
        }
        for (leases, ending) in endings {
            self.note_end(leases, ending.await);
        }
    }

    async fn confirms_leadership(&self, term: u64) -> bool {
        self.read_barrier().await.is_ok() && *self.0.shared.leading.borrow() == Some(term)
    }

    /// Proposes their end at once; the future waits for it.
    fn end_leases(
        &self,
        ids: &[LeaseId],
        term: u64,
    ) -> impl Future<Output = Result<Reply, RequestError>> + use<> {
        let request = match *ids {
            // In etcd's words, as long as they do.
            [id] => Request::LeaseRevoke(LeaseRevokeRequest { id: id.0 }),
            _ => Request::LeaseExpire(LeaseExpireRequest { ids: ids.iter().map(|id| id.0).collect() }),
        };
        // Behind a later leader it could end what has been renewed there.
        self.propose_as_leader(request, term)
    }

    /// What fails is tried again when the countdown reports it once more.
    fn note_end(&self, leases: usize, ended: Result<Reply, RequestError>) {
        match ended {
            Ok(reply) => {
                if let Response::LeasesRevoked(ended) = reply.response {
                    self.metrics().leases_expired.inc_by(ended.len() as u64);
                }
            }
            // Its owner was faster.
            Err(RequestError::Apply(ferretcd_apply::ApplyError::LeaseNotFound)) => {}
            // The next life counts anew.
            Err(RequestError::Stopped) => {}
            Err(error) => {
                tracing::warn!(leases, %error, "failed to revoke expired leases; trying again");
            }
        }
    }

    /// Remembers in the log what long leases have left, so that another leader goes on from there.
    async fn checkpoint_leases(&self) {
        if !self.config().lease_checkpoint {
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
    fn propose_checkpoints(&self) -> Option<impl Future<Output = Result<Reply, RequestError>> + use<>> {
        // Locked until they are on their way: a renewal that takes one back must come behind it in the log.
        let mut deadlines = self.0.lessor.deadlines.lock();
        let due = deadlines.checkpoints(Instant::now(), CHECKPOINTS_PER_ENTRY);
        if due.is_empty() {
            return None;
        }
        let checkpoints = due.into_iter().map(|(id, left)| LeaseCheckpoint { id: id.0, remaining_ttl: left });
        let request = LeaseCheckpointRequest { checkpoints: checkpoints.collect() };
        Some(self.propose(Request::LeaseCheckpoint(request)))
    }
}
