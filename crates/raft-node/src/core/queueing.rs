//! When requests wait for a leader, and when they go on.

use raft::StateRole;
use raft::eraftpb::{self, MessageType};

use super::Core;
use crate::Proposal;

impl Core {
    /// Keeps own proposals until they can be ordered, and drops those for which there is no room.
    pub(super) fn queue_proposals(&mut self, proposals: Vec<Proposal>) {
        for proposal in proposals {
            let token = proposal.token;
            if !self.pending.push_own(self.n_ticks, proposal) {
                self.effects.dropped.push(token);
            }
        }
    }

    /// Keeps requests that another member has forwarded.
    pub(super) fn queue_forwarded(&mut self, message: eraftpb::Message) {
        self.pending.push_forwarded(self.n_ticks, message);
    }

    /// Gives pending requests to the raft core as far as it can take them. Returns whether there were any.
    pub(super) fn release_pending(&mut self) -> bool {
        let (can_order, can_serve) = (self.can_order_proposals(), self.can_serve_reads());
        let forwarded = self.pending.take_forwarded(|kind| match kind {
            MessageType::MsgPropose => can_order,
            _ => can_serve,
        });
        let own = if can_order { self.pending.take_own() } else { Vec::new() };
        let has_any = !forwarded.is_empty() || !own.is_empty();
        for message in forwarded {
            // It errs for a dropped message; its sender gets no response.
            let _ = self.raw.step(message);
        }
        self.step_proposals(&own);
        has_any
    }

    pub(super) fn expire_pending(&mut self) {
        let ticks_max = self.config.proposal_ticks;
        let oldest = if self.has_ended { u64::MAX } else { self.n_ticks.saturating_sub(ticks_max) };
        self.effects.dropped.extend(self.pending.forget_before(oldest));
    }

    /// Whether proposals can be appended to a log, here or at the leader.
    pub(super) fn can_order_proposals(&self) -> bool {
        let raft = &self.raw.raft;
        raft.leader_id != raft::INVALID_ID && raft.lead_transferee.is_none()
    }

    /// Whether this node or its leader knows from which index a read is linearizable.
    pub(super) fn can_serve_reads(&self) -> bool {
        let raft = &self.raw.raft;
        raft.leader_id != raft::INVALID_ID
            && (raft.state != StateRole::Leader || raft.commit_to_current_term())
    }
}
