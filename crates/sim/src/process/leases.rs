//! The leader's countdown of leases.

use ferretcd_api_proto::etcdserverpb::{LeaseCheckpoint, LeaseCheckpointRequest, LeaseRevokeRequest};
use ferretcd_apply::{Request, Response};
use ferretcd_base::LeaseId;
use ferretcd_lease::Renewal;
use ferretcd_raft_node::{Role, Status};

use super::Process;
use super::reads::Purpose;
use super::times::ELECTION;
use super::waiter::Requester;
use crate::Sabotage;
use crate::check::{OpId, Reply};
use crate::event_queue::Micros;
use crate::world::World;

/// Leases whose end is proposed at once, or whose remaining time one entry has.
const LEASES_AT_ONCE: usize = 500;

impl Process {
    /// The role has changed: counts down, or does so no longer.
    pub(super) fn count_down(&mut self, status: &Status, world: &mut World) {
        let term = (status.role == Role::Leader).then_some(status.term);
        if term == self.lessor.term {
            return;
        }
        self.lessor.term = term;
        let keeps = world.breaks(Sabotage::KeepOldCountdown);
        match term {
            Some(_) if keeps && self.lessor.deadlines.is_leading() => {}
            Some(_) => {
                let extend = std::time::Duration::from_micros(ELECTION);
                let leases = self.machine.lease_reader().all();
                self.lessor.deadlines.lead(world.events.instant(), extend, leases);
            }
            None if keeps => {}
            None => self.lessor.deadlines.resign(),
        }
        self.retry_renewals(world);
    }

    /// An entry about leases was applied.
    pub(super) fn leases_changed(&mut self, response: &Response, world: &mut World) {
        let deadlines = &mut self.lessor.deadlines;
        match response {
            Response::LeaseGrant { id, ttl } => deadlines.grant(*id, *ttl, world.events.instant()),
            Response::LeaseRevoked(id) => {
                deadlines.revoke(*id);
                self.retry_renewals(world);
            }
            Response::LeasesCheckpointed(checkpoints) => {
                checkpoints.iter().for_each(|(id, remaining)| deadlines.checkpointed(*id, *remaining));
            }
            _ => {}
        }
    }

    fn retry_renewals(&mut self, world: &mut World) {
        for (op, lease) in std::mem::take(&mut self.lessor.retrying) {
            self.when_up_to_date(Purpose::Renew(op, lease), world);
        }
    }

    /// A client wants more time for a lease. The member has just made sure that it led a moment ago, if it leads.
    pub(super) fn renew(&mut self, op: OpId, lease: LeaseId, world: &mut World) {
        match self.lessor.deadlines.renew(lease, world.events.instant()) {
            Renewal::Renewed { ttl, was_checkpointed: false } => world.reply(op, Reply::Alive(ttl)),
            Renewal::Renewed { ttl, was_checkpointed: true } => {
                // Before the reply: else another leader would count from what was left.
                let checkpoints = vec![LeaseCheckpoint { id: lease.0, remaining_ttl: 0 }];
                let request = Request::LeaseCheckpoint(LeaseCheckpointRequest { checkpoints });
                self.propose_own(request, Requester::Renewal(op, ttl), world);
            }
            Renewal::Unknown => world.reply(op, Reply::Alive(0)),
            Renewal::Expired | Renewal::NotLeading => self.lessor.retrying.push((op, lease)),
        }
    }

    /// Looks for expired leases and for those that are worth a checkpoint.
    pub(super) fn look_after_leases(&mut self, world: &mut World) {
        let Some(term) = self.lessor.term else { return };
        let now = world.events.instant();
        if self.lessor.deadlines.next().is_some_and(|next| next <= now) && !self.lessor.is_ending {
            self.lessor.is_ending = true;
            self.when_up_to_date(Purpose::Expire(term), world);
        }
        let due = self.lessor.deadlines.checkpoints(now, LEASES_AT_ONCE);
        if !due.is_empty() {
            let rows = due.into_iter().map(|(id, left)| LeaseCheckpoint { id: id.0, remaining_ttl: left });
            let request = LeaseCheckpointRequest { checkpoints: rows.collect() };
            self.propose_own(Request::LeaseCheckpoint(request), Requester::None, world);
        }
    }

    /// Proposes the end of leases, unless another member may lead.
    pub(super) fn end_expired(&mut self, term: u64, is_up_to_date: bool, world: &mut World) {
        self.lessor.is_ending = false;
        if !is_up_to_date || self.lessor.term != Some(term) {
            return;
        }
        for lease in self.lessor.deadlines.expired(world.events.instant(), LEASES_AT_ONCE) {
            let request = Request::LeaseRevoke(LeaseRevokeRequest { id: lease.0 });
            self.propose_own(request, Requester::None, world);
        }
    }

    /// Gives up on renewals that have waited too long.
    pub(super) fn sweep_renewals(&mut self, timeout: Micros, world: &mut World) {
        let now = world.now();
        let overdue = |(op, _): &mut (OpId, LeaseId)| now >= world.operations.requested_at(*op) + timeout;
        let overdue: Vec<_> = self.lessor.retrying.extract_if(.., overdue).collect();
        overdue.into_iter().for_each(|(op, _)| world.reply(op, Reply::Unknown));
    }
}
