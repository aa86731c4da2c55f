//! The memory for responses that are long, or that are put together before they can be sent.
//!
//! One semaphore that counts KiB. Each such response has a share as long as it is under way, also while its client does not
//! read. Shares are handed out in the order of the requests. Short responses have none: they are bounded by the number of
//! calls, and never wait here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::RequestError;

/// Bytes of a permit.
const PERMIT_BYTES: u64 = 1 << 10;
/// How long a response waits for its share.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// The budget; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ResponseBudget {
    permits: Arc<Semaphore>,
    bytes: u64,
}

/// A part of the memory for responses, given back when it is dropped.
#[derive(Debug)]
pub struct ResponseShare(OwnedSemaphorePermit);

impl ResponseShare {
    /// Both in one; they are of the same budget.
    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.0.merge(other.0);
        self
    }
}

impl ResponseBudget {
    pub(crate) fn new(bytes: u64) -> Self {
        let n_permits =
            usize::try_from(bytes / PERMIT_BYTES).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self { permits: Arc::new(Semaphore::new(n_permits)), bytes: n_permits as u64 * PERMIT_BYTES }
    }

    /// Waits for a share. A share that is larger than the budget is rejected at once, others after some seconds.
    pub(crate) async fn reserve(&self, bytes: u64) -> Result<ResponseShare, RequestError> {
        let Some(n_permits) =
            u32::try_from(bytes.div_ceil(PERMIT_BYTES)).ok().filter(|_| bytes <= self.bytes)
        else {
            return Err(RequestError::NoResponseMemory);
        };
        let permits = Arc::clone(&self.permits).acquire_many_owned(n_permits);
        match timeout(WAIT_MAX, permits).await {
            Ok(permit) => Ok(ResponseShare(permit.expect("the semaphore is never closed"))),
            Err(_) => Err(RequestError::NoResponseMemory),
        }
    }

    pub(crate) fn total_bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        self.bytes - (self.permits.available_permits() as u64 * PERMIT_BYTES).min(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shares_are_handed_out_in_order_and_come_back() {
        let budget = ResponseBudget::new(100 << 10);
        let first = budget.reserve(60 << 10).await.expect("there is room");
        assert_eq!((budget.used_bytes(), budget.total_bytes()), (60 << 10, 100 << 10));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut large, mut small) = (pin!(budget.reserve(50 << 10)), pin!(budget.reserve(1)));
        assert!(large.as_mut().poll(&mut cx).is_pending());
        assert!(small.as_mut().poll(&mut cx).is_pending(), "it came later");
        drop(first);
        let shares = (large.await.expect("there is room"), small.await.expect("there is room"));
        assert_eq!(budget.used_bytes(), 51 << 10);
        drop(shares);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_gets_no_share_is_one_request_too_many() {
        let budget = ResponseBudget::new(100 << 10);
        assert!(matches!(budget.reserve((100 << 10) + 1).await, Err(RequestError::NoResponseMemory)));
        let _all = budget.reserve(100 << 10).await.expect("it is just as large");
        assert!(matches!(budget.reserve(1).await, Err(RequestError::NoResponseMemory)));
        assert_eq!(budget.used_bytes(), 100 << 10);
    }
}
