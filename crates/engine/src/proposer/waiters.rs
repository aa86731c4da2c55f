//! Proposals whose outcome is not known yet.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::RequestError;
use crate::replies::{Reply, ReplyTo};

/// Enough that two threads rarely meet at one.
const SHARDS: usize = 16;
/// Bytes of proposals whose outcome is not known yet; more are rejected. Bounds what a slow disk lets pile up.
const BYTES_MAX: usize = 512 << 20;

#[derive(Debug)]
struct Waiter {
    since: Instant,
    /// Bytes of the proposal.
    bytes: usize,
    reply_to: ReplyTo<Reply>,
}

/// Where the outcome of each proposal goes, by request id. Bounded by the bytes of the proposals.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    shards: [Mutex<HashMap<u64, Waiter>>; SHARDS],
    n_waiters: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiters {
    fn shard(&self, id: u64) -> &Mutex<HashMap<u64, Waiter>> {
        &self.shards[id as usize % SHARDS]
    }

    /// Registers a waiter for a proposal of so many bytes, before it is made. `None` if too much is under way.
    pub(crate) fn register(
        &self,
        id: u64,
        now: Instant,
        bytes: usize,
    ) -> Option<oneshot::Receiver<Result<Reply, RequestError>>> {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) >= BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return None;
        }
        let (reply_to, receiver) = oneshot::channel();
        self.shard(id).lock().insert(id, Waiter { since: now, bytes, reply_to });
        self.n_waiters.fetch_add(1, Ordering::Relaxed);
        Some(receiver)
    }

    /// Takes the waiter out, if there is one: proposals of other members and of earlier runs of this one have none.
    pub(crate) fn take(&self, id: u64) -> Option<ReplyTo<Reply>> {
        self.take_since(id).map(|(_, to)| to)
    }

    /// The same, with the moment since when it has waited.
    pub(crate) fn take_since(&self, id: u64) -> Option<(Instant, ReplyTo<Reply>)> {
        let waiter = self.shard(id).lock().remove(&id)?;
        Some((waiter.since, self.forget(waiter)))
    }

    /// Takes out every waiter that is older than `timeout`.
    pub(crate) fn take_overdue(&self, now: Instant, timeout: Duration) -> Vec<ReplyTo<Reply>> {
        self.take_if(|waiter| now.saturating_duration_since(waiter.since) >= timeout)
    }

    /// Takes out every waiter.
    pub(crate) fn take_all(&self) -> Vec<ReplyTo<Reply>> {
        self.take_if(|_| true)
    }

    /// How many waiters there are.
    pub(crate) fn len(&self) -> usize {
        self.n_waiters.load(Ordering::Relaxed)
    }

    fn take_if(&self, condition: impl Fn(&Waiter) -> bool) -> Vec<ReplyTo<Reply>> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut waiters = shard.lock();
            taken.extend(
                waiters.extract_if(|_, waiter| condition(waiter)).map(|(_, waiter)| self.forget(waiter)),
            );
        }
        taken
    }

    /// Settles the counts for a waiter that was taken out.
    fn forget(&self, waiter: Waiter) -> ReplyTo<Reply> {
        self.n_waiters.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(waiter.bytes, Ordering::Relaxed);
        waiter.reply_to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overdue_waiters_are_taken_out_alone() {
        let waiters = Waiters::default();
        let (start, timeout) = (Instant::now(), Duration::from_secs(7));
        let _young = waiters.register(1, start + timeout, 10);
        let _old = waiters.register(2, start, 10);
        assert_eq!(waiters.take_overdue(start + timeout, timeout).len(), 1);
        assert!(waiters.take(2).is_none() && waiters.take(1).is_some());
        let _last = waiters.register(3, start, 10);
        assert_eq!((waiters.len(), waiters.take_all().len(), waiters.len()), (1, 1, 0));
    }

    #[test]
    fn waiters_beyond_the_bound_are_rejected_until_others_are_gone() {
        let (waiters, now) = (Waiters::default(), Instant::now());
        assert!(waiters.register(1, now, BYTES_MAX + 1).is_some(), "a single one may have any size");
        assert!(waiters.register(2, now, 1).is_none());
        assert!(waiters.take(1).is_some());
        assert!(waiters.register(2, now, 1).is_some());
    }
}
