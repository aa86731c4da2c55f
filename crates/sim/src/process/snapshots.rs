//! The snapshots that a member sends and receives.

use std::collections::BTreeMap;

use ferretcd_raft_node::Message;
use ferretcd_wal::SnapshotMark;

use crate::disk::Disk;
use crate::event::SimEvent;
use crate::event_queue::MS;
use crate::world::World;

#[derive(Debug)]
pub(super) struct Snapshots {
    pub(super) disk: Disk,
    /// Messages whose snapshots are not sent yet.
    pub(super) sending: Vec<Message>,
    /// Snapshots that are being stored.
    pub(super) storing: BTreeMap<u64, (Message, Vec<u8>)>,
    /// The snapshot that the core wants to have installed.
    pub(super) install: Option<SnapshotMark>,
}

impl Snapshots {
    pub(super) fn new(disk: Disk) -> Self {
        Self { disk, sending: Vec::new(), storing: BTreeMap::new(), install: None }
    }
}

/// A snapshot is not accepted; its sender learns that some time later.
pub(crate) fn reject(message: &Message, world: &mut World) {
    let (from, to) = (message.from().0, message.to().0);
    let delay = world.random.between(MS, 1_000 * MS);
    world.events.schedule(delay, SimEvent::SnapshotSent { from, to, ok: false });
}
