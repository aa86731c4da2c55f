//! Between the words of the log on disk and those of the raft library.
//!
//! An entry's payload moves without being copied, except a configuration change's, which changes its encoding.

use raft::eraftpb::{self, EntryType};

use crate::{ConfChange, Error};

pub(crate) fn entry_from_wal(entry: wal::Entry) -> Result<eraftpb::Entry, Error> {
    let (kind, data) = match entry.kind {
        wal::EntryKind::Normal => (EntryType::EntryNormal, entry.data),
        wal::EntryKind::ConfChange => {
            let change =
                ConfChange::from_etcd(entry.data).map_err(|_| Error::ConfChange { index: entry.index })?;
            (EntryType::EntryConfChange, change.to_core())
        }
        // etcd's servers propose none, and refuse to run on one.
        wal::EntryKind::ConfChangeV2 => return Err(Error::ConfChange { index: entry.index }),
    };
    let mut translated =
        eraftpb::Entry { term: entry.term, index: entry.index, data, ..eraftpb::Entry::default() };
    translated.set_entry_type(kind);
    Ok(translated)
}

pub(crate) fn entry_to_wal(entry: &eraftpb::Entry) -> Result<wal::Entry, Error> {
    let (kind, data) = match entry.get_entry_type() {
        EntryType::EntryNormal => (wal::EntryKind::Normal, entry.data.clone()),
        EntryType::EntryConfChange => (wal::EntryKind::ConfChange, conf_change(entry)?.to_etcd()),
        EntryType::EntryConfChangeV2 => return Err(Error::ConfChange { index: entry.index }),
    };
    Ok(wal::Entry { term: entry.term, index: entry.index, kind, data })
}

/// The configuration change in an entry of the in-memory log.
pub(crate) fn conf_change(entry: &eraftpb::Entry) -> Result<ConfChange, Error> {
    ConfChange::from_core(entry.data.clone()).map_err(|_| Error::ConfChange { index: entry.index })
}

pub(crate) fn hard_state_from_wal(state: wal::HardState) -> eraftpb::HardState {
    eraftpb::HardState {
        term: state.term,
        vote: state.vote,
        commit: state.commit,
        ..eraftpb::HardState::default()
    }
}

pub(crate) fn hard_state_to_wal(state: &eraftpb::HardState) -> wal::HardState {
    wal::HardState { term: state.term, vote: state.vote, commit: state.commit }
}

pub(crate) fn conf_state_from_wal(state: &wal::ConfState) -> eraftpb::ConfState {
    let mut translated = eraftpb::ConfState::default();
    translated.set_voters(state.voters.clone());
    translated.set_learners(state.learners.clone());
    translated
}
