//! Requests that wait for a leader: proposals while there is none or a leadership transfer is under way, and reads until
//! the leader has committed in its term. The library would drop them silently, and after each election their clients
//! would wait for a time-out.

use std::collections::VecDeque;

use raft::StateRole;
use raft::eraftpb::{self, MessageType};

use super::Core;
use crate::Proposal;

/// Bytes of pending proposals above which further ones are dropped.
const BYTES_MAX: usize = 64 << 20;
/// The bytes that a proposal, a message or an entry of one counts beside its data.
const HEAD_BYTES: usize = 128;

/// Own proposals and those that other members have forwarded, with the tick at which they came.
#[derive(Debug, Default)]
pub(super) struct Pending {
    own: VecDeque<(u64, Proposal)>,
    forwarded: VecDeque<(u64, eraftpb::Message)>,
    bytes: usize,
}

impl Pending {
    pub(super) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    fn take_own(&mut self) -> Vec<Proposal> {
        let own: Vec<_> = std::mem::take(&mut self.own).into_iter().map(|(_, proposal)| proposal).collect();
        self.bytes -= own.iter().map(bytes_of).sum::<usize>();
        own
    }

    /// Takes the forwarded messages that can be handled now.
    fn take_forwarded(&mut self, may_go: impl Fn(MessageType) -> bool) -> Vec<eraftpb::Message> {
        let (go, stay) = std::mem::take(&mut self.forwarded)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, message)| may_go(message.get_msg_type()));
        self.forwarded = stay;
        self.bytes -= go.iter().map(|(_, message)| bytes_in(message)).sum::<usize>();
        go.into_iter().map(|(_, message)| message).collect()
    }

    /// Forgets requests from before `tick`. Returns the tokens of the own proposals among them.
    fn forget_before(&mut self, tick: u64) -> Vec<u64> {
        while let Some((_, message)) = self.forwarded.pop_front_if(|(came, _)| *came < tick) {
            self.bytes -= bytes_in(&message);
        }
        let mut dropped = Vec::new();
        while let Some((_, proposal)) = self.own.pop_front_if(|(came, _)| *came < tick) {
            self.bytes -= bytes_of(&proposal);
            dropped.push(proposal.token);
        }
        dropped
    }
}

fn bytes_of(proposal: &Proposal) -> usize {
    proposal.data.len() + HEAD_BYTES
}

fn bytes_in(message: &eraftpb::Message) -> usize {
    message.entries.iter().map(|entry| entry.data.len() + HEAD_BYTES).sum::<usize>() + HEAD_BYTES
}

impl Core {
    pub(super) fn queue_proposals(&mut self, proposals: Vec<Proposal>) {
        for proposal in proposals {
            if self.pending.bytes >= BYTES_MAX {
                self.effects.dropped.push(proposal.token);
                continue;
            }
            self.pending.bytes += bytes_of(&proposal);
            self.pending.own.push_back((self.n_ticks, proposal));
        }
    }

    /// Keeps requests that another member has forwarded.
    pub(super) fn queue_forwarded(&mut self, message: eraftpb::Message) {
        if self.pending.bytes < BYTES_MAX {
            self.pending.bytes += bytes_in(&message);
            self.pending.forwarded.push_back((self.n_ticks, message));
        }
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
        let oldest = if self.over { u64::MAX } else { self.n_ticks.saturating_sub(ticks_max) };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overhead_of_entries_is_counted() {
        let mut message = eraftpb::Message::default();
        message.set_entries(vec![eraftpb::Entry::default(); 1000].into());
        assert!(bytes_in(&message) >= 1000 * size_of::<eraftpb::Entry>());
    }
}
