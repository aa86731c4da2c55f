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
