//! The times to live that clients were promised.

use std::collections::BTreeMap;

use super::Violation;
use crate::event_queue::Micros;

#[derive(Clone, Copy, Debug, Default)]
struct Promise {
    until: Micros,
    /// When it was ended because its time was over.
    ended: Option<Micros>,
}

/// A client relies on a time to live from the moment of its request. Only its own revoke ends the lease earlier.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    leases: BTreeMap<i64, Promise>,
}

impl Promises {
    /// A reply promised a client, which had sent its request at `requested_at`, that its lease lives that long from then on.
    pub(crate) fn promised(&mut self, lease: i64, requested_at: Micros, ttl: i64) -> Result<(), Violation> {
        let promise = self.leases.entry(lease).or_default();
        promise.until = promise.until.max(requested_at + ttl.cast_unsigned() * 1_000_000);
        promise.check(lease)
    }

    /// A lease is gone. `is_wanted` if a client revoked it.
    pub(crate) fn ended(&mut self, lease: i64, now: Micros, is_wanted: bool) -> Result<(), Violation> {
        let promise = self.leases.entry(lease).or_default();
        if !is_wanted {
            promise.ended = Some(now);
        }
        promise.check(lease)
    }

    /// Leases that were ended because their time was over.
    pub(crate) fn n_expired(&self) -> usize {
        self.leases.values().filter(|promise| promise.ended.is_some()).count()
    }
}

impl Promise {
    fn check(&self, lease: i64) -> Result<(), Violation> {
        match self.ended {
            Some(ended) if ended < self.until => Err(Violation::Expired { lease, until: self.until, ended }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Micros = 1_000_000;

    fn ended_at(ended: Micros, is_wanted: bool) -> Result<(), Violation> {
        let mut promises = Promises::default();
        promises.promised(7, SECOND, 10)?;
        promises.ended(7, ended, is_wanted)
    }

    #[test]
    fn only_its_client_ends_a_lease_before_its_time() {
        assert_eq!(ended_at(11 * SECOND, false), Ok(()));
        assert_eq!(ended_at(2 * SECOND, true), Ok(()));
        let (until, ended) = (11 * SECOND, 11 * SECOND - 1);
        assert_eq!(ended_at(ended, false), Err(Violation::Expired { lease: 7, until, ended }));
    }

    #[test]
    fn a_promise_that_arrives_late_counts() {
        let mut promises = Promises::default();
        assert_eq!(promises.ended(7, 5 * SECOND, false), Ok(()));
        assert!(promises.promised(7, 2 * SECOND, 10).is_err(), "the request came before the end");
    }
}
