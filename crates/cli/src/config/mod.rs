//! The configuration as the server uses it: typed, checked, with every default resolved.

mod bootstrap;
mod build;
mod check;
mod compaction;
mod discovery;
mod gates;
mod log_options;
mod places;
mod security;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use bootstrap::{BootstrapError, UrlMismatch};
pub(crate) use build::build;
#[cfg(test)]
pub(crate) use build::tests::config as config_of;
pub use compaction::AutoCompaction;
pub use ferretcd_discovery::Discovery;
pub use ferretcd_membership::{Scheme, Url, UrlError};
pub use gates::{FeatureGates, GateError, Stage};
pub(crate) use log_options::log_options;
pub use places::Unresolved;
pub(crate) use places::{Names, Place, first_difference, places};
pub use security::{Port, PortSecurity, Security};

/// Requests above this size (10 MiB) are allowed and discouraged.
pub(crate) const RECOMMENDED_REQUEST_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Quotas above this size (8 GiB) are allowed and discouraged.
pub(crate) const RECOMMENDED_QUOTA_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// Everything a server needs to know to start. Plain data; whoever holds it may change it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the member, the key of its URLs in [`Cluster::initial_cluster`].
    pub name: String,
    /// Directory of the member's files; may not exist yet.
    pub data_dir: PathBuf,
    /// Directory of the raft log if it is not inside [`Self::data_dir`].
    pub wal_dir: Option<PathBuf>,
    /// Where the member listens.
    pub listen: Listen,
    /// How others reach the member.
    pub advertise: Advertise,
    /// The cluster it belongs to.
    pub cluster: Cluster,
    /// The clock of raft.
    pub raft: Raft,
    /// The files and what is kept in them.
    pub storage: Storage,
    /// Bounds for clients.
    pub limits: Limits,
    /// When history is dropped.
    pub compaction: Compaction,
    /// Rules for plain HTTP.
    pub http: Http,
    /// Encryption, and who may connect.
    pub security: Security,
    /// What counts as slow.
    pub warnings: Warnings,
    /// How often idle watches that asked for it are told so; at least 100 ms.
    pub watch_progress_interval: Duration,
    /// How often all members' data are compared; `None` for never.
    pub corrupt_check_interval: Option<Duration>,
    /// How often the hashes of compactions are compared, if the gate for that is open.
    pub compact_hash_check_interval: Duration,
    /// Whether the member replaces its data by another's when they are found to be wrong.
    pub refetch_corrupt_data: bool,
    /// Which gates are open.
    pub feature_gates: FeatureGates,
    /// Threads of the async runtime; `None` lets the server choose.
    pub worker_threads: Option<usize>,
}

/// Where the member listens. Each list is sorted and has every URL once. Hosts are IP addresses or `localhost`, but for
/// Unix sockets; for URLs that ask for TLS [`Config::security`] has a certificate.
#[derive(Clone, Debug)]
pub struct Listen {
    /// For other members. Not empty.
    pub peer: Vec<Url>,
    /// For clients: gRPC, and HTTP unless [`Self::client_http`] has URLs. Not empty.
    pub client: Vec<Url>,
    /// For clients, HTTP only.
    pub client_http: Vec<Url>,
    /// For `/metrics` and `/health`.
    pub metrics: Vec<Url>,
    /// Set `SO_REUSEPORT` on listening sockets.
    pub reuse_port: bool,
    /// Set `SO_REUSEADDR` on listening sockets.
    pub reuse_address: bool,
}

/// How others reach the member. Sorted, every URL once, never without a host.
#[derive(Clone, Debug)]
pub struct Advertise {
    /// For other members; what the member's id is made of when it founds a cluster.
    pub peer: Vec<Url>,
    /// For clients.
    pub client: Vec<Url>,
}

/// The cluster the member belongs to. Of use only at its first start, but for the last two fields.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The peer URLs of all founding members by name, sorted. What [`Self::discovery`] has still to find is not in it:
    /// SRV records name everybody, a registry everybody else.
    pub initial_cluster: BTreeMap<String, Vec<Url>>,
    /// Where the founders are found, if [`Self::initial_cluster`] does not have them.
    pub discovery: Option<Discovery>,
    /// Whether there is a cluster already.
    pub state: ClusterState,
    /// Distinguishes clusters with equal URLs; goes into the ids. That of the registry if there is one.
    pub token: String,
    /// Refuse changes of membership that would cost the quorum.
    pub strict_reconfig_check: bool,
    /// Learners that the cluster may have.
    pub learners_max: usize,
    /// Ask for votes before calling an election.
    pub pre_vote: bool,
    /// Go on with the data that there is, without the other members.
    pub force_new: bool,
}

impl Cluster {
    /// The initial cluster as the flag has it, sorted by name and URL.
    pub fn initial_cluster_text(&self) -> String {
        ferretcd_membership::format_initial_cluster(&self.initial_cluster)
    }
}

/// Whether the member founds its cluster or joins it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClusterState {
    /// All members of [`Cluster::initial_cluster`] found it together.
    New,
    /// A running cluster has added this member.
    Existing,
}

/// The clock of raft. `heartbeat_interval` is the length of a tick.
#[derive(Clone, Copy, Debug)]
pub struct Raft {
    /// Time between heartbeats; at least a millisecond.
    pub heartbeat_interval: Duration,
    /// Time without heartbeats before an election; 5 heartbeats to 50 s.
    pub election_timeout: Duration,
    /// Let the first election come early.
    pub initial_election_tick_advance: bool,
}

/// The files and what is kept in them.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Size of the state file above which writes are refused; `None` for no limit.
    pub quota_bytes: Option<u64>,
    /// Longest time between two durable commits of the state file. Above zero.
    pub batch_interval: Duration,
    /// Most operations between two durable commits. Above zero.
    pub batch_limit: usize,
    /// Applied entries between two points to which the raft log can be cut. Above zero.
    pub snapshot_count: u64,
    /// Entries kept in memory behind such a point. Above zero.
    pub snapshot_catchup_entries: u64,
    /// Segments of the raft log to keep; 0 keeps all.
    pub max_wals: u64,
    /// Never wait for the disk: acknowledged writes can be lost.
    pub unsafe_no_fsync: bool,
}

/// Bounds for clients.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most operations in a transaction.
    pub txn_ops_max: usize,
    /// Largest request in bytes.
    pub request_bytes_max: usize,
    /// Most concurrent streams on a connection.
    pub concurrent_streams_max: u32,
    /// Shortest time between pings that a client may send.
    pub keepalive_min_time: Duration,
    /// Time after which an idle client is pinged; `None` for never.
    pub keepalive_interval: Option<Duration>,
    /// Time to wait for the answer to a ping; `None` for ever.
    pub keepalive_timeout: Option<Duration>,
}

/// When history is dropped, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Compaction {
    /// What the leader compacts of its own accord.
    pub auto: AutoCompaction,
    /// Most revisions to drop at once. Above zero.
    pub batch_limit: usize,
    /// Pause between such batches. Above zero.
    pub sleep_interval: Duration,
}

/// Rules for plain HTTP.
#[derive(Clone, Debug)]
pub struct Http {
    /// Origins whose scripts may call; `*` among them allows all.
    pub cors: Vec<String>,
    /// Values allowed for `Host` in requests without TLS. Empty, or with `*` among them: all.
    pub host_whitelist: Vec<String>,
    /// Measure the time that each kind of call takes.
    pub extensive_metrics: bool,
}

/// Times above which a warning is logged. Zero warns each time.
#[derive(Clone, Copy, Debug)]
pub struct Warnings {
    /// For applying a request.
    pub apply: Duration,
    /// For answering a unary call.
    pub unary_request: Duration,
}
