//! Everything that can happen in a run.

use ferretcd_raft_node::Message;

use crate::check::{OpId, Reply};
use crate::network::Parcel;
use crate::process::timer::Timer;
use crate::workload::WatcherStep;

/// An event of a run.
#[derive(Debug)]
pub(crate) enum SimEvent {
    /// A running member does something by itself. Void when it has been started again since.
    Timer { member: u64, start: u64, timer: Timer },
    /// A message arrives.
    Deliver(Parcel),
    /// A snapshot arrives.
    Snapshot { message: Message, image: Vec<u8> },
    /// The sender of a snapshot learns whether it arrived.
    SnapshotSent { from: u64, to: u64, ok: bool },
    /// A member notices that messages were lost.
    Unreachable { from: u64, to: u64 },
    /// A request arrives.
    Request { member: u64, op: OpId },
    /// A reply arrives.
    Reply { op: OpId, reply: Reply },
    /// A client sends its next request.
    Client(usize),
    /// A client gives up.
    Overdue(OpId),
    /// Something happens to a watcher. Void when it has lost its stream since.
    Watcher { watcher: usize, epoch: u64, step: WatcherStep },
    /// Something breaks.
    Fault,
    /// A direction between two members works again.
    Mend { from: u64, to: u64 },
    /// A member is started.
    Start(u64),
}
