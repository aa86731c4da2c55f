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

/// Bytes of the smallest budget.
const BYTES_MIN: u64 = 1 << 20;
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
pub struct ResponseShare(#[expect(dead_code, reason = "it is held")] OwnedSemaphorePermit);

impl ResponseBudget {
    /// Of at least a mebibyte, which is room for two long responses.
    pub(crate) fn new(bytes: u64) -> Self {
        let bytes = bytes.max(BYTES_MIN);
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

    /// A share if there is one at once, for a response that must not wait.
    pub(crate) fn reserve_now(&self, bytes: u64) -> Option<ResponseShare> {
        let n_permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).ok()?;
        Arc::clone(&self.permits).try_acquire_many_owned(n_permits).ok().map(ResponseShare)
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
        let budget = ResponseBudget::new(100 << 20);
        let first = budget.reserve(60 << 20).await.expect("there is room");
        assert_eq!((budget.used_bytes(), budget.total_bytes()), (60 << 20, 100 << 20));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut large, mut small) = (pin!(budget.reserve(50 << 20)), pin!(budget.reserve(1)));
        assert!(large.as_mut().poll(&mut cx).is_pending());
        assert!(small.as_mut().poll(&mut cx).is_pending(), "it came later");
        drop(first);
        let shares = (large.await.expect("there is room"), small.await.expect("there is room"));
        assert_eq!(budget.used_bytes(), (50 << 20) + (1 << 10));
        drop(shares);
        assert_eq!(budget.used_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_gets_no_share_is_one_request_too_many() {
        let budget = ResponseBudget::new(100 << 20);
        assert!(matches!(budget.reserve((100 << 20) + 1).await, Err(RequestError::NoResponseMemory)));
        let _all = budget.reserve(100 << 20).await.expect("it is just as large");
        assert!(matches!(budget.reserve(1).await, Err(RequestError::NoResponseMemory)));
        assert_eq!(budget.used_bytes(), 100 << 20);
    }
}
