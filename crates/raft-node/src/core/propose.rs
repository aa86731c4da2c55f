//! From requests of the member to messages for the raft library.

use raft::StateRole;
use raft::eraftpb::{self, EntryType, MessageType};

use super::Core;
use crate::{ConfChange, Proposal};

/// Bytes of an entry in a message besides its payload, at most.
const ENTRY_HEAD_BYTES: u64 = 32;

impl Core {
    pub(super) fn propose(&mut self, mut proposals: Vec<Proposal>) {
        let led = self.term_led();
        let dropped = &mut self.effects.dropped;
        proposals.retain(|proposal| {
            let is_late = proposal.only_in_term.is_some_and(|term| led != Some(term));
            dropped.extend(is_late.then_some(proposal.token));
            !is_late
        });
        // Behind pending ones, or the order would not be that of the callers.
        if self.pending.has_own() || !self.can_order_proposals() {
            return self.queue_proposals(proposals);
        }
        self.step_proposals(&proposals);
    }

    /// The term in which this node leads, if it can log something at once.
    fn term_led(&self) -> Option<u64> {
        let raft = &self.raw.raft;
        let can_log =
            raft.state == StateRole::Leader && self.can_order_proposals() && !self.pending.has_own();
        can_log.then_some(raft.term)
    }

    pub(super) fn step_proposals(&mut self, mut proposals: &[Proposal]) {
        while !proposals.is_empty() {
            let (message, rest) = proposals.split_at(self.n_in_one_message(proposals));
            let entries = message
                .iter()
                .map(|proposal| eraftpb::Entry { data: proposal.data.clone(), ..eraftpb::Entry::default() })
                .collect();
            if !self.step_proposal(entries) {
                self.drop_proposals(message);
            }
            proposals = rest;
        }
    }

    /// How many of the proposals fit into one message; at least one. The library sends one append for them at once,
    /// and entries that do not fit into that only after the response.
    fn n_in_one_message(&self, proposals: &[Proposal]) -> usize {
        let mut room = self.config.max_size_per_msg;
        let n_fitting = proposals.iter().take_while(|proposal| {
            let bytes = proposal.data.len() as u64 + ENTRY_HEAD_BYTES;
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        });
        n_fitting.count().max(1)
    }

    pub(super) fn propose_conf_change(&mut self, token: u64, change: &ConfChange) {
        // The library would log an empty entry in its place, and the caller would wait in vain.
        let is_rejected = self.raw.raft.state == StateRole::Leader && self.raw.raft.has_pending_conf();
        let mut entry = eraftpb::Entry { data: change.to_core(), ..eraftpb::Entry::default() };
        entry.set_entry_type(EntryType::EntryConfChange);
        if is_rejected || !self.step_proposal(vec![entry]) {
            self.effects.dropped.push(token);
        }
    }

    /// Returns whether the entries may have been logged.
    fn step_proposal(&mut self, entries: Vec<eraftpb::Entry>) -> bool {
        if self.raw.raft.leader_id == raft::INVALID_ID {
            return false;
        }
        let mut message = eraftpb::Message::default();
        message.set_msg_type(MessageType::MsgPropose);
        message.from = self.config.id.0;
        message.set_entries(entries.into());
        self.raw.step(message).is_ok()
    }

    pub(super) fn drop_proposals(&mut self, proposals: &[Proposal]) {
        self.effects.dropped.extend(proposals.iter().map(|proposal| proposal.token));
    }
}
