//! Input and output of a [`Core`](crate::Core).

use bytes::Bytes;
use ferretcd_base::MemberId;

use crate::{Committed, ConfChange, Error, Message, ReadToken, Status};

/// Everything that makes a [`Core`](crate::Core) do something.
#[derive(Debug)]
pub enum Event {
    /// One heartbeat interval has passed.
    Tick,
    /// A message of a peer was received.
    Message(Message),
    /// Append these to the log, in this order, or forward them to the leader.
    Propose(Vec<Proposal>),
    /// Append a configuration change, or forward it to the leader.
    ConfChange {
        /// Comes back if the change is certainly not logged.
        token: u64,
        /// The change.
        change: ConfChange,
    },
    /// Find the index from which these reads are linearizable.
    ReadIndex(Vec<ReadToken>),
    /// Everything in [`Persist`]s up to this number is durable.
    Persisted(u64),
    /// The member's decision about the configuration change that was handed out last.
    Configure {
        /// The index of its entry; ignored unless that entry waits for this.
        index: u64,
        /// The change to put into force; `None` if the member has rejected it.
        change: Option<ConfChange>,
    },
    /// The member has applied the entries up to this index.
    Applied(u64),
    /// Transfer the leadership to this member.
    TransferLeader(MemberId),
    /// The snapshot of [`Effects::install`] is installed; the index is that of its mark.
    Installed(u64),
    /// Messages to this member were lost.
    Unreachable(MemberId),
    /// A snapshot was sent to this member, or could not be.
    SnapshotSent {
        /// The member.
        to: MemberId,
        /// Whether it has arrived.
        ok: bool,
    },
}

/// A request to replicate some bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// Comes back if the proposal is certainly not logged.
    pub token: u64,
    /// The bytes to replicate. Empty data is an entry without effect.
    pub data: Bytes,
    /// If set, the proposal is dropped unless this node leads in just that term and can log it at once: for proposals
    /// that follow from the leadership and must not come behind those of a later leader.
    pub only_in_term: Option<u64>,
}

impl Proposal {
    /// A proposal for the leader, whichever member that is.
    pub fn new(token: u64, data: impl Into<Bytes>) -> Self {
        Self { token, data: data.into(), only_in_term: None }
    }
}

/// What the caller of a [`Core`](crate::Core) has to do, in the order of the fields.
#[derive(Debug, Default)]
pub struct Effects {
    /// Send these now.
    pub send: Vec<Message>,
    /// Write these to the log in this order; respond with [`Event::Persisted`] once they are synced.
    pub persist: Vec<Persist>,
    /// The leader, the term, the role or the membership of this member changed.
    pub role: Option<Status>,
    /// Apply these.
    pub committed: Vec<Committed>,
    /// The log durably begins behind a snapshot from the leader: install it in place of the present state, then respond
    /// with [`Event::Installed`]. Nothing else moves before.
    pub install: Option<ferretcd_wal::SnapshotMark>,
    /// These reads may be served from a state that contains the index.
    pub reads: Vec<(ReadToken, u64)>,
    /// Proposals and configuration changes that are certainly in no log.
    pub dropped: Vec<u64>,
    /// The node cannot go on.
    pub failed: Option<Error>,
}

/// A step of the log on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct Persist {
    /// Numbers rise, not always by one.
    pub number: u64,
    /// To be written first: the log continues behind this mark. Then there are no entries.
    pub mark: Option<ferretcd_wal::SnapshotMark>,
    /// To be appended next. The first index may be an earlier one than the last appended: what it and its
    /// successors held before is replaced.
    pub entries: Vec<ferretcd_wal::Entry>,
    /// To be written behind the entries.
    pub hard_state: Option<ferretcd_wal::HardState>,
    /// If false, this may be written together with any later step, and needs no response.
    pub must_sync: bool,
}
