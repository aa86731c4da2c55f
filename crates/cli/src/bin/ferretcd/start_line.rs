//! The long line that says with which configuration a server starts.

use ferretcd_embed::{AutoCompaction, ClusterState};
use ferretcd_flags::go_duration;
use ferretcd_membership::Url;
use serde::Serialize;
use tracing::info;

use crate::config::ProgramConfig;
use crate::version::{GIT_SHA, architecture};

/// Logs `starting an etcd server` with the whole configuration.
pub(crate) fn log_start(config: &ProgramConfig) {
    let line = serde_json::to_string(&StartLine::new(config));
    info!("{}" = line.unwrap_or_default(), "starting an etcd server");
}

/// The fields in etcd's order and with its names. They are more than an event of tracing can have.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StartLine<'a> {
    etcd_version: &'static str,
    ferretcd_version: &'static str,
    git_sha: &'static str,
    go_version: &'static str,
    go_os: &'static str,
    go_arch: &'static str,
    max_cpu_set: usize,
    max_cpu_available: usize,
    member_initialized: bool,
    name: &'a str,
    data_dir: String,
    wal_dir: String,
    wal_dir_dedicated: String,
    member_dir: String,
    heartbeat_interval: String,
    election_timeout: String,
    initial_election_tick_advance: bool,
    snapshot_count: u64,
    max_wals: u64,
    snapshot_catchup_entries: u64,
    initial_advertise_peer_urls: Vec<&'a str>,
    listen_peer_urls: Vec<&'a str>,
    advertise_client_urls: Vec<&'a str>,
    listen_client_urls: Vec<&'a str>,
    listen_metrics_urls: Vec<&'a str>,
    cors: &'a [String],
    host_whitelist: &'a [String],
    initial_cluster: String,
    initial_cluster_state: &'static str,
    initial_cluster_token: &'a str,
    quota_backend_bytes: u64,
    max_request_bytes: usize,
    max_concurrent_streams: u32,
    pre_vote: bool,
    feature_gates: String,
    auto_compaction_mode: &'static str,
    auto_compaction_retention: String,
}

impl<'a> StartLine<'a> {
    fn new(program: &'a ProgramConfig) -> Self {
        let config = &program.server;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let member_dir = config.data_dir.join("member");
        let wal_dir = config.wal_dir.clone().unwrap_or_else(|| member_dir.join("wal"));
        let (auto_compaction_mode, auto_compaction_retention) = compaction(config.compaction.auto);
        Self {
            etcd_version: ferretcd_api_proto::API_VERSION,
            ferretcd_version: env!("CARGO_PKG_VERSION"),
            git_sha: GIT_SHA,
            go_version: "none",
            go_os: std::env::consts::OS,
            go_arch: architecture(),
            max_cpu_set: program.worker_threads.unwrap_or(processors),
            max_cpu_available: processors,
            member_initialized: config.has_log(),
            name: &config.name,
            data_dir: config.data_dir.display().to_string(),
            wal_dir: wal_dir.display().to_string(),
            wal_dir_dedicated: config
                .wal_dir
                .as_ref()
                .map_or_else(String::new, |dir| dir.display().to_string()),
            member_dir: member_dir.display().to_string(),
            heartbeat_interval: go_duration(config.raft.heartbeat_interval),
            election_timeout: go_duration(config.raft.election_timeout),
            initial_election_tick_advance: config.raft.initial_election_tick_advance,
            snapshot_count: config.storage.snapshot_count,
            max_wals: config.storage.max_wals,
            snapshot_catchup_entries: config.storage.snapshot_catchup_entries,
            initial_advertise_peer_urls: texts(&config.advertise.peer),
            listen_peer_urls: texts(&config.listen.peer),
            advertise_client_urls: texts(&config.advertise.client),
            listen_client_urls: texts(&config.listen.client),
            listen_metrics_urls: texts(&config.listen.metrics),
            cors: &config.http.cors,
            host_whitelist: &config.http.host_whitelist,
            initial_cluster: config.cluster.initial_cluster_text(),
            initial_cluster_state: match config.cluster.state {
                ClusterState::New => "new",
                ClusterState::Existing => "existing",
            },
            initial_cluster_token: &config.cluster.token,
            quota_backend_bytes: config.storage.quota_bytes.unwrap_or(0),
            max_request_bytes: config.limits.request_bytes_max,
            max_concurrent_streams: config.limits.concurrent_streams_max,
            pre_vote: config.cluster.pre_vote,
            feature_gates: program.feature_gates.to_string(),
            auto_compaction_mode,
            auto_compaction_retention,
        }
    }
}

fn texts(urls: &[Url]) -> Vec<&str> {
    urls.iter().map(Url::as_str).collect()
}

fn compaction(auto: AutoCompaction) -> (&'static str, String) {
    match auto {
        AutoCompaction::Off => ("periodic", "0s".to_owned()),
        AutoCompaction::Periodic(retention) => ("periodic", go_duration(retention)),
        AutoCompaction::Revision(revisions) => ("revision", revisions.to_string()),
    }
}
