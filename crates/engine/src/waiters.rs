//! Proposals whose answer is still to come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::RequestError;
use crate::replies::{Reply, ReplyTo};

/// Enough that two threads rarely meet at one.
const SHARDS: usize = 16;

#[derive(Debug)]
struct Waiter {
    since: Instant,
    /// Whether the answer may take as long as it likes.
    patient: bool,
    reply_to: ReplyTo<Reply>,
}

/// Who waits for which proposal, by request id. Bounded by what the engine admits.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    shards: [Mutex<HashMap<u64, Waiter>>; SHARDS],
    n_waiters: AtomicUsize,
}

impl Waiters {
    fn shard(&self, id: u64) -> &Mutex<HashMap<u64, Waiter>> {
        &self.shards[id as usize % SHARDS]
    }

    /// Registers interest in a proposal before it is made.
    pub(crate) fn register(
        &self,
        id: u64,
        now: Instant,
        patient: bool,
    ) -> oneshot::Receiver<Result<Reply, RequestError>> {
        let (reply_to, receiver) = oneshot::channel();
        self.shard(id).lock().insert(id, Waiter { since: now, patient, reply_to });
        self.n_waiters.fetch_add(1, Ordering::Relaxed);
        receiver
    }

    /// Takes the waiter out, if there is one: proposals of other members and of earlier lives have none.
    pub(crate) fn take(&self, id: u64) -> Option<ReplyTo<Reply>> {
        let waiter = self.shard(id).lock().remove(&id)?;
        self.n_waiters.fetch_sub(1, Ordering::Relaxed);
        Some(waiter.reply_to)
    }

    /// Takes out every waiter that is older than `timeout`, unless it is patient.
    pub(crate) fn take_overdue(&self, now: Instant, timeout: Duration) -> Vec<ReplyTo<Reply>> {
        self.take_if(|waiter| !waiter.patient && now.saturating_duration_since(waiter.since) >= timeout)
    }

    /// Takes out everybody.
    pub(crate) fn take_all(&self) -> Vec<ReplyTo<Reply>> {
        self.take_if(|_| true)
    }

    /// How many proposals wait.
    pub(crate) fn len(&self) -> usize {
        self.n_waiters.load(Ordering::Relaxed)
    }

    fn take_if(&self, condition: impl Fn(&Waiter) -> bool) -> Vec<ReplyTo<Reply>> {
        let mut taken = Vec::new();
        for shard in &self.shards {
            let mut waiters = shard.lock();
            taken
                .extend(waiters.extract_if(|_, waiter| condition(waiter)).map(|(_, waiter)| waiter.reply_to));
        }
        self.n_waiters.fetch_sub(taken.len(), Ordering::Relaxed);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_impatient_waiters_grow_old() {
        let waiters = Waiters::default();
        let (start, timeout) = (Instant::now(), Duration::from_secs(7));
        let _young = waiters.register(1, start + timeout, false);
        let _old = waiters.register(2, start, false);
        let _patient = waiters.register(3, start, true);
        assert_eq!(waiters.take_overdue(start + timeout, timeout).len(), 1);
        assert!(waiters.take(2).is_none() && waiters.take(1).is_some());
        assert_eq!(waiters.len(), 1);
        assert_eq!(waiters.take_all().len(), 1);
    }
}
