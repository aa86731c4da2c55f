//! The position of a snapshot, on the wire and in the log.

use ferretcd_api_proto::raftpb;
use ferretcd_wal::{ConfState, SnapshotMark};

pub(super) fn to_metadata(mark: &SnapshotMark) -> raftpb::SnapshotMetadata {
    let conf_state = mark.conf_state.clone().map(|state| raftpb::ConfState {
        voters: state.voters,
        learners: state.learners,
        voters_outgoing: state.voters_outgoing,
        learners_next: state.learners_next,
        auto_leave: Some(state.auto_leave),
    });
    raftpb::SnapshotMetadata { conf_state, index: Some(mark.index), term: Some(mark.term) }
}

pub(super) fn to_mark(metadata: &raftpb::SnapshotMetadata) -> SnapshotMark {
    let conf_state = metadata.conf_state.clone().map(|state| ConfState {
        auto_leave: state.auto_leave(),
        voters: state.voters,
        learners: state.learners,
        voters_outgoing: state.voters_outgoing,
        learners_next: state.learners_next,
    });
    SnapshotMark { index: metadata.index(), term: metadata.term(), conf_state }
}
