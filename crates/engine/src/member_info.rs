//! Facts about this member that all facets share.

use std::fmt;
use std::sync::Arc;

use ferretcd_api_proto::etcdserverpb::{AlarmType, ResponseHeader};
use ferretcd_apply::Alarm;
use ferretcd_base::{ClusterId, MemberId};
use ferretcd_data_dir::DataDir;
use ferretcd_membership::Membership;
use ferretcd_mvcc::Reader;
use ferretcd_raft_node::NodeHandle;

use crate::Config;
use crate::replies::ReadRounds;
use crate::shared::Shared;

/// The place of the member in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The leader, if one is known.
    pub leader: Option<MemberId>,
    /// The current term.
    pub term: u64,
    /// Index of the last entry known to be committed.
    pub committed: u64,
    /// Index of the last entry that was applied.
    pub applied: u64,
}

/// Versions as `/version` and Status show them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The cluster's, `X.Y.0`; `None` until it is decided.
    pub cluster: Option<String>,
    /// That of the layout of the state file, `X.Y.0`; `None` until the cluster's is decided, and before 3.6.
    pub storage: Option<String>,
}

/// What a member knows about itself and its cluster. All methods are cheap, and none waits. Clones are cheap and refer
/// to the same member.
///
/// The lock of the data directory is held until the last clone is dropped. So every struct that reads the state file
/// has one as its last field.
#[derive(Clone)]
pub struct MemberInfo(Arc<Inner>);

struct Inner {
    config: Config,
    shared: Arc<Shared>,
    node: NodeHandle,
    read_rounds: Arc<ReadRounds>,
    reader: Reader,
    /// Locks the directory. The last field, so that the files are closed before.
    _data_dir: DataDir,
}

impl fmt::Debug for MemberInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberInfo").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl MemberInfo {
    pub(crate) fn new(
        config: Config,
        shared: Arc<Shared>,
        node: NodeHandle,
        read_rounds: Arc<ReadRounds>,
        reader: Reader,
        data_dir: DataDir,
    ) -> Self {
        Self(Arc::new(Inner { config, shared, node, read_rounds, reader, _data_dir: data_dir }))
    }

    /// What the member was started with.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The id of the member.
    pub fn id(&self) -> MemberId {
        self.0.shared.member_id
    }

    /// The id of its cluster.
    pub fn cluster_id(&self) -> ClusterId {
        self.0.shared.cluster_id
    }

    /// The place of the member in its group.
    pub fn status(&self) -> Status {
        let status = self.0.node.status();
        Status {
            leader: (status.leader != MemberId::default()).then_some(status.leader),
            term: status.term,
            committed: status.committed,
            applied: self.applied_index(),
        }
    }

    /// Whether the member leads.
    pub fn is_leader(&self) -> bool {
        self.0.node.status().leader == self.id()
    }

    /// Whether the member replicates without a vote.
    pub fn is_learner(&self) -> bool {
        self.membership().member(self.id()).is_some_and(|member| member.is_learner)
    }

    /// The members of the cluster as this member knows them.
    pub fn membership(&self) -> Arc<Membership> {
        self.0.shared.membership.load_full()
    }

    /// The active alarms as this member knows them.
    pub fn alarms(&self) -> Arc<Vec<Alarm>> {
        self.0.shared.alarms.load_full()
    }

    /// Versions of cluster and storage.
    pub fn versions(&self) -> Versions {
        let membership = self.0.shared.membership.load();
        let cluster = membership.version().map(str::to_owned);
        Versions { cluster, storage: membership.storage_version().map(|version| version.to_string()) }
    }

    /// The newest revision of the key space on this member.
    pub fn revision(&self) -> i64 {
        self.0.reader.revision()
    }

    /// The header of a response at `revision`.
    pub fn header(&self, revision: i64) -> ResponseHeader {
        ResponseHeader {
            cluster_id: self.cluster_id().0,
            member_id: self.id().0,
            revision,
            raft_term: self.0.node.status().term,
        }
    }

    pub(crate) fn applied_index(&self) -> u64 {
        self.0.read_rounds.applied_index()
    }

    /// Entries that are committed and not applied yet.
    pub(crate) fn n_unapplied(&self) -> u64 {
        self.0.node.status().committed.saturating_sub(self.applied_index())
    }

    pub(crate) fn has_alarm(&self, kind: AlarmType, member: MemberId) -> bool {
        self.0.shared.alarms.load().contains(&Alarm { kind: kind as i32, member })
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.0.shared.is_stopping()
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0.shared
    }
}
