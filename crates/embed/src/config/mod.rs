//! Everything that a server is started with: typed, plain data, with etcd's defaults.

mod auth;
mod security;
mod timing;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ferretcd_discovery::Discovery;
use ferretcd_engine::CorruptionChecks;
use ferretcd_membership::{Url, format_initial_cluster};
use ferretcd_ui::Reach;

pub use auth::{Auth, Tokens};
pub use security::{Port, PortSecurity, Security};
pub use timing::{Raft, TimingError};

/// Everything that a server needs to know to start. No field has a hidden default; [`Config::new`] has a value for
/// each.
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
    /// The address of this machine that connections to other members come from; `None` leaves it to the system.
    pub peer_source: Option<IpAddr>,
    /// The cluster that the member belongs to.
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
    /// Encryption, and which certificates may connect.
    pub security: Security,
    /// How users prove their identity.
    pub auth: Auth,
    /// What counts as slow.
    pub warnings: Warnings,
    /// How often idle watches that requested it get a progress notification.
    pub watch_progress_interval: Duration,
    /// Whether the leader records in the log how much time long leases have left.
    pub lease_checkpoint: bool,
    /// When members compare their data.
    pub corruption_checks: CorruptionChecks,
    /// How often a leader looks whether a downgrade of the cluster is complete; `None` for never.
    pub downgrade_check: Option<Duration>,
    /// Whether the member replaces its data by another member's when it is found to be corrupt.
    pub refetch_corrupt_data: bool,
    /// How long calls may go on after [`Server::stop`](crate::Server::stop).
    pub drain_timeout: Duration,
}

/// Where the member listens. Hosts are IP addresses or `localhost`, port 0 is any free port; for URLs that ask for TLS
/// [`Config::security`] has a certificate.
#[derive(Clone, Debug)]
pub struct Listen {
    /// For other members. May be empty if the member is and stays the only one.
    pub peer: Vec<Url>,
    /// For clients: gRPC, and HTTP unless [`Self::client_http`] has URLs.
    pub client: Vec<Url>,
    /// For clients, HTTP only.
    pub client_http: Vec<Url>,
    /// For `/metrics` and `/health`. Served from the start on, while the others wait until the member has a leader.
    pub metrics: Vec<Url>,
    /// Set `SO_REUSEPORT` on listening sockets.
    pub reuse_port: bool,
}

impl Listen {
    /// Whether a URL for clients or metrics asks for TLS.
    #[must_use]
    pub fn is_client_encrypted(&self) -> bool {
        let mut urls = self.client.iter().chain(&self.client_http).chain(&self.metrics);
        urls.any(|url| url.scheme().is_tls())
    }

    /// Whether a URL for other members asks for TLS.
    #[must_use]
    pub fn is_peer_encrypted(&self) -> bool {
        self.peer.iter().any(|url| url.scheme().is_tls())
    }
}

/// How others reach the member. Sorted, every URL once, never without a host.
#[derive(Clone, Debug)]
pub struct Advertise {
    /// For other members; the member's id is made of it when it founds a cluster.
    pub peer: Vec<Url>,
    /// For clients. Empty for the addresses that are bound for [`Listen::client`].
    pub client: Vec<Url>,
}

/// The cluster that the member belongs to. Of use only at its first start, but for the last four fields.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// The peer URLs of all founding members by name, sorted. Without those that [`Self::discovery`] has still to find:
    /// SRV records name all members, a registry all others.
    pub initial_cluster: BTreeMap<String, Vec<Url>>,
    /// Where the founders are found, if [`Self::initial_cluster`] does not have them.
    pub discovery: Option<Discovery>,
    /// Whether there is a cluster already.
    pub state: ClusterState,
    /// Distinguishes clusters with equal URLs; goes into the ids. That of the registry if there is one.
    pub token: String,
    /// Reject changes of membership that would cost the quorum.
    pub strict_reconfig_check: bool,
    /// Learners that the cluster may have.
    pub learners_max: usize,
    /// Ask for votes before calling an election.
    pub pre_vote: bool,
    /// Go on with the data that there is, without the other members.
    pub force_new: bool,
}

impl Cluster {
    /// The initial cluster as etcd's flag has it, sorted by name and URL.
    pub fn initial_cluster_text(&self) -> String {
        format_initial_cluster(&self.initial_cluster)
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

/// The files and what is kept in them.
#[derive(Clone, Copy, Debug)]
pub struct Storage {
    /// Size of the state file above which writes are rejected; `None` for no limit.
    pub quota_bytes: Option<u64>,
    /// Longest time between two durable commits of the state file. Above zero.
    pub batch_interval: Duration,
    /// Most operations between two durable commits. Above zero.
    pub batch_limit: usize,
    /// Bytes of the state file that a defragmentation before clients are served has to free for it to be made; 0 for none
    /// at the start. Beside the clients there is one whenever it is worth it.
    pub defragment_at_start_bytes: u64,
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
    /// Most connections of clients, on all listeners together; `None` for any number. Each takes a descriptor, and a
    /// member that has none for its files fails.
    pub connections_max: Option<usize>,
    /// Bytes of memory for responses that are long, or that are put together before they can be sent; what has no room
    /// waits, and is rejected after some seconds. `None` for an eighth of what the control group has, or the machine.
    pub response_memory_bytes: Option<u64>,
    /// Time after which an idle client is pinged; `None` for never.
    pub keepalive_interval: Option<Duration>,
    /// Time to wait for the response to a ping; `None` for ever.
    pub keepalive_timeout: Option<Duration>,
    /// The shortest time between two pings of a client, which is sent away if it pings more often; `None` for five minutes.
    /// Above TLS it holds where gRPC is served alone.
    pub ping_interval_min: Option<Duration>,
    /// How long a stream from another member may be silent before it is given up.
    pub peer_read_timeout: Duration,
    /// How long a stream to another member may take nothing before it is given up.
    pub peer_write_timeout: Duration,
}

/// When history is dropped, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Compaction {
    /// What the leader compacts without a request.
    pub auto: AutoCompaction,
    /// Most revisions to drop at once. Above zero.
    pub batch_limit: usize,
    /// Pause between such batches. Above zero.
    pub sleep_interval: Duration,
}

/// What the leader compacts without a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Nothing.
    Off,
    /// History older than this. Above zero.
    Periodic(Duration),
    /// History but for this many revisions. Above zero.
    Revision(u64),
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
    /// Serve the API as JSON too.
    pub has_gateway: bool,
    /// Which connections get the page for people.
    pub ui: Reach,
    /// What `/debug/vars` shows as the command line; secrets must be left out.
    pub command_line: Vec<String>,
    /// Serve profiles of the process under `/debug/pprof`.
    pub has_profiles: bool,
    /// Show at `/debug/requests` how many calls there are.
    pub has_requests: bool,
}

/// Times above which a warning is logged. Zero warns each time.
#[derive(Clone, Copy, Debug)]
pub struct Warnings {
    /// For applying a request.
    pub apply: Duration,
    /// For responding to a unary call.
    pub unary_request: Duration,
}

impl Default for Config {
    /// What etcd starts with without any flag: the member `default`, its data in `default.etcd` of the working directory.
    fn default() -> Self {
        Self::new("default", "default.etcd")
    }
}

impl Config {
    /// A member that founds a cluster of its own, on etcd's ports of `localhost`. Everything else is as etcd's flags
    /// have it by default, but for [`Storage::batch_interval`], which is five times as long, and
    /// [`Self::lease_checkpoint`], which etcd has off.
    pub fn new(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        let (name, peer, client) = (name.into(), url("http://localhost:2380"), url("http://localhost:2379"));
        Self {
            data_dir: data_dir.into(),
            wal_dir: None,
            listen: Listen {
                peer: vec![peer.clone()],
                client: vec![client.clone()],
                client_http: Vec::new(),
                metrics: Vec::new(),
                reuse_port: false,
            },
            advertise: Advertise { peer: vec![peer.clone()], client: vec![client] },
            peer_source: None,
            cluster: Cluster {
                initial_cluster: [(name.clone(), vec![peer])].into(),
                discovery: None,
                state: ClusterState::New,
                token: "etcd-cluster".to_owned(),
                strict_reconfig_check: true,
                learners_max: 1,
                pre_vote: true,
                force_new: false,
            },
            name,
            raft: Raft::default(),
            storage: Storage::default(),
            limits: Limits::default(),
            compaction: Compaction::default(),
            http: Http::default(),
            security: Security::default(),
            auth: Auth::default(),
            warnings: Warnings::default(),
            watch_progress_interval: Duration::from_secs(600),
            lease_checkpoint: true,
            corruption_checks: CorruptionChecks { at_start: false, periodic: None, compactions: None },
            downgrade_check: Some(Duration::from_secs(5)),
            refetch_corrupt_data: false,
            drain_timeout: Duration::from_secs(5),
        }
    }

    /// The only member of its cluster, with no port for others, and with a free port of this machine for clients:
    /// [`Server::client_urls`](crate::Server::client_urls) has it.
    pub fn standalone(data_dir: impl Into<PathBuf>) -> Self {
        let mut config = Self::new("default", data_dir);
        config.listen.peer.clear();
        config.listen.client = vec![url("http://127.0.0.1:0")];
        config.advertise.client.clear();
        config
    }
}

/// The texts of URLs, as logs, the engine and peers take them.
pub(crate) fn url_texts<'a>(urls: impl IntoIterator<Item = &'a Url>) -> Vec<String> {
    urls.into_iter().map(|url| url.as_str().to_owned()).collect()
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("the text is a URL")
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            quota_bytes: Some(2 << 30),
            // etcd commits five times as often. Here the log alone answers for durability, each commit of few rows
            // costs some 50 KB of writing, and what a restart has to apply again is at most this much more.
            batch_interval: Duration::from_millis(500),
            batch_limit: 10_000,
            defragment_at_start_bytes: 0,
            snapshot_count: 10_000,
            snapshot_catchup_entries: 5_000,
            max_wals: 5,
            unsafe_no_fsync: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            txn_ops_max: 128,
            request_bytes_max: 1_572_864,
            concurrent_streams_max: u32::MAX,
            connections_max: None,
            response_memory_bytes: None,
            keepalive_interval: Some(Duration::from_secs(7200)),
            keepalive_timeout: Some(Duration::from_secs(20)),
            ping_interval_min: Some(Duration::from_secs(5)),
            peer_read_timeout: Duration::from_secs(5),
            peer_write_timeout: Duration::from_secs(5),
        }
    }
}

impl Default for Compaction {
    fn default() -> Self {
        Self { auto: AutoCompaction::Off, batch_limit: 1_000, sleep_interval: Duration::from_millis(10) }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            cors: vec!["*".to_owned()],
            host_whitelist: vec!["*".to_owned()],
            extensive_metrics: false,
            has_gateway: true,
            ui: Reach::Loopback,
            command_line: Vec::new(),
            has_profiles: false,
            has_requests: false,
        }
    }
}

impl Default for Warnings {
    fn default() -> Self {
        Self { apply: Duration::from_millis(100), unary_request: Duration::from_millis(300) }
    }
}
