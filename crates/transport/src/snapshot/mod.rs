//! The state of a member on its way to another: one request, streamed from disk to disk.
//!
//! ```text
//! image ──Read──► thread ──parts──► POST /raft/snapshot ~~~ body ──parts──► thread ──Read──► file
//! ```
//!
//! Both channels hold a few parts, so what the other side has not taken is not read either, and the memory that
//! a snapshot takes does not depend on its size.

mod chunks;
mod fetch;
mod receive;
mod send;

pub(crate) use chunks::SnapshotBody;
pub(crate) use fetch::{PATH, fetch, serve};
pub(crate) use receive::{linger, receive};
pub(crate) use send::run;

use std::time::Duration;

use ferretcd_api_proto::raftpb;
use ferretcd_wal::{ConfState, SnapshotMark};

/// How long a state waits for the ones before it: as long as it takes to notice that their other end has given up.
pub(crate) const TURN_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes that go through a channel at once.
const PART_BYTES: usize = 128 << 10;
/// Parts that wait in a channel.
const PARTS_MAX: usize = 4;

fn to_metadata(mark: &SnapshotMark) -> raftpb::SnapshotMetadata {
    let conf_state = mark.conf_state.clone().map(|state| raftpb::ConfState {
        voters: state.voters,
        learners: state.learners,
        voters_outgoing: state.voters_outgoing,
        learners_next: state.learners_next,
        auto_leave: Some(state.auto_leave),
    });
    raftpb::SnapshotMetadata { conf_state, index: Some(mark.index), term: Some(mark.term) }
}

fn to_mark(metadata: &raftpb::SnapshotMetadata) -> SnapshotMark {
    let conf_state = metadata.conf_state.clone().map(|state| ConfState {
        auto_leave: state.auto_leave(),
        voters: state.voters,
        learners: state.learners,
        voters_outgoing: state.voters_outgoing,
        learners_next: state.learners_next,
    });
    SnapshotMark { index: metadata.index(), term: metadata.term(), conf_state }
}
