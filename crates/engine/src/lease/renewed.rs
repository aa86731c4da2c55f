//! The leases that a stream of keep-alives has renewed, and whether it still may.

use std::collections::BTreeSet;
use std::task::{Context, Poll};

use ferretcd_base::LeaseId;

use super::Leases;
use crate::auth::rights_watch::RightsWatch;
use crate::{Caller, RequestError};

/// Leases that are remembered before those that have ended are forgotten for the first time.
const IDS_MIN: usize = 64;

/// What a stream of keep-alives relies on.
#[derive(Debug)]
pub struct RenewedLeases {
    leases: Leases,
    ids: BTreeSet<LeaseId>,
    /// With so many ids those of ended leases are forgotten.
    ids_max: usize,
    rights: RightsWatch,
}

impl RenewedLeases {
    pub(super) fn new(leases: &Leases) -> Self {
        let rights = RightsWatch::new(&leases.rights_changed);
        Self { leases: leases.clone(), ids: BTreeSet::new(), ids_max: IDS_MIN, rights }
    }

    /// The stream has renewed a lease.
    pub fn add(&mut self, id: LeaseId) {
        if !self.ids.insert(id) || self.ids.len() < self.ids_max {
            return;
        }
        let reader = self.leases.lessor.reader();
        self.ids.retain(|id| reader.get(*id).is_some());
        self.ids_max = (2 * self.ids.len()).max(IDS_MIN);
    }

    /// Ready with the reason when the caller may not renew all of these leases any more. The task is woken for that.
    pub fn poll_revoked(&mut self, cx: &mut Context<'_>, caller: &Caller) -> Poll<RequestError> {
        while self.rights.poll_changed(cx).is_ready() {
            for id in &self.ids {
                if let Some(Err(error)) = self.leases.may_renew(caller, *id) {
                    return Poll::Ready(error);
                }
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use ferretcd_api_proto::etcdserverpb::{LeaseGrantRequest, LeaseRevokeRequest};
    use ferretcd_auth::AuthError;

    use super::*;
    use crate::auth::test_member::{TestMember, alice};

    async fn grant(member: &TestMember, id: i64) {
        let request = LeaseGrantRequest { id, ttl: 3600 };
        member.engine.leases().grant(&Caller::MEMBER, request).await.expect("a free id");
    }

    /// Why alice may not renew the leases any more, if so.
    fn revoked(renewed: &mut RenewedLeases) -> Option<RequestError> {
        match renewed.poll_revoked(&mut Context::from_waker(Waker::noop()), &alice()) {
            Poll::Ready(error) => Some(error),
            Poll::Pending => None,
        }
    }

    /// A client that renews a lease, lets it end and grants another one does not fill the memory of the member.
    #[tokio::test]
    async fn ended_leases_are_forgotten_when_there_are_many() {
        const ALIVE: i64 = 40;
        let member = TestMember::alone().await;
        let mut renewed = member.engine.leases().renewed();
        for id in 1..=ALIVE {
            grant(&member, id).await;
            renewed.add(LeaseId(id));
        }
        for ended in 1000..2000 {
            renewed.add(LeaseId(ended));
            renewed.add(LeaseId(1));
            assert!(renewed.ids.len() < 2 * ALIVE as usize, "{} are remembered", renewed.ids.len());
        }
        assert!((1..=ALIVE).all(|id| renewed.ids.contains(&LeaseId(id))));
        // With fewer there is nothing to gain.
        let mut few = member.engine.leases().renewed();
        (1001..1000 + IDS_MIN as i64).for_each(|ended| few.add(LeaseId(ended)));
        assert_eq!(few.ids.len(), IDS_MIN - 1);
        few.add(LeaseId(1));
        assert_eq!(few.ids, [LeaseId(1)].into());
        member.stop().await;
    }

    #[tokio::test]
    async fn every_one_of_many_leases_is_checked_again() {
        const LEASES: i64 = 2 * IDS_MIN as i64 + 1;
        let member = TestMember::alone().await;
        let mut renewed = member.engine.leases().renewed();
        for id in 1..=LEASES {
            grant(&member, id).await;
            renewed.add(LeaseId(id));
        }
        member.put("first", 1).await;
        member.put("last", LEASES).await;
        assert!(revoked(&mut renewed).is_none());
        member.enable_auth(&["first", "last"]).await;
        assert!(revoked(&mut renewed).is_none(), "alice may write both");
        member.add_role("unrelated").await;
        assert!(revoked(&mut renewed).is_none());
        member.revoke("last").await;
        let error = revoked(&mut renewed);
        assert!(matches!(error, Some(RequestError::Auth(AuthError::Denied))), "{error:?}");
        member.stop().await;
    }

    #[tokio::test]
    async fn keys_of_a_lease_that_has_ended_do_not_matter() {
        let member = TestMember::alone().await;
        let mut renewed = member.engine.leases().renewed();
        for (id, key) in [(1, "kept"), (2, "lost")] {
            grant(&member, id).await;
            renewed.add(LeaseId(id));
            member.put(key, id).await;
        }
        member.enable_auth(&["kept", "lost"]).await;
        let request = LeaseRevokeRequest { id: 2 };
        member.engine.leases().revoke(&Caller::MEMBER, request).await.expect("a lease");
        member.revoke("lost").await;
        assert!(revoked(&mut renewed).is_none());
        member.revoke("kept").await;
        assert!(revoked(&mut renewed).is_some());
        member.stop().await;
    }
}
