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
