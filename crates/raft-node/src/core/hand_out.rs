//! Handing out committed entries, and the member's decisions about configuration changes.

use ferretcd_base::LogPosition;
use raft::eraftpb::{self, EntryType};

use super::Core;
use crate::{Committed, ConfChange, ConfChangeKind, Error, Payload, translate};

impl Core {
    /// Gives committed entries to the member, as far as it keeps up. A configuration change is the last one until
    /// the member has decided about it: a removed member must not get entries behind its removal.
    pub(super) fn hand_out(&mut self) {
        while !self.has_ended
            && self.unconfigured.is_none()
            && self.handed_out - self.applied < self.config.unapplied_max
            && let Some(entry) = self.backlog.pop_front()
        {
            let position = LogPosition::new(entry.index, entry.term);
            let payload = match payload(entry) {
                Ok(payload) => payload,
                Err(error) => return self.fail(error),
            };
            if matches!(payload, Payload::ConfChange { .. }) {
                self.conf_change = position.index;
                self.unconfigured = Some(position.index);
            }
            self.handed_out = position.index;
            self.effects.committed.push(Committed { position, payload });
        }
    }

    /// The member's decision about the configuration change at `index`.
    pub(super) fn configure(&mut self, index: u64, change: Option<&ConfChange>) {
        if self.unconfigured != Some(index) {
            return;
        }
        self.unconfigured = None;
        if let Some(change) = change {
            self.change_configuration(change);
        }
        if !self.has_ended {
            self.advance_applied();
        }
    }

    /// Puts a change into force. One that cannot be, like the removal of the last voter, has no effect on any
    /// member.
    fn change_configuration(&mut self, change: &ConfChange) {
        if let Some(transition) = change.to_transition() {
            match self.raw.apply_conf_change(&transition) {
                Ok(conf_state) => self.raw.mut_store().set_conf_state(&conf_state),
                Err(error) => {
                    tracing::warn!(target: "raft", member = %change.node, %error, "ignored an impossible configuration change");
                }
            }
        }
        let status = self.status();
        let is_own_removal = change.kind == ConfChangeKind::RemoveNode && change.node == self.config.id;
        self.has_ended = is_own_removal && !status.is_voter && !status.is_learner;
    }
}

fn payload(entry: eraftpb::Entry) -> Result<Payload, Error> {
    Ok(match entry.get_entry_type() {
        EntryType::EntryNormal if entry.data.is_empty() => Payload::Empty,
        EntryType::EntryNormal => Payload::Normal(entry.data),
        EntryType::EntryConfChange | EntryType::EntryConfChangeV2 => {
            Payload::ConfChange { change: translate::conf_change(&entry)? }
        }
    })
}
