//! Between the types of the log on disk and those of the raft library.
//!
//! An entry's payload moves without being copied, except a configuration change's, which changes its encoding.

use std::collections::HashSet;

use raft::eraftpb::{self, EntryType};

use crate::{ConfChange, Error};

pub(crate) fn entry_from_wal(entry: ferretcd_wal::Entry) -> Result<eraftpb::Entry, Error> {
    let (kind, data) = match entry.kind {
        ferretcd_wal::EntryKind::Normal => (EntryType::EntryNormal, entry.data),
        ferretcd_wal::EntryKind::ConfChange => {
            let change =
                ConfChange::from_etcd(entry.data).map_err(|_| Error::ConfChange { index: entry.index })?;
            (EntryType::EntryConfChange, change.to_core())
        }
        // etcd's servers propose none, and stop at one.
        ferretcd_wal::EntryKind::ConfChangeV2 => return Err(Error::ConfChange { index: entry.index }),
    };
    let mut translated =
        eraftpb::Entry { term: entry.term, index: entry.index, data, ..eraftpb::Entry::default() };
    translated.set_entry_type(kind);
    Ok(translated)
}

pub(crate) fn entry_to_wal(entry: &eraftpb::Entry) -> Result<ferretcd_wal::Entry, Error> {
    let (kind, data) = match entry.get_entry_type() {
        EntryType::EntryNormal => (ferretcd_wal::EntryKind::Normal, entry.data.clone()),
        EntryType::EntryConfChange => (ferretcd_wal::EntryKind::ConfChange, conf_change(entry)?.to_etcd()),
        EntryType::EntryConfChangeV2 => return Err(Error::ConfChange { index: entry.index }),
    };
    Ok(ferretcd_wal::Entry { term: entry.term, index: entry.index, kind, data })
}

/// The configuration change in an entry of the in-memory log.
pub(crate) fn conf_change(entry: &eraftpb::Entry) -> Result<ConfChange, Error> {
    ConfChange::from_core(entry.data.clone()).map_err(|_| Error::ConfChange { index: entry.index })
}

pub(crate) fn hard_state_from_wal(state: ferretcd_wal::HardState) -> eraftpb::HardState {
    eraftpb::HardState {
        term: state.term,
        vote: state.vote,
        commit: state.commit,
        ..eraftpb::HardState::default()
    }
}

pub(crate) fn hard_state_to_wal(state: &eraftpb::HardState) -> ferretcd_wal::HardState {
    ferretcd_wal::HardState { term: state.term, vote: state.vote, commit: state.commit }
}

/// Of a configuration that is not joint.
pub(crate) fn conf_state_from_wal(state: &ferretcd_wal::ConfState) -> eraftpb::ConfState {
    let mut translated = eraftpb::ConfState::default();
    translated.set_voters(state.voters.clone());
    translated.set_learners(state.learners.clone());
    translated
}

/// The library keeps members in hash sets; sorted, equal configurations are equal bytes on every member.
pub(crate) fn conf_state_to_wal(state: &eraftpb::ConfState) -> ferretcd_wal::ConfState {
    let sorted = |members: &[u64]| {
        let mut members = members.to_vec();
        members.sort_unstable();
        members
    };
    ferretcd_wal::ConfState {
        voters: sorted(state.get_voters()),
        learners: sorted(state.get_learners()),
        voters_outgoing: sorted(state.get_voters_outgoing()),
        learners_next: sorted(state.get_learners_next()),
        auto_leave: state.auto_leave,
    }
}

/// Whether a raft core can start from this configuration: it has voters, each member is there once, and it is not in
/// the middle of a joint change, which etcd never makes.
pub(crate) fn is_startable(conf_state: &ferretcd_wal::ConfState) -> bool {
    let members = || conf_state.voters.iter().chain(&conf_state.learners);
    let is_joint = conf_state.auto_leave
        || !conf_state.voters_outgoing.is_empty()
        || !conf_state.learners_next.is_empty();
    let is_distinct = members().collect::<HashSet<_>>().len() == members().count();
    !conf_state.voters.is_empty()
        && !is_joint
        && is_distinct
        && members().all(|member| *member != raft::INVALID_ID)
}

/// A snapshot is named by its place in the log only; its data stays with the member.
pub(crate) fn snapshot_at(mark: &ferretcd_wal::SnapshotMark) -> eraftpb::Snapshot {
    let mut snapshot = eraftpb::Snapshot::default();
    let metadata = snapshot.mut_metadata();
    metadata.index = mark.index;
    metadata.term = mark.term;
    metadata.set_conf_state(conf_state_from_wal(&mark.conf_state.clone().unwrap_or_default()));
    snapshot
}

pub(crate) fn mark_of(snapshot: &eraftpb::Snapshot) -> ferretcd_wal::SnapshotMark {
    let metadata = snapshot.get_metadata();
    let conf_state = Some(conf_state_to_wal(metadata.get_conf_state()));
    ferretcd_wal::SnapshotMark { index: metadata.index, term: metadata.term, conf_state }
}
