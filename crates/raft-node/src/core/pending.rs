//! Requests that wait for a leader: proposals while there is none or a leadership transfer is under way, and reads until
//! the leader has committed in its term. The library would drop them silently, and after each election their clients
//! would wait for a time-out.

use std::collections::VecDeque;

use raft::eraftpb::{self, MessageType};

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

    /// Adds an own proposal. Returns whether there was room for it.
    pub(super) fn push_own(&mut self, tick: u64, proposal: Proposal) -> bool {
        let has_room = self.bytes < BYTES_MAX;
        if has_room {
            self.bytes += bytes_of(&proposal);
            self.own.push_back((tick, proposal));
        }
        has_room
    }

    /// Adds what another member has forwarded, if there is room for it.
    pub(super) fn push_forwarded(&mut self, tick: u64, message: eraftpb::Message) {
        if self.bytes < BYTES_MAX {
            self.bytes += bytes_in(&message);
            self.forwarded.push_back((tick, message));
        }
    }

    pub(super) fn take_own(&mut self) -> Vec<Proposal> {
        let own: Vec<_> = std::mem::take(&mut self.own).into_iter().map(|(_, proposal)| proposal).collect();
        self.bytes -= own.iter().map(bytes_of).sum::<usize>();
        own
    }

    /// Takes the forwarded messages that can be handled now.
    pub(super) fn take_forwarded(&mut self, may_go: impl Fn(MessageType) -> bool) -> Vec<eraftpb::Message> {
        let (go, stay) = std::mem::take(&mut self.forwarded)
            .into_iter()
            .partition::<VecDeque<_>, _>(|(_, message)| may_go(message.get_msg_type()));
        self.forwarded = stay;
        self.bytes -= go.iter().map(|(_, message)| bytes_in(message)).sum::<usize>();
        go.into_iter().map(|(_, message)| message).collect()
    }

    /// Forgets requests from before `tick`. Returns the tokens of the own proposals among them.
    pub(super) fn forget_before(&mut self, tick: u64) -> Vec<u64> {
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
