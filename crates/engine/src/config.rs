//! The configuration of a member.

use std::path::PathBuf;
use std::time::Duration;

use ferretcd_data_dir::{Bootstrap, Paths, StateConfig};

use crate::TokenConfig;

/// Everything that an [`Engine`](crate::Engine) needs to know. No field has a hidden default; [`Config::new`] has
/// a value for each.
#[derive(Clone, Debug)]
pub struct Config {
    /// The member's name, under which a founder is listed in `bootstrap`.
    pub name: String,
    /// The data directory; the member's files are in its sub-directory `member`.
    pub data_dir: PathBuf,
    /// The directory of the log; `None` for `wal` in the member's directory.
    pub wal_dir: Option<PathBuf>,
    /// Where clients reach the member; published in the cluster.
    pub client_urls: Vec<String>,
    /// What the log of a member without one begins with.
    pub bootstrap: Bootstrap,
    /// Makes a cluster of this member alone, with its data: the way back when a quorum is lost for ever. Entries that
    /// are not known to be committed are dropped.
    pub force_new_cluster: bool,
    /// Whether changes of the members that would put the cluster at risk are rejected.
    pub strict_reconfig: bool,
    /// Learners that the cluster may have; decides about additions that are requested at this member.
    pub learners_max: usize,
    /// Time between two ticks of the raft core.
    pub heartbeat: Duration,
    /// How long a follower waits for its leader.
    pub election: Duration,
    /// Whether a candidate first finds out whether it could win.
    pub pre_vote: bool,
    /// Whether a sole voter campaigns at once instead of waiting for an election timeout.
    pub advance_ticks: bool,
    /// Entries between two marks in the log that let old segments go.
    pub snapshot_count: u64,
    /// Bytes of entries after which there is a mark in any case: what a start has to read into memory.
    pub snapshot_bytes: u64,
    /// Entries kept in memory behind the applied ones.
    pub catchup_entries: u64,
    /// Bytes of these at most; followers that lag further behind get a snapshot.
    pub catchup_bytes: u64,
    /// Log segments to keep at least; zero keeps all.
    pub wals_max: usize,
    /// The largest encoded proposal, in bytes.
    pub request_bytes_max: usize,
    /// Bytes that the state file may hold; zero for the standard 2 GiB, negative for no limit.
    pub quota_bytes: i64,
    /// The longest time between a change and its durable place in the state file. The log has it already.
    pub backend_interval: Duration,
    /// The number of changes after which the state file is written before that time.
    pub backend_batch: usize,
    /// Bytes of the state file that a rewrite at the start has to give back for it to be made; zero for none at the start. A
    /// rewrite while requests are served does not depend on it.
    pub defragment_at_start_bytes: u64,
    /// Bytes of the state file's pages that are kept in memory.
    pub backend_cache_bytes: usize,
    /// Bytes of rows that are kept in memory above the state file.
    pub row_cache_bytes: usize,
    /// Bytes of memory for responses that are long, or that are put together before they can be sent.
    pub response_budget_bytes: u64,
    /// Rows that one step of a compaction looks at.
    pub compaction_batch: usize,
    /// Pause between two steps of a compaction.
    pub compaction_sleep: Duration,
    /// Whether the leader remembers in the log how much time long leases have left.
    pub lease_checkpoint: bool,
    /// The history that the leader drops by itself.
    pub auto_compaction: AutoCompaction,
    /// When the members compare their data.
    pub corruption_checks: CorruptionChecks,
    /// How often a leader looks whether all members run the version that a downgrade leads to, which ends it; `None` for
    /// never.
    pub downgrade_check: Option<Duration>,
    /// Whether a member that is found to be corrupt replaces its data by another member's.
    pub refetch_corrupt: bool,
    /// A read that takes longer is logged, and an entry whose execution does.
    pub slow_apply: Duration,
    /// Leaves out every sync of the log: data is lost when the machine stops. For tests.
    pub unsafe_no_fsync: bool,
    /// The tokens that users get when they log in.
    pub tokens: TokenConfig,
    /// How much work the hash of a password is: two to the power of this, 4 to 31.
    pub bcrypt_cost: u32,
    /// Whether the common name of a client's certificate is that of a user, when there is no token.
    pub client_cert_auth: bool,
    /// Milliseconds since 1970 at the start of the process; makes request ids of two runs differ.
    pub boot_unix_ms: u64,
}

/// When the members compare the hashes of their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CorruptionChecks {
    /// Before the member serves clients, page by page and then with its peers: a member whose data are damaged or differ
    /// does not start.
    pub at_start: bool,
    /// The whole key space, each time after this; `None` for never. Every member reads all of it then.
    pub periodic: Option<Duration>,
    /// The hashes that compactions leave behind anyway; `None` for never.
    pub compactions: Option<Duration>,
}

/// The history that a leader drops by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCompaction {
    /// Nothing.
    Off,
    /// What is older than this.
    Periodic(Duration),
    /// What lies more than this many revisions back.
    Revision(i64),
}

/// The quota when none is configured: 2 GiB.
const QUOTA_BYTES: i64 = 2 << 30;

impl Config {
    /// A member that founds a cluster of its own, with `peer_url`. `boot_unix_ms` must grow from one
    /// start on a directory to the next, see the field.
    ///
    /// Everything else has the default of etcd's flags, but for `backend_interval`, which is five times as long, and
    /// the caches, for which etcd has no flags.
    pub fn new(
        name: impl Into<String>,
        data_dir: impl Into<PathBuf>,
        peer_url: impl Into<String>,
        boot_unix_ms: u64,
    ) -> Self {
        let name = name.into();
        Self {
            bootstrap: Bootstrap::New {
                initial_cluster: [(name.clone(), vec![peer_url.into()])].into(),
                token: "etcd-cluster".to_owned(),
            },
            force_new_cluster: false,
            name,
            data_dir: data_dir.into(),
            wal_dir: None,
            client_urls: vec!["http://localhost:2379".to_owned()],
            strict_reconfig: true,
            learners_max: 1,
            heartbeat: Duration::from_millis(100),
            election: Duration::from_secs(1),
            pre_vote: true,
            advance_ticks: true,
            snapshot_count: 10_000,
            snapshot_bytes: 64 << 20,
            catchup_entries: 5_000,
            catchup_bytes: 256 << 20,
            wals_max: 5,
            request_bytes_max: 1_572_864,
            quota_bytes: 0,
            backend_interval: Duration::from_millis(500),
            backend_batch: 10_000,
            defragment_at_start_bytes: 0,
            backend_cache_bytes: 32 << 20,
            row_cache_bytes: 64 << 20,
            response_budget_bytes: 256 << 20,
            compaction_batch: 1_000,
            compaction_sleep: Duration::from_millis(10),
            lease_checkpoint: true,
            auto_compaction: AutoCompaction::Off,
            corruption_checks: CorruptionChecks { at_start: false, periodic: None, compactions: None },
            downgrade_check: Some(Duration::from_secs(5)),
            refetch_corrupt: false,
            slow_apply: Duration::from_millis(100),
            unsafe_no_fsync: false,
            tokens: TokenConfig::Simple { ttl: Duration::from_secs(300) },
            bcrypt_cost: ferretcd_auth::COST_DEFAULT,
            client_cert_auth: false,
            boot_unix_ms,
        }
    }

    /// Whether the member has a log. If so, a start goes on from it, and `bootstrap` does not count. Reads the log's
    /// directory.
    pub fn has_log(&self) -> bool {
        self.paths().has_log()
    }

    /// How long a request may wait for its response.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.election
    }

    /// The shortest time to live of a lease, in seconds: one and a half election timeouts, so that a lease
    /// outlives the loss of a leader.
    pub(crate) fn lease_ttl_min(&self) -> i64 {
        (self.election * 3 / 2).as_millis().div_ceil(1_000) as i64
    }

    /// The quota in force, in bytes; negative for none.
    pub(crate) fn effective_quota(&self) -> i64 {
        if self.quota_bytes == 0 { QUOTA_BYTES } else { self.quota_bytes }
    }

    /// Where the member's files lie.
    pub fn paths(&self) -> Paths {
        Paths::new(&self.data_dir, self.wal_dir.as_deref())
    }

    pub(crate) fn state(&self) -> StateConfig {
        StateConfig {
            backend: ferretcd_backend::Config { cache_bytes: self.backend_cache_bytes },
            stores: ferretcd_apply::Config {
                mvcc: ferretcd_mvcc::Config { cache_bytes: self.row_cache_bytes },
                lease: ferretcd_lease::Config { ttl_min: self.lease_ttl_min() },
            },
            check_pages: self.corruption_checks.at_start,
        }
    }
}
