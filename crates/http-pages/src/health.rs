use std::pin::Pin;

/// What the HTTP pages read of a member. Everything but [`read`](Health::read) comes from memory.
pub trait Health: Send + Sync + 'static {
    /// The active alarms of the whole cluster.
    fn alarms(&self) -> Vec<Alarm>;

    /// Whether this member knows a leader.
    fn has_leader(&self) -> bool;

    /// Whether this member is a learner.
    fn is_learner(&self) -> bool;

    /// Reads from the store, with the rights of root, and drops what it read. `linearizable` reads need a quorum of
    /// the cluster, others read what this member has applied.
    ///
    /// The future may be dropped at any point. Its error is a text for people, shown in the response.
    fn read(&self, linearizable: bool) -> BoxFuture<'_, Result<(), String>>;

    /// The state of raft; `None` when the member stops.
    fn raft(&self) -> BoxFuture<'_, Option<Raft>>;

    /// The versions that `/version` shows.
    fn versions(&self) -> Versions;
}

/// A future on the heap; what keeps [`Health`] usable as a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An active alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The member that raised it.
    pub member_id: u64,
    /// What it is about.
    pub kind: AlarmKind,
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmKind {
    /// The member's quota is used up.
    NoSpace,
    /// The member's data differs from that of the others.
    Corrupt,
}

impl AlarmKind {
    /// The name in queries and responses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            AlarmKind::NoSpace => "NOSPACE",
            AlarmKind::Corrupt => "CORRUPT",
        }
    }
}

/// The versions of a member and its cluster, each as `X.Y.Z`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The etcd version whose behaviour this server has.
    pub server: String,
    /// The version that all members agreed on; `None` before that.
    pub cluster: Option<String>,
    /// The version of the data on disk; `None` if it is not stored.
    pub storage: Option<String>,
}

/// The state of raft on a member. Ids of members are zero for none.
#[derive(Clone, Debug)]
pub struct Raft {
    /// The member.
    pub id: u64,
    /// The current term.
    pub term: u64,
    /// The member that has this one's vote in the term.
    pub vote: u64,
    /// The committed index.
    pub committed: u64,
    /// The leader.
    pub leader: u64,
    /// The member's role, such as `StateLeader`.
    pub role: &'static str,
    /// The applied index.
    pub applied: u64,
    /// How much of the log each member has; empty unless this member leads.
    pub progress: Vec<RaftProgress>,
    /// The member that this leader hands its place to.
    pub transferee: u64,
}

/// How much of the log a member has, as its leader knows it.
#[derive(Clone, Debug)]
pub struct RaftProgress {
    /// The member.
    pub id: u64,
    /// Its log is the leader's up to here.
    pub matched: u64,
    /// The next entry that it is sent.
    pub next: u64,
    /// How it is sent entries, such as `StateReplicate`.
    pub state: &'static str,
}
