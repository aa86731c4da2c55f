//! From the values of flags to the configuration.

use std::time::Duration;

use ferretcd_flags::Settings;

use super::check::check;
use super::discovery::discovery;
use super::{
    Advertise, AutoCompaction, Cluster, ClusterState, Compaction, Config, Discovery, FeatureGates, Http,
    Limits, Listen, RECOMMENDED_QUOTA_BYTES_MAX, RECOMMENDED_REQUEST_BYTES_MAX, Raft, Security, Storage, Url,
    Warnings,
};
use crate::error::ConfigError;
use crate::notice::Notice;
use ferretcd_membership::parse_initial_cluster;

const DEFAULT_QUOTA_BYTES: u64 = 2 * 1024 * 1024 * 1024;
const DEFAULT_SNAPSHOT_COUNT: u64 = 10_000;
/// etcd commits five times as often. Here the log alone answers for durability, each commit of few rows costs some
/// 50 KB of writing, and what a restart has to apply again is at most this much more.
const BATCH_INTERVAL: Duration = Duration::from_millis(500);
const DEFAULT_CATCHUP_ENTRIES: u64 = 5_000;
const DEFAULT_WATCH_PROGRESS: Duration = Duration::from_secs(600);
const WATCH_PROGRESS_MIN: Duration = Duration::from_millis(100);
const DEFAULT_UNARY_WARNING: Duration = Duration::from_millis(300);

/// Checks the settings and resolves every default. Pushes what is worth a log line.
///
/// `host` tells this machine's address on its default route; it is asked only if the address matters.
pub(crate) fn build(
    settings: &Settings,
    host: impl FnOnce() -> Option<String>,
    notices: &mut Vec<Notice>,
) -> Result<Config, ConfigError> {
    check(settings, notices)?;
    let name = settings.text("name");
    let listen = listen(settings);
    let advertise = advertise(settings, &listen, host, notices);
    let cluster = cluster(settings, &name, &advertise.peer)?;
    let security = Security::new(settings, &listen, notices)?;
    let config = Config {
        data_dir: match &*settings.text("data-dir") {
            "" => format!("{name}.etcd").into(),
            directory => directory.into(),
        },
        name,
        wal_dir: Some(settings.text("wal-dir")).filter(|text| !text.is_empty()).map(Into::into),
        listen,
        advertise,
        cluster,
        raft: Raft {
            heartbeat_interval: Duration::from_millis(settings.uint("heartbeat-interval")),
            election_timeout: Duration::from_millis(settings.uint("election-timeout")),
            initial_election_tick_advance: settings.bool("initial-election-tick-advance"),
        },
        storage: storage(settings, notices),
        limits: limits(settings, notices),
        compaction: Compaction {
            auto: AutoCompaction::parse(
                &settings.text("auto-compaction-mode"),
                &settings.text("auto-compaction-retention"),
            )?,
            batch_limit: positive(settings.int("compaction-batch-limit")).unwrap_or(1000),
            sleep_interval: span(settings, "compaction-sleep-interval").unwrap_or(Duration::from_millis(10)),
        },
        http: Http {
            cors: settings.list("cors"),
            host_whitelist: settings.list("host-whitelist"),
            extensive_metrics: settings.text("metrics") == "extensive",
        },
        security,
        warnings: Warnings {
            apply: settings.duration("warning-apply-duration").at_least_zero(),
            unary_request: span(settings, "warning-unary-request-duration").unwrap_or(DEFAULT_UNARY_WARNING),
        },
        watch_progress_interval: watch_progress_interval(settings, notices),
        corrupt_check_interval: span(settings, "corrupt-check-time"),
        compact_hash_check_interval: settings.duration("compact-hash-check-time").at_least_zero(),
        refetch_corrupt_data: settings.bool("refetch-corrupt-data"),
        feature_gates: FeatureGates::parse(&settings.text("feature-gates"))?,
        worker_threads: to_usize(settings.uint("worker-threads")),
    };
    if settings.text("data-dir").is_empty() {
        notices.push(Notice::DefaultDataDir { path: config.data_dir.clone() });
    }
    Ok(config)
}

fn listen(settings: &Settings) -> Listen {
    Listen {
        peer: settings.urls("listen-peer-urls"),
        client: settings.urls("listen-client-urls"),
        client_http: settings.urls("listen-client-http-urls"),
        metrics: settings.urls("listen-metrics-urls"),
        reuse_port: settings.bool("socket-reuse-port"),
        reuse_address: settings.bool("socket-reuse-address"),
    }
}

/// The advertised URLs. One that was not given, on a member that listens on all interfaces, has this machine's
/// address instead of `localhost`.
fn advertise(
    settings: &Settings,
    listen: &Listen,
    host: impl FnOnce() -> Option<String>,
    notices: &mut Vec<Notice>,
) -> Advertise {
    let mut advertise = Advertise {
        peer: settings.urls("initial-advertise-peer-urls"),
        client: settings.urls("advertise-client-urls"),
    };
    let everywhere = |urls: &[Url]| urls.first().is_some_and(|url| url.host() == "0.0.0.0");
    let peer = everywhere(&listen.peer) && is_default(&advertise.peer, "http://localhost:2380");
    let client = everywhere(&listen.client) && is_default(&advertise.client, "http://localhost:2379");
    if !peer && !client {
        return advertise;
    }
    if let Some(host) = host() {
        if peer {
            advertise.peer = vec![listen.peer[0].with_host(&host)];
        }
        if client {
            advertise.client = vec![listen.client[0].with_host(&host)];
        }
        notices.push(Notice::AdvertisedHost { host });
    }
    advertise
}

fn is_default(urls: &[Url], default: &str) -> bool {
    matches!(urls, [url] if url.as_str() == default)
}

fn cluster(settings: &Settings, name: &str, peer_urls: &[Url]) -> Result<Cluster, ConfigError> {
    let discovery = discovery(settings)?;
    let initial_cluster = match discovery {
        Some(Discovery::Srv(_)) => Default::default(),
        None if settings.is_set("initial-cluster") => {
            parse_initial_cluster(&settings.text("initial-cluster")).map_err(ConfigError::InitialCluster)?
        }
        // etcd puts the default URL here unless the name is given; such a member could not start.
        _ => [(name.to_owned(), peer_urls.to_vec())].into(),
    };
    Ok(Cluster {
        initial_cluster,
        token: match &discovery {
            Some(Discovery::Registry(registry)) => registry.token.clone(),
            _ => settings.text("initial-cluster-token"),
        },
        discovery,
        state: match &*settings.text("initial-cluster-state") {
            "new" | "" => ClusterState::New,
            "existing" => ClusterState::Existing,
            other => return Err(ConfigError::ClusterState(other.to_owned())),
        },
        strict_reconfig_check: settings.bool("strict-reconfig-check"),
        learners_max: usize::try_from(settings.int("max-learners")).unwrap_or(0),
        pre_vote: settings.bool("pre-vote"),
        force_new: settings.bool("force-new-cluster"),
    })
}

fn storage(settings: &Settings, notices: &mut Vec<Notice>) -> Storage {
    let quota_bytes = match settings.int("quota-backend-bytes") {
        0 => Some(DEFAULT_QUOTA_BYTES),
        bytes => u64::try_from(bytes).ok(),
    };
    if let Some(bytes) = quota_bytes.filter(|bytes| *bytes > RECOMMENDED_QUOTA_BYTES_MAX) {
        notices.push(Notice::LargeQuota { bytes });
    }
    let mut snapshot_count = settings.uint("snapshot-count");
    if snapshot_count == 0 {
        snapshot_count = DEFAULT_SNAPSHOT_COUNT;
        notices.push(Notice::DefaultSnapshotCount { count: snapshot_count });
    }
    let mut snapshot_catchup_entries = settings.uint("snapshot-catchup-entries");
    if snapshot_catchup_entries == 0 {
        snapshot_catchup_entries = DEFAULT_CATCHUP_ENTRIES;
        notices.push(Notice::DefaultCatchupEntries { entries: snapshot_catchup_entries });
    }
    Storage {
        quota_bytes,
        batch_interval: span(settings, "backend-batch-interval").unwrap_or(BATCH_INTERVAL),
        batch_limit: positive(settings.int("backend-batch-limit")).unwrap_or(10_000),
        snapshot_count,
        snapshot_catchup_entries,
        max_wals: settings.uint("max-wals"),
        unsafe_no_fsync: settings.bool("unsafe-no-fsync"),
    }
}

fn limits(settings: &Settings, notices: &mut Vec<Notice>) -> Limits {
    let bytes = settings.uint("max-request-bytes");
    if bytes > RECOMMENDED_REQUEST_BYTES_MAX {
        notices.push(Notice::LargeRequests { bytes });
    }
    Limits {
        txn_ops_max: usize::try_from(settings.uint("max-txn-ops")).unwrap_or(usize::MAX),
        request_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
        concurrent_streams_max: u32::try_from(settings.uint("max-concurrent-streams")).unwrap_or(u32::MAX),
        keepalive_min_time: settings.duration("grpc-keepalive-min-time").at_least_zero(),
        keepalive_interval: span(settings, "grpc-keepalive-interval"),
        keepalive_timeout: span(settings, "grpc-keepalive-timeout"),
    }
}

fn watch_progress_interval(settings: &Settings, notices: &mut Vec<Notice>) -> Duration {
    let interval = span(settings, "watch-progress-notify-interval").unwrap_or(DEFAULT_WATCH_PROGRESS);
    if interval < WATCH_PROGRESS_MIN {
        notices.push(Notice::ShortWatchProgress { min: WATCH_PROGRESS_MIN });
    }
    interval.max(WATCH_PROGRESS_MIN)
}

/// A duration, where zero and less mean that there is none.
fn span(settings: &Settings, name: &str) -> Option<Duration> {
    Some(settings.duration(name).at_least_zero()).filter(|duration| !duration.is_zero())
}

fn positive(number: i64) -> Option<usize> {
    u64::try_from(number).ok().and_then(to_usize)
}

fn to_usize(number: u64) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| *number > 0)
}

#[cfg(test)]
pub(super) mod tests {
    use std::ffi::OsString;

    use ferretcd_flags::{Command, parse_command_line};

    use super::*;

    pub(crate) fn try_config(flags: &[&str]) -> Result<(Config, Vec<Notice>), ConfigError> {
        let Ok(Command::Run(settings, None)) = parse_command_line(flags.iter().map(OsString::from)) else {
            panic!("{flags:?}");
        };
        let mut notices = Vec::new();
        let config = build(&settings, || Some("192.0.2.7".to_owned()), &mut notices)?;
        Ok((config, notices))
    }

    pub(crate) fn config(flags: &[&str]) -> Config {
        try_config(flags).unwrap().0
    }

    #[test]
    fn the_defaults() {
        let (config, notices) = try_config(&[]).unwrap();
        assert_eq!(config.data_dir.to_str(), Some("default.etcd"));
        assert_eq!(config.wal_dir, None);
        assert_eq!(config.cluster.initial_cluster_text(), "default=http://localhost:2380");
        assert_eq!(config.raft.heartbeat_interval, Duration::from_millis(100));
        assert_eq!(config.storage.quota_bytes, Some(2_147_483_648));
        assert_eq!(config.storage.batch_interval, BATCH_INTERVAL);
        assert_eq!(config.storage.batch_limit, 10_000);
        assert_eq!(config.limits.request_bytes_max, 1_572_864);
        assert_eq!(config.limits.concurrent_streams_max, u32::MAX);
        assert_eq!(config.limits.keepalive_interval, Some(Duration::from_secs(7200)));
        assert_eq!(config.compaction.auto, AutoCompaction::Off);
        assert_eq!(config.compaction.batch_limit, 1000);
        assert_eq!(config.compaction.sleep_interval, Duration::from_millis(10));
        assert_eq!(config.http.cors, ["*"]);
        assert_eq!(config.worker_threads, None);
        let expected =
            [Notice::SinglePort, Notice::DefaultName, Notice::DefaultDataDir { path: "default.etcd".into() }];
        assert_eq!(notices, expected);
    }

    #[test]
    fn zero_and_less_mean_the_default_or_nothing() {
        let config = config(&[
            "--quota-backend-bytes=-1",
            "--snapshot-count=0",
            "--snapshot-catchup-entries=0",
            "--grpc-keepalive-interval=0",
            "--grpc-keepalive-timeout=-1s",
            "--warning-unary-request-duration=0",
            "--warning-apply-duration=0",
            "--backend-batch-limit=-5",
        ]);
        assert_eq!(config.storage.quota_bytes, None);
        assert_eq!(config.storage.snapshot_count, 10_000);
        assert_eq!(config.storage.snapshot_catchup_entries, 5_000);
        assert_eq!((config.limits.keepalive_interval, config.limits.keepalive_timeout), (None, None));
        assert_eq!(config.warnings.unary_request, Duration::from_millis(300));
        assert_eq!(config.warnings.apply, Duration::ZERO);
        assert_eq!(config.storage.batch_limit, 10_000);
    }

    #[test]
    fn watches_are_not_told_their_progress_all_the_time() {
        let check = |flag: &str, expected: Duration, is_adjusted: bool| {
            let (config, notices) = try_config(&[flag]).unwrap();
            assert_eq!(config.watch_progress_interval, expected, "{flag}");
            let notice = Notice::ShortWatchProgress { min: WATCH_PROGRESS_MIN };
            assert_eq!(notices.contains(&notice), is_adjusted, "{flag}");
        };
        check("--watch-progress-notify-interval=0", DEFAULT_WATCH_PROGRESS, false);
        check("--watch-progress-notify-interval=3s", Duration::from_secs(3), false);
        check("--watch-progress-notify-interval=100ms", WATCH_PROGRESS_MIN, false);
        check("--watch-progress-notify-interval=1ms", WATCH_PROGRESS_MIN, true);
    }

    #[test]
    fn the_initial_cluster_follows_name_and_urls() {
        fn check(flags: &[&str], expected: &str) {
            assert_eq!(config(flags).cluster.initial_cluster_text(), expected);
        }
        check(&["--name=a"], "a=http://localhost:2380");
        check(
            &["--name=a", "--initial-advertise-peer-urls=http://h:2,http://h:1"],
            "a=http://h:1,a=http://h:2",
        );
        check(&["--initial-advertise-peer-urls=http://h:2"], "default=http://h:2");
        check(&["--name=a", "--initial-cluster=b=http://h:1"], "b=http://h:1");
        check(&["--listen-peer-urls=http://0.0.0.0:99"], "default=http://192.0.2.7:99");
        check(&["--discovery-srv=example.com"], "");
    }

    #[test]
    fn the_host_is_asked_only_if_it_matters() {
        let (config, notices) = try_config(&["--name=a", "--listen-peer-urls=http://0.0.0.0:2380"]).unwrap();
        assert_eq!(config.advertise.peer[0].as_str(), "http://192.0.2.7:2380");
        assert!(notices.contains(&Notice::AdvertisedHost { host: "192.0.2.7".to_owned() }));
        let flags = ["--listen-peer-urls=http://0.0.0.0:2380", "--initial-advertise-peer-urls=http://h:2380"];
        assert_eq!(self::config(&flags).advertise.peer[0].as_str(), "http://h:2380");
    }

    #[test]
    fn large_limits_are_noted() {
        let flags = ["--max-request-bytes=10485761", "--quota-backend-bytes=8589934593"];
        let (_, notices) = try_config(&flags).unwrap();
        assert!(notices.contains(&Notice::LargeRequests { bytes: 10_485_761 }));
        assert!(notices.contains(&Notice::LargeQuota { bytes: 8_589_934_593 }));
    }
}
