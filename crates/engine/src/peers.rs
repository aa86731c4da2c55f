//! What a member asks of the network that connects it with the others.

use std::fmt;
use std::io::Read;
use std::pin::Pin;
use std::time::Instant;

use ferretcd_api_proto::etcdserverpb::{LeaseTimeToLiveRequest, LeaseTimeToLiveResponse};
use ferretcd_base::{LeaseId, MemberId};
use ferretcd_membership::{Member, Membership};
use ferretcd_raft_node::Message;

/// The outcome of a call to another member, to be awaited. It ends by itself after a time-out of the network's
/// own, and dropping it gives the call up.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, PeerError>> + Send>>;

/// The way to the other members.
pub trait Peers: fmt::Debug + Send + Sync + 'static {
    /// Takes raft messages, in order per member. May drop any of them, delivers none twice, and never blocks. With
    /// a message that announces a snapshot goes the state itself, which the network fetches from the member.
    fn send(&self, messages: Vec<Message>);

    /// Tells who belongs to the cluster from now on. Connections to others end, and removed members are refused.
    fn set_members(&self, membership: &Membership);

    /// Since when the member is heard from without a break; `None` if it is not.
    fn active_since(&self, id: MemberId) -> Option<Instant>;

    /// Renews a lease at the leader `to`; the answer is the time to live, in seconds.
    fn renew_lease(&self, to: MemberId, lease: LeaseId) -> Answer<i64>;

    /// Asks the leader `to` how long a lease has left.
    fn lease_info(&self, to: MemberId, request: LeaseTimeToLiveRequest) -> Answer<LeaseTimeToLiveResponse>;

    /// Asks the leader `to` to make a voter of the learner `id`; the answer is everybody after that.
    fn promote(&self, to: MemberId, id: MemberId) -> Answer<Vec<Member>>;

    /// Asks the member `to` for the hash of its key space at a revision.
    fn hash_kv(&self, to: MemberId, revision: i64) -> Answer<PeerHash>;

    /// Asks the member `to` for its versions.
    fn version(&self, to: MemberId) -> Answer<PeerVersions>;

    /// Asks the member `from` for its whole state as of entry `at_least` or a later one. The answer is there when the
    /// state begins to come.
    fn fetch_state(&self, from: MemberId, at_least: u64) -> Answer<PeerState>;
}

/// The state of another member, on its way.
pub struct PeerState {
    /// The last entry that is in it.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// Bytes of the body, if the member says so.
    pub len: Option<u64>,
    /// A bolt file as etcd sends it. Reads block until there is something, and fail when nothing comes for a while. If it
    /// ends without an error it is whole.
    pub body: Box<dyn Read + Send>,
}

impl fmt::Debug for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerState")
            .field("index", &self.index)
            .field("term", &self.term)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The hash of a member's key space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerHash {
    /// Over all that is kept of the revisions up to [`Self::revision`].
    pub hash: u32,
    /// The revision asked for, or the newest if zero was.
    pub revision: i64,
    /// The last compaction when the hash was taken; only hashes with the same one can be compared.
    pub compact_revision: i64,
}

/// The versions that a member tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerVersions {
    /// Its program's, `X.Y.Z`.
    pub server: String,
    /// The cluster's as it knows it, `X.Y.0`, or empty.
    pub cluster: String,
    /// Whether the program is ferretcd, and reads the entries of its own.
    pub is_ferretcd: bool,
}

/// Why another member gave no answer, or a refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The member is unknown, or there is no connection to it.
    #[error("reach the member: {0}")]
    Unreachable(String),
    /// No answer came in time.
    #[error("get an answer from the member in time")]
    Timeout,
    /// The member does not know the lease or the member asked about, or the question.
    #[error("find there what was asked about")]
    NotFound,
    /// The member was too far behind to answer.
    #[error("wait there for the applied index")]
    TimeoutWaitApplied,
    /// The one to be promoted is no learner.
    #[error("promote a member that is no learner")]
    NotLearner,
    /// The learner to be promoted is not in sync with the leader.
    #[error("promote a learner that is not in sync with the leader")]
    LearnerNotReady,
    /// The revision asked about is compacted there.
    #[error("read a compacted revision there")]
    Compacted,
    /// The revision asked about is not known there yet.
    #[error("read a future revision there")]
    FutureRevision,
    /// Another refusal, as the member put it.
    #[error("be served by the member: {0}")]
    Refused(String),
}

/// The network of a member that is alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Alone {
    fn nobody<T: Send + 'static>() -> Answer<T> {
        Box::pin(async { Err(PeerError::Unreachable("there are no other members".to_owned())) })
    }
}

impl Peers for Alone {
    fn send(&self, _messages: Vec<Message>) {}

    fn set_members(&self, _membership: &Membership) {}

    fn active_since(&self, _id: MemberId) -> Option<Instant> {
        None
    }

    fn renew_lease(&self, _to: MemberId, _lease: LeaseId) -> Answer<i64> {
        Self::nobody()
    }

    fn lease_info(&self, _to: MemberId, _request: LeaseTimeToLiveRequest) -> Answer<LeaseTimeToLiveResponse> {
        Self::nobody()
    }

    fn promote(&self, _to: MemberId, _id: MemberId) -> Answer<Vec<Member>> {
        Self::nobody()
    }

    fn hash_kv(&self, _to: MemberId, _revision: i64) -> Answer<PeerHash> {
        Self::nobody()
    }

    fn version(&self, _to: MemberId) -> Answer<PeerVersions> {
        Self::nobody()
    }

    fn fetch_state(&self, _from: MemberId, _at_least: u64) -> Answer<PeerState> {
        Self::nobody()
    }
}
