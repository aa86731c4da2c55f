//! The files on a member's disk.

use std::error::Error;

use bytes::Bytes;
use ferretcd_apply::Applied;
use ferretcd_backend::{Backend, MemoryMedium};
use ferretcd_base::MemberId;
use ferretcd_membership::Member;
use ferretcd_raft_node::bootstrap;
use ferretcd_wal::{ConfState, Metadata, Wal};
use serde_json::Value;

use crate::disk::Disk;

/// Small, so that logs have many segments.
const SEGMENT_BYTES: u64 = 16 << 10;
pub(super) const CACHE_BYTES: usize = 1 << 20;
const CLUSTER: u64 = 0xc1;

pub(super) fn wal_config() -> ferretcd_wal::Config {
    ferretcd_wal::Config { segment_bytes: SEGMENT_BYTES, unsafe_no_fsync: false }
}

/// The description of a member that the cluster starts with.
pub(crate) fn member(id: u64) -> Member {
    Member { id: MemberId(id), peer_urls: vec![format!("http://m{id}:2380")], ..Member::default() }
}

/// Makes the log of a member: that of one which founds a cluster with all of `founders`, or of one which joins.
pub(crate) fn format(disk: &Disk, id: u64, founders: &[u64]) -> Result<(), Box<dyn Error>> {
    let metadata = Metadata { node_id: id, cluster_id: CLUSTER };
    let mut wal = Wal::create_on(disk.log.clone(), metadata, wal_config())?;
    if !founders.is_empty() {
        let described = |id: &u64| (MemberId(*id), Bytes::from(member(*id).to_json()));
        bootstrap(&mut wal, &founders.iter().map(described).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// The configuration that a state was stored with.
pub(super) fn conf_state(applied: &Applied) -> ConfState {
    let json: Value = serde_json::from_slice(&applied.conf_state).unwrap_or_default();
    let ids = |field: &str| {
        let ids = json.get(field).and_then(Value::as_array);
        ids.into_iter().flatten().filter_map(Value::as_u64).collect()
    };
    ConfState { voters: ids("voters"), learners: ids("learners"), ..ConfState::default() }
}

/// Installs the snapshot that the log begins behind, unless that was done before the crash; all others go.
pub(super) fn finish_install(disk: &Disk, marked: u64) {
    let mut states = disk.states.borrow_mut();
    let mut arrived = std::mem::take(&mut states.arrived);
    if let Some(state) = arrived.remove(&marked) {
        states.current = state;
    }
}

pub(super) fn open_state(medium: MemoryMedium) -> Result<Backend, ferretcd_backend::OpenError> {
    Backend::open_on(medium, &ferretcd_backend::Config { cache_bytes: CACHE_BYTES })
}
