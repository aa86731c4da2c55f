//! From what a disk holds to a running member.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use ferretcd_apply::{Applied, StateMachine};
use ferretcd_backend::{Backend, Batch, MemoryMedium};
use ferretcd_base::MemberId;
use ferretcd_membership::Member;
use ferretcd_raft_node::{Core, bootstrap};
use ferretcd_wal::{ConfState, Metadata, SnapshotMark, Wal};
use serde_json::Value;

use super::flush::Flusher;
use super::lessor::Lessor;
use super::log::LogWriter;
use super::reads::Reads;
use super::snapshots::Snapshots;
use super::watches::Watches;
use super::{ELECTION_TICKS, Process};
use crate::check::LEASE_TTL_MIN;
use crate::disk::Disk;
use crate::world::World;

/// Small, so that logs have many segments.
const SEGMENT_BYTES: u64 = 16 << 10;
/// Committed entries that wait to be applied before the core keeps the rest.
const UNAPPLIED_MAX: u64 = 500;
const CACHE_BYTES: usize = 1 << 20;
const CLUSTER: u64 = 0xc1;

fn wal_config() -> ferretcd_wal::Config {
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

/// The state that the log begins with takes the place of the state file if it has not yet; all others go.
fn finish_install(disk: &Disk, marked: u64) {
    let mut states = disk.states.borrow_mut();
    let mut arrived = std::mem::take(&mut states.arrived);
    if let Some(state) = arrived.remove(&marked) {
        states.current = state;
    }
}

pub(super) fn open_state(medium: MemoryMedium) -> Result<Backend, ferretcd_backend::OpenError> {
    Backend::open_on(medium, &ferretcd_backend::Config { cache_bytes: CACHE_BYTES })
}

/// In the order in which the engine starts a member.
pub(super) fn open(id: u64, start: u64, disk: &Disk, world: &mut World) -> Result<Process, Box<dyn Error>> {
    let (wal, recovered) = Wal::open_on(disk.log.clone(), wal_config())?;
    let SnapshotMark { index: marked, .. } = recovered.snapshot;
    finish_install(disk, marked);
    let backend = open_state(disk.states.borrow().current.clone())?;
    let mut first_rows = Batch::default();
    let config = ferretcd_apply::Config {
        mvcc: ferretcd_mvcc::Config { cache_bytes: CACHE_BYTES },
        lease: ferretcd_lease::Config { ttl_min: LEASE_TTL_MIN },
    };
    let machine = StateMachine::open(backend.clone(), &config, &mut first_rows)?;
    backend.commit(&first_rows)?;
    let applied = machine.applied();
    let index = applied.position.index;
    let position = ferretcd_raft_node::Applied { index, conf_state: conf_state(applied) };
    let config = ferretcd_raft_node::Config {
        id: MemberId(id),
        heartbeat: Duration::from_millis(100),
        election_ticks: ELECTION_TICKS,
        pre_vote: true,
        check_quorum: true,
        max_size_per_msg: 1 << 20,
        max_inflight_msgs: 256,
        catchup_entries: world.profile.catchup_entries,
        catchup_bytes: 64 << 20,
        unapplied_max: UNAPPLIED_MAX,
        inbox: 1 << 14,
        proposal_ticks: 70,
        advance_ticks: true,
    };
    let core = Core::new(config, recovered, &position, world.random.seed())?;
    world.note(id, "starts", index, || format!("for the time {start}, log from {marked}"));
    let now = world.agenda.instant();
    let mut process = Process {
        id,
        start,
        is_removed: false,
        status: core.status(),
        standing: core.read_index_role(),
        core,
        log: LogWriter::new(wal),
        inbox: VecDeque::new(),
        is_applying: false,
        watches: Watches::new(machine.reader()),
        machine,
        backend,
        flusher: Flusher::default(),
        snapshots: Snapshots::new(disk.clone()),
        marked,
        is_scrubbing: false,
        waiters: BTreeMap::new(),
        reads: Reads::default(),
        lessor: Lessor::new(now),
    };
    process.applied_for_reads(index);
    process.compare_with_model(world);
    Ok(process)
}
