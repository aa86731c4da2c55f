//! What waits until there is somebody to take it: proposals while nobody leads or the leadership is on its way to
//! another, and reads until the leader has committed in its term. The library would forget all of that, its proposers
//! would hear of it only by a time-out, and after each election everybody would wait for that long.

use std::collections::VecDeque;

use raft::StateRole;
use raft::eraftpb::{self, MessageType};

use super::Core;
use crate::Proposal;

/// Bytes of proposals that wait; what comes on top is dropped.
const BYTES_MAX: usize = 64 << 20;
/// What a proposal, a message or an entry of one counts beside its data.
const HEAD_BYTES: usize = 128;

/// Own proposals and those that other members have forwarded, with the tick at which they came.
#[derive(Debug, Default)]
pub(super) struct Held {
    own: VecDeque<(u64, Proposal)>,
    forwarded: VecDeque<(u64, eraftpb::Message)>,
    bytes: usize,
}

impl Held {
    pub(super) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    fn take_own(&mut self) -> Vec<Proposal> {
        let own: Vec<_> = std::mem::take(&mut self.own).into_iter().map(|(_, proposal)| proposal).collect();
        self.bytes -= own.iter().map(bytes_of).sum::<usize>();
        own
    }

    /// Takes the forwarded messages for which there is somebody now.
    fn take_forwarded(&mut self, may_go: impl Fn(MessageType) -> bool) -> Vec<eraftpb::Message> {
        let (go, stay) = std::mem::take(&mut self.forwarded)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, message)| may_go(message.get_msg_type()));
        self.forwarded = stay;
        self.bytes -= go.iter().map(|(_, message)| bytes_in(message)).sum::<usize>();
        go.into_iter().map(|(_, message)| message).collect()
    }

    /// Forgets what has come before `tick`; the own proposals among it are returned.
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
    pub(super) fn hold(&mut self, proposals: Vec<Proposal>) {
        for proposal in proposals {
            if self.held.bytes >= BYTES_MAX {
                self.effects.dropped.push(proposal.token);
                continue;
            }
            self.held.bytes += bytes_of(&proposal);
            self.held.own.push_back((self.n_ticks, proposal));
        }
    }

    /// Keeps what another member has forwarded.
    pub(super) fn hold_forwarded(&mut self, message: eraftpb::Message) {
        if self.held.bytes < BYTES_MAX {
            self.held.bytes += bytes_in(&message);
            self.held.forwarded.push_back((self.n_ticks, message));
        }
    }

    /// Gives what waits to the raft core as far as that can take it. Returns whether there was anything.
    pub(super) fn release_held(&mut self) -> bool {
        let (orders, answers) = (self.takes_proposals(), self.answers_reads());
        let forwarded = self.held.take_forwarded(|kind| match kind {
            MessageType::MsgPropose => orders,
            _ => answers,
        });
        let own = if orders { self.held.take_own() } else { Vec::new() };
        let has_any = !forwarded.is_empty() || !own.is_empty();
        for message in forwarded {
            // It errs for what is dropped, of which nobody is told.
            let _ = self.raw.step(message);
        }
        self.step_proposals(&own);
        has_any
    }

    pub(super) fn give_up_held(&mut self) {
        let patience = self.config.proposal_ticks;
        let oldest = if self.over { u64::MAX } else { self.n_ticks.saturating_sub(patience) };
        self.effects.dropped.extend(self.held.forget_before(oldest));
    }

    /// Whether proposals come into a log, here or at the leader.
    pub(super) fn takes_proposals(&self) -> bool {
        let raft = &self.raw.raft;
        raft.leader_id != raft::INVALID_ID && raft.lead_transferee.is_none()
    }

    /// Whether somebody can tell from which index a read is linearizable.
    pub(super) fn answers_reads(&self) -> bool {
        let raft = &self.raw.raft;
        raft.leader_id != raft::INVALID_ID
            && (raft.state != StateRole::Leader || raft.commit_to_current_term())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_entries_take_beside_their_data_is_bounded_as_well() {
        let mut message = eraftpb::Message::default();
        message.set_entries(vec![eraftpb::Entry::default(); 1000].into());
        assert!(bytes_in(&message) >= 1000 * size_of::<eraftpb::Entry>());
    }
}
