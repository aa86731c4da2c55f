//! The leader's half: when leases end.
//!
//! A heap has each lease once, under a moment that is never later than its deadline. A renewal changes the
//! deadline alone, so it costs a search and a store; when the lease comes up in the heap too early it goes
//! back in under its deadline. So a lease costs the heap one step per time to live, however often it is
//! renewed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use base::LeaseId;

use crate::TTL_MAX;

/// How long the revoke of an expired lease may take before the lease is reported again.
const REVOKE_PATIENCE: Millis = 3_000;
/// A lease that has more than this left is worth a checkpoint, as often as this passes.
const CHECKPOINT_INTERVAL: Millis = 5 * 60 * 1_000;

/// Milliseconds since the clock's start: half the size of an `Instant`.
type Millis = u64;

type Queue = BinaryHeap<Reverse<(Millis, LeaseId)>>;

/// When the leases of a cluster end, as its leader counts. Knows nothing while its member doesn't lead.
///
/// Calls take the time as it is; it never goes back.
#[derive(Debug)]
pub struct Deadlines {
    start: Instant,
    is_leading: bool,
    leases: BTreeMap<LeaseId, Countdown>,
    /// When to look at a lease next. An entry that its lease doesn't know of means nothing.
    queue: Queue,
    /// When to checkpoint a lease next.
    checkpoints: Queue,
}

#[derive(Debug)]
struct Countdown {
    /// Granted, in seconds.
    ttl: i64,
    deadline: Millis,
    /// Its entry in the queue; others are of leases that had the id before.
    queued: Millis,
    /// The same among the checkpoints, if it has one.
    checkpoint: Millis,
    /// Whether it was reported as expired.
    is_expired: bool,
    /// Whether the log has a checkpoint that a renewal makes wrong.
    is_checkpointed: bool,
}

/// What became of a renewal.
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
    /// There is no such lease, or its member doesn't lead.
    Unknown,
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
    /// for the time without a leader. Leases come as id, granted seconds, and seconds left (0 if all).
    pub fn lead(
        &mut self,
        now: Instant,
        extend: Duration,
        leases: impl IntoIterator<Item = (LeaseId, i64, i64)>,
    ) {
        let from = self.millis(now + extend);
        self.is_leading = true;
        self.leases = leases
            .into_iter()
            .map(|(id, ttl, remaining)| {
                let left = if remaining > 0 { remaining } else { ttl };
                (id, Countdown::new(ttl, from, left, remaining > 0))
            })
            .collect();
        let entry = |at: Millis, id: &LeaseId| Reverse((at, *id));
        self.queue = self.leases.iter().map(|(id, lease)| entry(lease.queued, id)).collect();
        let long = self.leases.iter().filter(|(_, lease)| lease.is_long());
        self.checkpoints = long.map(|(id, lease)| entry(lease.checkpoint, id)).collect();
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
        if !self.is_leading {
            return;
        }
        let lease = Countdown::new(ttl, self.millis(now), ttl, false);
        self.queue.push(Reverse((lease.queued, id)));
        if lease.is_long() {
            self.checkpoints.push(Reverse((lease.checkpoint, id)));
        }
        self.leases.insert(id, lease);
    }

    /// A lease was revoked.
    pub fn revoke(&mut self, id: LeaseId) {
        self.leases.remove(&id);
    }

    /// Gives a lease its full time again. Costs a search among the leases.
    pub fn renew(&mut self, id: LeaseId, now: Instant) -> Renewal {
        let now = self.millis(now);
        let Some(lease) = self.leases.get_mut(&id) else { return Renewal::Unknown };
        if lease.is_expired || lease.deadline <= now {
            return Renewal::Expired;
        }
        lease.deadline = now + millis_of(lease.ttl);
        let was_checkpointed = std::mem::take(&mut lease.is_checkpointed);
        Renewal::Renewed { ttl: lease.ttl, was_checkpointed }
    }

    /// Seconds until a lease ends, without the fraction; negative while it waits for its revoke.
    pub fn remaining(&self, id: LeaseId, now: Instant) -> Option<i64> {
        let lease = self.leases.get(&id)?;
        let left = lease.deadline.cast_signed() - self.millis(now).cast_signed();
        Some(left / 1_000)
    }

    /// Leases whose time is over, at most `max`, those that waited longest first. Each is reported once and
    /// counts as expired from then on; again only if it has not been revoked some seconds later.
    pub fn expired(&mut self, now: Instant, max: usize) -> Vec<LeaseId> {
        let now = self.millis(now);
        let mut expired = Vec::new();
        while expired.len() < max
            && let Some(&Reverse((due, id))) = self.queue.peek()
            && due <= now
        {
            self.queue.pop();
            let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.queued == due) else { continue };
            let is_over = lease.is_expired || lease.deadline <= now;
            lease.queued = if is_over { now + REVOKE_PATIENCE } else { lease.deadline };
            self.queue.push(Reverse((lease.queued, id)));
            if is_over {
                lease.is_expired = true;
                expired.push(id);
            }
        }
        expired
    }

    /// When [`Deadlines::expired`] or [`Deadlines::checkpoints`] should be called next; `None` if there is
    /// nothing to wait for.
    pub fn next(&self) -> Option<Instant> {
        let due = |queue: &Queue| queue.peek().map(|Reverse((due, _))| *due);
        let next = [due(&self.queue), due(&self.checkpoints)].into_iter().flatten().min()?;
        Some(self.start + Duration::from_millis(next))
    }

    /// Leases whose remaining time is to be remembered in the log, at most `max`, with the seconds left.
    pub fn checkpoints(&mut self, now: Instant, max: usize) -> Vec<(LeaseId, i64)> {
        let now = self.millis(now);
        let mut due = Vec::new();
        while due.len() < max
            && let Some(&Reverse((at, id))) = self.checkpoints.peek()
            && at <= now
        {
            self.checkpoints.pop();
            let Some(lease) = self.leases.get_mut(&id).filter(|lease| lease.checkpoint == at) else {
                continue;
            };
            // Also while it is short of time: a renewal may make it long again.
            lease.checkpoint = now + CHECKPOINT_INTERVAL;
            self.checkpoints.push(Reverse((lease.checkpoint, id)));
            let left = lease.deadline.saturating_sub(now);
            let left = left.div_ceil(1_000).cast_signed();
            if left > 0 && left < lease.ttl {
                lease.is_checkpointed = true;
                due.push((id, left));
            }
        }
        due
    }

    fn millis(&self, at: Instant) -> Millis {
        at.saturating_duration_since(self.start).as_millis() as Millis
    }
}

impl Countdown {
    /// A lease that has `left` of its `ttl` seconds at `now`.
    fn new(ttl: i64, now: Millis, left: i64, is_checkpointed: bool) -> Self {
        let deadline = now + millis_of(left);
        let checkpoint = now + CHECKPOINT_INTERVAL;
        Self { ttl, deadline, queued: deadline, checkpoint, is_expired: false, is_checkpointed }
    }

    /// Whether it takes part in checkpoints.
    fn is_long(&self) -> bool {
        millis_of(self.ttl) > CHECKPOINT_INTERVAL
    }
}

fn millis_of(seconds: i64) -> Millis {
    seconds.clamp(0, TTL_MAX).cast_unsigned() * 1_000
}
