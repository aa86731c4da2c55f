//! The leader's half: when leases end.
//!
//! A queue has each lease once, under a moment that is never later than its deadline. A renewal changes the
//! deadline alone, so it costs a search and a store; when the lease comes up in the queue too early it goes
//! back in under its deadline. So a lease costs the queue one step per time to live, however often it is
//! renewed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ferretcd_base::LeaseId;

use crate::{Lease, TTL_MAX};

/// How long the revoke of an expired lease may take before the lease is reported again.
const REVOKE_PATIENCE: Millis = 3_000;
/// Leases that one search for expired ones looks at: some milliseconds, during which all other requests wait. Many
/// renewed leases come up at one moment after a change of the leader.
const LOOKS_MAX: usize = 4096;
/// A lease that has more than this left is worth a checkpoint, as often as this passes.
const CHECKPOINT_INTERVAL: Millis = 5 * 60 * 1_000;

/// Milliseconds since the clock's start: half the size of an `Instant`.
type Millis = u64;

/// Leases by the moment to look at them. Not a heap: a lease that is revoked leaves it at once, however far
/// its end.
type Queue = BTreeSet<(Millis, LeaseId)>;

/// When the leases of a cluster end, as its leader counts. Knows nothing while its member doesn't lead.
///
/// Calls take the time as it is; it never goes back.
#[derive(Debug)]
pub struct Deadlines {
    start: Instant,
    is_leading: bool,
    leases: BTreeMap<LeaseId, Countdown>,
    /// When to look at each lease next.
    queue: Queue,
    /// When to checkpoint each long lease next.
    checkpoints: Queue,
}

#[derive(Debug)]
struct Countdown {
    /// Granted, in seconds.
    ttl: i64,
    deadline: Millis,
    /// Its place in the queue: never behind the deadline, until it was reported as expired.
    queued: Millis,
    /// Its place among the checkpoints, if it is a long one.
    checkpoint: Millis,
    /// Whether it was reported as expired.
    is_expired: bool,
    /// Whether the log has a checkpoint that a renewal makes wrong, or is about to.
    is_checkpointed: bool,
}

/// The outcome of a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The lease has its full time again.
    Renewed {
        /// The time to live in seconds.
        ttl: i64,
        /// Whether there is a checkpoint of the time that was left; it should be taken back through the log,
        /// or the next leader would count from there.
        was_checkpointed: bool,
    },
    /// Its time was over, and its revoke is on the way.
    Expired,
    /// There is no such lease.
    Unknown,
    /// The member doesn't lead, so it doesn't know.
    NotLeading,
}

impl Deadlines {
    /// Those of a member that doesn't lead. No later call may be about a time before `start`.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            is_leading: false,
            leases: BTreeMap::new(),
            queue: Queue::new(),
            checkpoints: Queue::new(),
        }
    }

    /// The member begins to lead: each lease gets what it had left, as far as is known, and `extend` on top
    /// for the time without a leader.
    pub fn lead(
        &mut self,
        now: Instant,
        extend: Duration,
        leases: impl IntoIterator<Item = (LeaseId, Lease)>,
    ) {
        let from = self.millis_up(now + extend);
        let leases = leases.into_iter().map(|(id, lease)| (id, Countdown::new(lease, from)));
        self.is_leading = true;
        // Each built at once, which costs less than one by one.
        self.leases = leases.collect();
        self.queue = self.leases.iter().map(|(id, lease)| (lease.queued, *id)).collect();
        let long = self.leases.iter().filter(|(_, lease)| lease.is_long());
        self.checkpoints = long.map(|(id, lease)| (lease.checkpoint, *id)).collect();
    }

    /// The member leads no longer: nothing expires any more.
    pub fn resign(&mut self) {
        *self = Self::new(self.start);
    }

    /// Whether the member leads, as far as is known here.
    pub fn is_leading(&self) -> bool {
        self.is_leading
    }

    /// A lease was granted.
    pub fn grant(&mut self, id: LeaseId, ttl: i64, now: Instant) {
        if self.is_leading {
            let now = self.millis_up(now);
            self.insert(id, Countdown::new(Lease { ttl, remaining: 0 }, now));
        }
    }

    /// A lease was revoked.
    pub fn revoke(&mut self, id: LeaseId) {
        if let Some(lease) = self.leases.remove(&id) {
            self.queue.remove(&(lease.queued, id));
            self.checkpoints.remove(&(lease.checkpoint, id));
        }
    }

    /// Gives a lease its full time again. Costs a search among the leases.
    pub fn renew(&mut self, id: LeaseId, now: Instant) -> Renewal {
        let (now, from) = (self.millis(now), self.millis_up(now));
        if !self.is_leading {
            return Renewal::NotLeading;
        }
        let Some(lease) = self.leases.get_mut(&id) else { return Renewal::Unknown };
        if lease.is_expired || lease.deadline <= now {
            return Renewal::Expired;
        }
        lease.deadline = from + millis_of(lease.ttl);
        // Only if it had more than its full time, from a change of the leader.
        if lease.deadline < lease.queued {
            self.queue.remove(&(lease.queued, id));
            lease.queued = lease.deadline;
            self.queue.insert((lease.queued, id));
        }
        Renewal::Renewed { ttl: lease.ttl, was_checkpointed: lease.is_checkpointed }
    }

    /// Seconds until a lease ends, without the fraction; negative while it waits for its revoke.
    pub fn remaining(&self, id: LeaseId, now: Instant) -> Option<i64> {
        let lease = self.leases.get(&id)?;
        let left = lease.deadline.cast_signed() - self.millis(now).cast_signed();
        Some(left / 1_000)
    }

    /// Leases whose time is over, at most `max`, those that waited longest first. Each is reported once and
    /// counts as expired from then on; again only if it has not been revoked some seconds later.
    ///
    /// Looks at a bounded number of leases, of which all may turn out to be renewed: [`Deadlines::next`]
    /// shows whether something is left, not an empty result.
    pub fn expired(&mut self, now: Instant, max: usize) -> Vec<LeaseId> {
        let now = self.millis(now);
        let mut expired = Vec::new();
        for _ in 0..LOOKS_MAX {
            let Some(&(due, id)) = self.queue.first() else { break };
            if due > now || expired.len() == max {
                break;
            }
            self.queue.pop_first();
            let lease = self.leases.get_mut(&id).expect("the queue has no others");
            let was_renewed = !lease.is_expired && due < lease.deadline;
            lease.queued = if was_renewed { lease.deadline } else { now + REVOKE_PATIENCE };
            self.queue.insert((lease.queued, id));
            if !was_renewed {
                lease.is_expired = true;
                expired.push(id);
            }
        }
        expired
    }

    /// The earliest moment at which [`Deadlines::expired`] may have something; `None` if there is no lease.
    pub fn next(&self) -> Option<Instant> {
        let (due, _) = self.queue.first()?;
        Some(self.start + Duration::from_millis(*due))
    }

    /// All leases, those that end first at the front; `None` if the member doesn't lead.
    pub fn by_deadline(&self) -> Option<Vec<LeaseId>> {
        let mut leases: Vec<_> = self.leases.iter().map(|(id, lease)| (lease.deadline, *id)).collect();
        leases.sort_unstable();
        self.is_leading.then(|| leases.into_iter().map(|(_, id)| id).collect())
    }

    /// Leases whose remaining time is to be remembered in the log, at most `max`, with the seconds left. From
    /// now on their renewals report that; entries of such renewals must come behind in the log.
    pub fn checkpoints(&mut self, now: Instant, max: usize) -> Vec<(LeaseId, i64)> {
        let now = self.millis(now);
        let mut due = Vec::new();
        while due.len() < max
            && let Some(&(at, id)) = self.checkpoints.first()
            && at <= now
        {
            self.checkpoints.pop_first();
            let lease = self.leases.get_mut(&id).expect("the queue has no others");
            // Also while it is short of time: a renewal may make it long again.
            lease.checkpoint = now + CHECKPOINT_INTERVAL;
            self.checkpoints.insert((lease.checkpoint, id));
            let left = lease.deadline.saturating_sub(now);
            let left = left.div_ceil(1_000).cast_signed();
            if left > 0 && left < lease.ttl {
                lease.is_checkpointed = true;
                due.push((id, left));
            }
        }
        due
    }

    /// A checkpoint came out of the log: so many seconds were left, or with 0 the full time.
    pub fn checkpointed(&mut self, id: LeaseId, remaining: i64) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.is_checkpointed = remaining > 0;
        }
    }

    fn insert(&mut self, id: LeaseId, lease: Countdown) {
        // The member may begin to lead between a grant and the report of it.
        self.revoke(id);
        self.queue.insert((lease.queued, id));
        if lease.is_long() {
            self.checkpoints.insert((lease.checkpoint, id));
        }
        self.leases.insert(id, lease);
    }

    fn millis(&self, at: Instant) -> Millis {
        at.saturating_duration_since(self.start).as_millis() as Millis
    }

    /// Rounded up, for what is counted from: nothing ends early, not even by a fraction.
    fn millis_up(&self, at: Instant) -> Millis {
        at.saturating_duration_since(self.start).as_nanos().div_ceil(1_000_000) as Millis
    }
}

impl Countdown {
    /// Counts from what the log knows to be left.
    fn new(lease: Lease, now: Millis) -> Self {
        let deadline = now + millis_of(lease.counts_from());
        Self {
            ttl: lease.ttl,
            deadline,
            queued: deadline,
            checkpoint: now + CHECKPOINT_INTERVAL,
            is_expired: false,
            is_checkpointed: lease.remaining > 0,
        }
    }

    /// Whether it takes part in checkpoints.
    fn is_long(&self) -> bool {
        millis_of(self.ttl) > CHECKPOINT_INTERVAL
    }
}

fn millis_of(seconds: i64) -> Millis {
    seconds.clamp(0, TTL_MAX).cast_unsigned() * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However often leases are renewed, and however far off the end of one that is gone.
    #[test]
    fn the_queues_have_each_lease_once() {
        const LEASES: i64 = 100_000;
        const TTL: i64 = 600;
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let ids = || (0..LEASES).map(LeaseId);
        let mut deadlines = Deadlines::new(start);
        deadlines.lead(start, Duration::from_secs(10), []);
        ids().for_each(|id| deadlines.grant(id, TTL, start));
        for round in 1..5 {
            ids().for_each(|id| _ = deadlines.renew(id, after(round * 100)));
            assert_eq!(deadlines.next(), Some(after(600)), "a renewal leaves the queue alone");
        }
        while deadlines.next() == Some(after(600)) {
            assert_eq!(deadlines.expired(after(600), 500), []);
        }
        assert_eq!(deadlines.next(), Some(after(1000)), "all have been moved");
        deadlines.checkpoints(after(600), 500);
        for id in ids().skip(10) {
            deadlines.revoke(id);
            deadlines.grant(id, TTL_MAX, after(600));
            deadlines.revoke(id);
        }
        let sizes = [deadlines.leases.len(), deadlines.queue.len(), deadlines.checkpoints.len()];
        assert_eq!(sizes, [10; 3]);
    }
}
