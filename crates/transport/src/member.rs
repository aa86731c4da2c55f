//! What the transport asks of the member that it works for.

use std::fmt;
use std::io;

use ferretcd_api_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use ferretcd_base::{ClusterId, LeaseId, MemberId};
use ferretcd_engine::{Answer, PeerHash};
use ferretcd_raft_node::Message;
use ferretcd_wal::SnapshotMark;

/// The member on this side. Nothing but the two methods for snapshots may block.
pub trait Member: fmt::Debug + Send + Sync + 'static {
    /// Its id, fixed for its life.
    fn id(&self) -> MemberId;

    /// The id of its cluster, fixed for its life.
    fn cluster_id(&self) -> ClusterId;

    /// Everybody in the cluster as far as this member knows, for others that ask.
    fn members(&self) -> Vec<ferretcd_membership::Member>;

    /// Takes a raft message from another member. May drop it.
    fn receive(&self, message: Message);

    /// Messages to a member were lost.
    fn report_unreachable(&self, id: MemberId);

    /// Whether the snapshot has reached a member that was announced last. Called when another one may be announced: some
    /// time after a failure.
    fn report_snapshot(&self, id: MemberId, is_sent: bool);

    /// Others say that this member was removed from the cluster. May be said often.
    fn removed(&self);

    /// Opens the state for another member, at an index of at least `at_least`. Blocks.
    fn open_snapshot(&self, at_least: u64) -> io::Result<OutgoingSnapshot>;

    /// Stores the state that `sender` sends, of `len` bytes if it says so. On return it is durable and ready to be put
    /// in force by the message that [`Self::receive`] gets next. An error of `body` is one of the connection. Blocks.
    fn accept_snapshot(
        &self,
        mark: SnapshotMark,
        sender: MemberId,
        len: Option<u64>,
        body: &mut dyn io::Read,
    ) -> io::Result<()>;

    /// Renews a lease as leader; the answer is its time to live in seconds.
    fn renew_lease(&self, lease: LeaseId) -> Answer<i64>;

    /// Tells as leader how long a lease has left.
    fn lease_info(&self, request: LeaseTimeToLiveRequest) -> Answer<LeaseTimeToLiveResponse>;

    /// Makes a voter of a learner, as leader; the answer is everybody after that.
    fn promote(&self, id: MemberId) -> Answer<Vec<ferretcd_membership::Member>>;

    /// The hash of the key space at a revision.
    fn hash_kv(&self, revision: i64) -> Answer<PeerHash>;
}

/// The state of a member as it is sent to another.
pub struct OutgoingSnapshot {
    /// Where in the log it stands, with the members there.
    pub mark: SnapshotMark,
    /// How many bytes [`Self::body`] gives, exactly.
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
