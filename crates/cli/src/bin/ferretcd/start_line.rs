//! The long line that says with which configuration a server starts.

use ferretcd_discovery::Discovery;
use ferretcd_embed::{AutoCompaction, ClusterState, Config};
use ferretcd_flags::{Settings, go_duration, redact};
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
    force_new_cluster: bool,
    heartbeat_interval: String,
    election_timeout: String,
    initial_election_tick_advance: bool,
    snapshot_count: u64,
    max_wals: u64,
    max_snapshots: u64,
    snapshot_catchup_entries: u64,
    initial_advertise_peer_urls: Vec<&'a str>,
    listen_peer_urls: Vec<&'a str>,
    advertise_client_urls: Vec<&'a str>,
    listen_client_urls: Vec<&'a str>,
    listen_metrics_urls: Vec<&'a str>,
    local_address: String,
    cors: &'a [String],
    host_whitelist: &'a [String],
    initial_cluster: String,
    initial_cluster_state: &'static str,
    initial_cluster_token: String,
    quota_backend_bytes: i64,
    max_request_bytes: usize,
    max_concurrent_streams: u32,
    pre_vote: bool,
    feature_gates: String,
    initial_corrupt_check: bool,
    corrupt_check_time_interval: String,
    compact_check_time_interval: String,
    auto_compaction_mode: String,
    auto_compaction_retention: String,
    auto_compaction_interval: String,
    #[serde(flatten)]
    discovery: DiscoveryFields,
    downgrade_check_interval: String,
    max_learners: i64,
    v2_deprecation: &'static str,
}

/// Those of discovery, whether it is used or not.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct DiscoveryFields {
    discovery_token: String,
    discovery_endpoints: String,
    discovery_dial_timeout: String,
    discovery_request_timeout: String,
    discovery_keepalive_time: String,
    discovery_keepalive_timeout: String,
    discovery_insecure_transport: bool,
    discovery_insecure_skip_tls_verify: bool,
    discovery_cert: String,
    discovery_key: String,
    discovery_cacert: String,
    discovery_user: String,
}

impl<'a> StartLine<'a> {
    fn new(program: &'a ProgramConfig) -> Self {
        let (config, settings) = (&program.server, &program.settings);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let member_initialized = config.has_log();
        let wal_dir = config.wal_dir.as_ref().map_or_else(String::new, |dir| dir.display().to_string());
        let retention = retention(config.compaction.auto);
        Self {
            etcd_version: ferretcd_api_proto::API_VERSION,
            ferretcd_version: env!("CARGO_PKG_VERSION"),
            git_sha: GIT_SHA,
            go_version: "none",
            go_os: std::env::consts::OS,
            go_arch: architecture(),
            max_cpu_set: program.worker_threads.unwrap_or(processors),
            max_cpu_available: processors,
            member_initialized,
            name: &config.name,
            data_dir: config.data_dir.display().to_string(),
            wal_dir: wal_dir.clone(),
            wal_dir_dedicated: wal_dir,
            member_dir: config.data_dir.join("member").display().to_string(),
            force_new_cluster: config.cluster.force_new,
            heartbeat_interval: go_duration(config.raft.heartbeat_interval),
            election_timeout: election_timeout(config),
            initial_election_tick_advance: config.raft.initial_election_tick_advance,
            snapshot_count: config.storage.snapshot_count,
            max_wals: config.storage.max_wals,
            max_snapshots: settings.uint("max-snapshots"),
            snapshot_catchup_entries: config.storage.snapshot_catchup_entries,
            initial_advertise_peer_urls: texts(&config.advertise.peer),
            listen_peer_urls: texts(&config.listen.peer),
            advertise_client_urls: texts(&config.advertise.client),
            listen_client_urls: texts(&config.listen.client),
            listen_metrics_urls: texts(&config.listen.metrics),
            local_address: config.peer_source.map_or_else(String::new, |address| address.to_string()),
            cors: &config.http.cors,
            host_whitelist: &config.http.host_whitelist,
            initial_cluster: only(!member_initialized, config.cluster.initial_cluster_text()),
            initial_cluster_state: match config.cluster.state {
                ClusterState::New => "new",
                ClusterState::Existing => "existing",
            },
            initial_cluster_token: only(!member_initialized, cluster_token(config)),
            quota_backend_bytes: config
                .storage
                .quota_bytes
                .map_or(-1, |bytes| bytes.try_into().unwrap_or(-1)),
            max_request_bytes: config.limits.request_bytes_max,
            max_concurrent_streams: config.limits.concurrent_streams_max,
            pre_vote: config.cluster.pre_vote,
            feature_gates: settings.display("feature-gates"),
            initial_corrupt_check: config.corruption_checks.at_start,
            corrupt_check_time_interval: settings.display("corrupt-check-time"),
            compact_check_time_interval: settings.display("compact-hash-check-time"),
            auto_compaction_mode: settings.text("auto-compaction-mode"),
            auto_compaction_retention: retention.clone(),
            auto_compaction_interval: retention,
            discovery: DiscoveryFields::new(settings),
            downgrade_check_interval: settings.display("downgrade-check-time"),
            max_learners: settings.int("max-learners"),
            // Whatever the flag says, as in etcd.
            v2_deprecation: "write-only",
        }
    }
}

impl DiscoveryFields {
    fn new(settings: &Settings) -> Self {
        Self {
            discovery_token: redact("discovery-token", &settings.text("discovery-token")),
            discovery_endpoints: settings.display("discovery-endpoints"),
            discovery_dial_timeout: settings.display("discovery-dial-timeout"),
            discovery_request_timeout: settings.display("discovery-request-timeout"),
            discovery_keepalive_time: settings.display("discovery-keepalive-time"),
            discovery_keepalive_timeout: settings.display("discovery-keepalive-timeout"),
            discovery_insecure_transport: settings.bool("discovery-insecure-transport"),
            discovery_insecure_skip_tls_verify: settings.bool("discovery-insecure-skip-tls-verify"),
            discovery_cert: settings.text("discovery-cert"),
            discovery_key: settings.text("discovery-key"),
            discovery_cacert: settings.text("discovery-cacert"),
            discovery_user: redact("discovery-user", &settings.text("discovery-user")),
        }
    }
}

/// In whole heartbeats, as raft counts it.
fn election_timeout(config: &Config) -> String {
    let heartbeat = config.raft.heartbeat_interval;
    let ticks = config.raft.election_timeout.as_nanos() / heartbeat.as_nanos().max(1);
    go_duration(heartbeat * u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// That of the registry if the founders are found there.
fn cluster_token(config: &Config) -> String {
    match config.cluster.discovery {
        Some(Discovery::Registry(_)) => redact("discovery-token", &config.cluster.token),
        _ => config.cluster.token.clone(),
    }
}

/// What counts only at a first start.
fn only(counts: bool, text: String) -> String {
    if counts { text } else { String::new() }
}

fn texts(urls: &[Url]) -> Vec<&str> {
    urls.iter().map(Url::as_str).collect()
}

fn retention(auto: AutoCompaction) -> String {
    match auto {
        AutoCompaction::Off => "0s".to_owned(),
        AutoCompaction::Periodic(retention) => go_duration(retention),
        AutoCompaction::Revision(revisions) => revisions.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::config::test_config;

    /// Command lines, and what etcd 3.7.1 logs; made by `go run ./record` in `tests/interop/go/etcd37`.
    const RECORDS: &str = include_str!("../../../tests/start_records.golden");

    #[derive(Deserialize)]
    struct Record {
        args: Vec<String>,
        record: Map<String, Value>,
    }

    /// What depends on the machine and the build.
    const OTHER: [&str; 6] =
        ["git-sha", "go-version", "go-os", "go-arch", "max-cpu-set", "max-cpu-available"];

    fn record(args: &[&str]) -> Map<String, Value> {
        let text = serde_json::to_string(&StartLine::new(&test_config(args))).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Where etcd's record says something else.
    fn known_difference(key: &str, etcd: &Value, ferretcd: &Value) -> bool {
        match key {
            // A number of revisions, which etcd shows as nanoseconds.
            "auto-compaction-retention" | "auto-compaction-interval" => {
                *etcd == json!("1µs") && *ferretcd == json!("1000")
            }
            // A registry's name lets members in.
            "discovery-token" | "initial-cluster-token" => {
                *etcd == json!("t") && *ferretcd == json!("********")
            }
            _ => false,
        }
    }

    #[test]
    fn the_record_has_etcds_keys_and_values() {
        for line in RECORDS.lines() {
            let Record { args, record: etcd } = serde_json::from_str(line).unwrap();
            let found = record(&args.iter().map(String::as_str).collect::<Vec<_>>());
            let head = ["level", "ts", "caller", "msg"];
            for (key, expected) in etcd.iter().filter(|(key, _)| !head.contains(&key.as_str())) {
                let value = found.get(key).unwrap_or_else(|| panic!("{key} is missing"));
                let is_fine = value == expected
                    || OTHER.contains(&key.as_str())
                    || known_difference(key, expected, value);
                assert!(is_fine, "{args:?}: {key} is {value}, in etcd {expected}");
            }
            assert_eq!(
                found.len(),
                etcd.len() - head.len() + 1,
                "all but the version of ferretcd are etcd's"
            );
        }
    }

    #[test]
    fn the_record_shows_no_secret() {
        let text = serde_json::to_string(&StartLine::new(&test_config(&[
            "--discovery-endpoints=h:1",
            "--discovery-token=secret",
            "--discovery-user=u:secret",
            "--discovery-password=secret",
        ])));
        assert!(!text.unwrap().contains("secret"));
        assert_eq!(record(&["--discovery-user=u:secret"])["discovery-user"], json!("u:********"));
    }

    #[test]
    fn the_record_shows_what_the_gate_opens() {
        assert_eq!(
            record(&["--feature-gates=InitialCorruptCheck=true"])["initial-corrupt-check"],
            json!(true)
        );
        let args =
            ["--feature-gates=SetMemberLocalAddr=true", "--initial-advertise-peer-urls=http://10.0.0.1:1"];
        assert_eq!(record(&args)["local-address"], json!("10.0.0.1"));
    }
}
