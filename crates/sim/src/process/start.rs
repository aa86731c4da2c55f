//! From what a disk holds to a running member.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::time::Duration;

use ferretcd_apply::StateMachine;
use ferretcd_backend::Batch;
use ferretcd_base::MemberId;
use ferretcd_raft_node::Core;
use ferretcd_wal::{SnapshotMark, Wal};

use super::Process;
use super::files::{CACHE_BYTES, conf_state, finish_install, open_state, wal_config};
use super::flush::Flusher;
use super::hub::Watches;
use super::lessor::Lessor;
use super::log::LogWriter;
use super::reads::Reads;
use super::snapshots::Snapshots;
use super::timer::Timer;
use super::times::{ELECTION_TICKS, LEASES, SWEEP, TICK};
use crate::check::LEASE_TTL_MIN;
use crate::disk::Disk;
use crate::world::World;

impl Process {
    /// Starts a member on what its disk holds.
    pub(crate) fn start(id: u64, start: u64, disk: &Disk, world: &mut World) -> Option<Self> {
        match open(id, start, disk, world) {
            Ok(mut process) => {
                let first_tick = world.random.below(TICK);
                process.set_timer(first_tick, Timer::Tick, world);
                process.set_timer(SWEEP, Timer::Sweep, world);
                process.set_timer(LEASES, Timer::Leases, world);
                process.scrub_soon(world);
                process.settle(world);
                Some(process)
            }
            Err(error) => {
                world.failed(id, &*error);
                None
            }
        }
    }
}

/// In the order in which the engine starts a member.
fn open(id: u64, start: u64, disk: &Disk, world: &mut World) -> Result<Process, Box<dyn Error>> {
    let (wal, recovered) = Wal::open_on(disk.log.clone(), wal_config())?;
    let SnapshotMark { index: marked, .. } = recovered.snapshot;
    let synced = recovered.entries.last().map_or(marked, |entry| entry.index);
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
        unapplied_max: world.profile.unapplied_max,
        inbox: 1 << 14,
        proposal_ticks: 70,
        advance_ticks: true,
    };
    let core = Core::new(config, recovered, &position, world.random.seed())?;
    world.note(id, "starts", index, || format!("for the time {start}, log from {marked}"));
    let now = world.events.instant();
    let mut process = Process {
        id,
        start,
        is_removed: false,
        status: core.status(),
        read_role: core.read_index_role(),
        core,
        log: LogWriter::new(wal, synced),
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
