//! The two traits a node needs from outside, and the types in their methods.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use ferretcd_base::{LogPosition, MemberId};

use crate::{ConfChange, Error, Message};

/// The member a node works for. Every method but [`Self::read_ready`] is called on the node's driver thread, one at a
/// time and in the order in which things happened; none may wait for the node.
pub trait Host: Send + Sync + 'static {
    /// Entries are committed and durable here. They come in log order, each exactly once, starting behind
    /// [`Applied::index`]. A configuration change is the last one until
    /// [`configure`](crate::NodeHandle::configure) was called for it, and not more than
    /// [`Config::unapplied_max`](crate::Config::unapplied_max) are handed out and not reported as applied.
    fn committed(&self, entries: Vec<Committed>);

    /// The leader has sent a snapshot, which stands at `mark`; the log durably begins there now. The member installs
    /// the snapshot in place of the present state, after everything that was handed out before, then calls
    /// [`installed`](crate::NodeHandle::installed). Until then the node takes part in nothing. Entries up to the mark
    /// that were not handed out never will be.
    fn install(&self, mark: ferretcd_wal::SnapshotMark);

    /// The read of `token` is linearizable as soon as the entries up to `index` are applied. Called on any
    /// thread: the driver's, or the one that [received](crate::NodeHandle::receive) the leader's response.
    fn read_ready(&self, token: ReadToken, index: u64);

    /// The proposals and configuration changes with these tokens are certainly in no log.
    fn proposals_dropped(&self, tokens: Vec<u64>);

    /// The leader, the term, the own role or the own membership changed. What was forwarded to an earlier
    /// leader may be lost without a further word.
    fn role_changed(&self, status: &Status);

    /// The log was synced once.
    fn persisted(&self, report: &Persisted);

    /// The node cannot go on. This is its last call.
    fn failed(&self, error: &Error);
}

/// Where messages for other members go.
pub trait Transport: Send + Sync + 'static {
    /// Takes messages for other members, those of one thread in order per member. May drop any of them, delivers none
    /// twice, and never blocks.
    fn send(&self, messages: Vec<Message>);
}

/// The transport of a cluster of one, which has no peers.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPeers;

impl Transport for NoPeers {
    fn send(&self, _messages: Vec<Message>) {}
}

/// Where the state file stands at the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Applied {
    /// The last entry the state contains; 0 for a new cluster.
    pub index: u64,
    /// The configuration as of `index`; empty for a new cluster.
    pub conf_state: ferretcd_wal::ConfState,
}

/// An entry that no later leader can change.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Its place in the log.
    pub position: LogPosition,
    /// Its content.
    pub payload: Payload,
}

/// The content of a committed entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// Nothing: a new leader's first entry, or a configuration change that came while another was pending.
    Empty,
    /// A proposal's bytes.
    Normal(Bytes),
    /// A change of the configuration, not in force yet: the member decides whether it is possible.
    ConfChange {
        /// The change.
        change: ConfChange,
    },
}

/// Names one try of one read. Never reuse one: a late acknowledgement of the first try would confirm the
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadToken(pub u64);

/// One sync of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Persisted {
    /// Bytes written before it, with framing.
    pub bytes: u64,
    /// How long writing took.
    pub write: Duration,
    /// How long the sync took.
    pub sync: Duration,
}

/// A node's view of the cluster and itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The own member.
    pub id: MemberId,
    /// The leader this node follows; zero while it knows none.
    pub leader: MemberId,
    /// The current term.
    pub term: u64,
    /// The own part in it.
    pub role: Role,
    /// The last entry known to be committed. It may not be durable here yet.
    pub committed: u64,
    /// The last entry that the member reported as applied.
    pub applied: u64,
    /// Whether this member has a vote.
    pub is_voter: bool,
    /// Whether this member receives the log without a vote.
    pub is_learner: bool,
    /// The member that has this one's vote in the term; zero while none has it.
    pub vote: MemberId,
    /// The member that this leader hands its place to; zero while it keeps it.
    pub transferee: MemberId,
}

/// The progress of one member's log, as its leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The member.
    pub id: MemberId,
    /// Its log is the leader's up to here, durably. For the leader itself: the last index of its log.
    pub matched: u64,
    /// The next entry that it is sent.
    pub next: u64,
    /// Whether the leader still looks for the last entry that their logs have in common.
    pub is_probed: bool,
    /// Whether it has sent a message in this election time-out or the one before. Always true of the leader itself.
    pub is_recently_active: bool,
    /// Whether it needs entries that the leader does not keep any more, and gets a snapshot. Until that is installed it
    /// acknowledges nothing.
    pub needs_snapshot: bool,
    /// Whether it has no vote.
    pub is_learner: bool,
}

/// A node's part in the current term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Requests pre-votes, to find out whether an election would succeed.
    PreCandidate,
    /// Requests votes.
    Candidate,
    /// Orders the log.
    Leader,
}

impl From<raft::StateRole> for Role {
    fn from(role: raft::StateRole) -> Self {
        match role {
            raft::StateRole::Follower => Self::Follower,
            raft::StateRole::PreCandidate => Self::PreCandidate,
            raft::StateRole::Candidate => Self::Candidate,
            raft::StateRole::Leader => Self::Leader,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}
