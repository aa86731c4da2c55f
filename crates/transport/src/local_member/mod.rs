//! The local member, as the transport sees it.

mod engine;

use std::fmt;
use std::io;

use ferretcd_base::{ClusterId, MemberId};
use ferretcd_engine::{Caller, PeerCall, PeerError, PeerFuture, PeerRequest, PeerResponse};
use ferretcd_raft_node::Message;
use ferretcd_wal::SnapshotMark;

/// The member that a transport and its server work for. Only the two methods for snapshots may block.
pub trait LocalMember: fmt::Debug + Send + Sync + 'static {
    /// The member's id, fixed for its life.
    fn id(&self) -> MemberId;

    /// The id of the member's cluster, fixed for its life.
    fn cluster_id(&self) -> ClusterId;

    /// All members of the cluster that this member knows.
    fn members(&self) -> Vec<ferretcd_membership::Member>;

    /// Takes a raft message of a peer. May drop it.
    fn receive(&self, message: Message);

    /// Takes a report about a peer.
    fn report(&self, report: PeerReport);

    /// Serves the request of a peer.
    fn serve(&self, caller: &Caller, request: PeerRequest) -> PeerFuture<PeerResponse>;

    /// Opens the snapshot for a peer, at an index of at least `at_least`. Blocks.
    fn open_snapshot(&self, at_least: u64) -> io::Result<OutgoingSnapshot>;

    /// Stores the snapshot of `sender`, of `len` bytes if the sender announces them. On return it is durable and ready to
    /// be installed by the message that [`Self::receive`] gets next. An error of `body` is one of the connection. Blocks.
    fn accept_snapshot(
        &self,
        mark: SnapshotMark,
        sender: MemberId,
        len: Option<u64>,
        body: &mut dyn io::Read,
    ) -> io::Result<()>;
}

impl dyn LocalMember {
    /// Serves a request whose response has a type of its own.
    pub(crate) async fn call<C: PeerCall>(&self, caller: &Caller, call: C) -> Result<C::Response, PeerError> {
        C::response(self.serve(caller, call.into()).await?)
    }
}

/// What the transport has found out about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerReport {
    /// Messages to the peer were lost.
    Unreachable(MemberId),
    /// The last announced snapshot has reached the peer, or has failed. After a failure this is reported with a delay,
    /// when another snapshot may be announced.
    Snapshot {
        /// The peer that the snapshot was for.
        to: MemberId,
        /// Whether the peer has stored it.
        is_sent: bool,
    },
    /// A peer rejects this member as removed from the cluster. May be repeated often.
    Removed,
}

/// The snapshot of the local member while it is sent.
pub struct OutgoingSnapshot {
    /// Its position in the log, with the members there.
    pub mark: SnapshotMark,
    /// Bytes of [`Self::body`], exactly.
    pub len: u64,
    /// The image. Read on a thread that may block.
    pub body: Box<dyn io::Read + Send>,
}

impl fmt::Debug for OutgoingSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingSnapshot")
            .field("mark", &self.mark)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}
