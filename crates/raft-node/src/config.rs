//! The settings of a node.

use std::time::Duration;

use ferretcd_base::MemberId;

use crate::Error;

/// The settings of one node. All of them are plain data; nothing is defaulted elsewhere.
#[derive(Clone, Debug)]
pub struct Config {
    /// The member this node is. Not zero.
    pub id: MemberId,
    /// The length of one tick, which is also the interval of a leader's heartbeats.
    pub heartbeat: Duration,
    /// Ticks T without a leader before an election, at least 2. Each node waits between T and 1.4 T, at random, so that
    /// seldom two start an election at once.
    pub election_ticks: usize,
    /// Request pre-votes before raising the term, so that a member that was cut off does not make the leader step down.
    pub pre_vote: bool,
    /// A leader without messages from a quorum for one election time-out steps down.
    pub check_quorum: bool,
    /// Bytes of entries in one message to a peer, and of proposals in one forwarded message. A single larger
    /// entry still travels, alone.
    pub max_size_per_msg: u64,
    /// Messages with entries on their way to one follower before the leader waits for responses. Not zero.
    pub max_inflight_msgs: usize,
    /// Applied entries kept in memory for followers that lag.
    pub catchup_entries: u64,
    /// Bytes of the log's payloads in memory above which fewer applied entries are kept.
    pub catchup_bytes: u64,
    /// Entries handed out and not yet reported as applied; beyond them no more are handed out, and everything
    /// else goes on. Not zero.
    pub unapplied_max: u64,
    /// How many proposals, configuration changes, reads and peer messages may each wait for the driver before
    /// further ones are rejected.
    pub inbox: usize,
    /// How many ticks a proposal, own or forwarded, waits for a leader.
    pub proposal_ticks: u64,
    /// A sole voter starts its first election at once instead of after the time-out.
    pub advance_ticks: bool,
}

impl Config {
    /// Errs with the name of the first setting that is out of range.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let checks = [
            ("id", self.id != MemberId::default()),
            ("heartbeat", !self.heartbeat.is_zero()),
            ("election_ticks", self.election_ticks >= 2),
            ("max_size_per_msg", self.max_size_per_msg <= MAX_UNCOMMITTED_BYTES),
            ("max_inflight_msgs", self.max_inflight_msgs > 0),
            ("unapplied_max", self.unapplied_max > 0),
            ("inbox", self.inbox > 0),
        ];
        match checks.into_iter().find(|(_, valid)| !valid) {
            Some((setting, _)) => Err(Error::Setting { setting }),
            None => Ok(()),
        }
    }

    /// The raft library's form of these settings, for a state applied up to `applied`.
    pub(crate) fn to_raft(&self, applied: u64) -> raft::Config {
        raft::Config {
            id: self.id.0,
            election_tick: self.election_ticks,
            heartbeat_tick: 1,
            applied,
            max_size_per_msg: self.max_size_per_msg,
            max_inflight_msgs: self.max_inflight_msgs,
            check_quorum: self.check_quorum,
            pre_vote: self.pre_vote,
            batch_append: true,
            max_uncommitted_size: MAX_UNCOMMITTED_BYTES,
            max_committed_size_per_ready: MAX_COMMITTED_BYTES,
            ..raft::Config::default()
        }
    }
}

/// Proposals a leader holds before it drops further ones. Far above what the inbox and the write-back limit of
/// the driver let through; it bounds memory when a quorum is gone but the own disk works.
const MAX_UNCOMMITTED_BYTES: u64 = 1 << 30;

/// Committed entries handed out in one piece, so that a restart does not materialise its whole log twice.
const MAX_COMMITTED_BYTES: u64 = 64 << 20;
