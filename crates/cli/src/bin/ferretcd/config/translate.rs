//! From the values of flags to the configuration.

use std::time::Duration;

use ferretcd_embed::{Compaction, Config, Http, Limits, Listen, Reach, Storage, Warnings};
use ferretcd_engine::CorruptionChecks;
use ferretcd_flags::Settings;

use super::auth::auth;
use super::check::check;
use super::cluster::{advertise, cluster, peer_source};
use super::compaction::auto_compaction;
use super::log_options::{audit_output, log_options};
use super::security::security;
use super::timing::raft;
use crate::audit::AuditOptions;
use crate::diagnostic::{Diagnostic, RECOMMENDED_QUOTA_BYTES_MAX, RECOMMENDED_REQUEST_BYTES_MAX};
use crate::error::ConfigError;

const PEER_TIMEOUT_MIN: Duration = Duration::from_secs(5);
const WATCH_PROGRESS_MIN: Duration = Duration::from_millis(100);

/// Everything that the program is started with.
#[derive(Clone, Debug)]
pub(crate) struct ProgramConfig {
    pub(crate) server: Config,
    /// As they were given, for the log. What is behind them is in `server`.
    pub(crate) settings: Settings,
    /// Threads of the async runtime; `None` lets the program choose.
    pub(crate) worker_threads: Option<usize>,
    /// `None` if requests are not audited.
    pub(crate) audit: Option<AuditOptions>,
    /// Whether the memory of the process is kept from being swapped out.
    pub(crate) locks_memory: bool,
    /// `None` if calls have no spans.
    pub(crate) spans: Option<ferretcd_otlp::Config>,
}

/// Checks the settings and resolves every default. Pushes diagnostics that deserve a log line, also before an error.
///
/// `host` returns this machine's address on its default route; it is called only if the address matters.
pub(crate) fn translate(
    settings: &Settings,
    host: impl FnOnce() -> Option<String>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<ProgramConfig, ConfigError> {
    check(settings, diagnostics)?;
    let name = settings.text("name");
    let listen = listen(settings);
    let advertise = advertise(settings, &listen, host, diagnostics);
    let peer_source = peer_source(settings, &advertise.peer, diagnostics);
    let mut first_start = Ok(());
    let cluster = cluster(settings, &name, &advertise.peer, &mut first_start)?;
    let security = security(settings, &listen, diagnostics)?;
    let feature_gates = settings.gates("feature-gates");
    let compact_hash_check_interval = settings.duration("compact-hash-check-time").at_least_zero();
    let server = Config {
        data_dir: match &*settings.text("data-dir") {
            "" => format!("{name}.etcd").into(),
            directory => directory.into(),
        },
        name,
        wal_dir: Some(settings.text("wal-dir")).filter(|text| !text.is_empty()).map(Into::into),
        listen,
        advertise,
        peer_source,
        cluster,
        raft: raft(settings),
        storage: storage(settings, diagnostics),
        limits: limits(settings, diagnostics),
        compaction: compaction(settings)?,
        http: Http {
            cors: settings.list("cors"),
            host_whitelist: settings.list("host-whitelist"),
            extensive_metrics: settings.text("metrics") == "extensive",
            has_gateway: settings.bool("enable-grpc-gateway"),
            ui: reach(settings)?,
            command_line: Vec::new(),
            has_profiles: settings.bool("enable-pprof") || is_debug(settings),
            has_requests: is_debug(settings),
        },
        security,
        auth: auth(settings, diagnostics)?,
        warnings: Warnings {
            apply: settings.duration("warning-apply-duration").at_least_zero(),
            unary_request: span(settings, "warning-unary-request-duration")
                .unwrap_or(Warnings::default().unary_request),
        },
        watch_progress_interval: watch_progress_interval(settings, diagnostics),
        lease_checkpoint: feature_gates.is_enabled("LeaseCheckpoint"),
        corruption_checks: CorruptionChecks {
            at_start: feature_gates.is_enabled("InitialCorruptCheck"),
            periodic: span(settings, "corrupt-check-time"),
            compactions: feature_gates.is_enabled("CompactHashCheck").then_some(compact_hash_check_interval),
        },
        downgrade_check: span(settings, "downgrade-check-time"),
        refetch_corrupt_data: settings.bool("refetch-corrupt-data"),
        drain_timeout: Config::default().drain_timeout,
    };
    if !server.has_log() {
        first_start?;
    }
    if settings.text("data-dir").is_empty() {
        diagnostics.push(Diagnostic::DefaultDataDir { path: server.data_dir.clone() });
    }
    let worker_threads = to_usize(settings.uint("worker-threads"));
    let audit = match audit_output(settings) {
        Some(output) => Some(AuditOptions { output, rotation: log_options(settings)?.rotation }),
        None => None,
    };
    let locks_memory = settings.bool("memory-mlock");
    Ok(ProgramConfig {
        server,
        settings: settings.clone(),
        worker_threads,
        audit,
        locks_memory,
        spans: spans(settings),
    })
}

/// What spans say, and where they go; `None` if there are none.
fn spans(settings: &Settings) -> Option<ferretcd_otlp::Config> {
    let is_on = settings.bool("enable-distributed-tracing");
    is_on.then(|| ferretcd_otlp::Config {
        address: settings.text("distributed-tracing-address"),
        service_name: settings.text("distributed-tracing-service-name"),
        instance_id: settings.text("distributed-tracing-instance-id"),
        per_million: u32::try_from(settings.int("distributed-tracing-sampling-rate"))
            .expect("it was checked to be a share of a million"),
    })
}

fn reach(settings: &Settings) -> Result<Reach, ConfigError> {
    match &*settings.text("ui") {
        "loopback" => Ok(Reach::Loopback),
        "all" => Ok(Reach::All),
        "none" => Ok(Reach::None),
        other => Err(ConfigError::Ui(other.to_owned())),
    }
}

/// Whether the log has everything; then the pages have, too, as in etcd.
fn is_debug(settings: &Settings) -> bool {
    settings.text("log-level") == "debug"
}

fn listen(settings: &Settings) -> Listen {
    Listen {
        peer: settings.urls("listen-peer-urls"),
        client: settings.urls("listen-client-urls"),
        client_http: settings.urls("listen-client-http-urls"),
        metrics: settings.urls("listen-metrics-urls"),
        reuse_port: settings.bool("socket-reuse-port"),
    }
}

fn storage(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Storage {
    let defaults = Storage::default();
    let quota_bytes = match settings.int("quota-backend-bytes") {
        0 => defaults.quota_bytes,
        bytes => u64::try_from(bytes).ok(),
    };
    if let Some(bytes) = quota_bytes.filter(|bytes| *bytes > RECOMMENDED_QUOTA_BYTES_MAX) {
        diagnostics.push(Diagnostic::LargeQuota { bytes });
    }
    let mut snapshot_count = settings.uint("snapshot-count");
    if snapshot_count == 0 {
        snapshot_count = defaults.snapshot_count;
        diagnostics.push(Diagnostic::DefaultSnapshotCount { count: snapshot_count });
    }
    let mut snapshot_catchup_entries = settings.uint("snapshot-catchup-entries");
    if snapshot_catchup_entries == 0 {
        snapshot_catchup_entries = defaults.snapshot_catchup_entries;
        diagnostics.push(Diagnostic::DefaultCatchupEntries { entries: snapshot_catchup_entries });
    }
    Storage {
        quota_bytes,
        batch_interval: span(settings, "backend-batch-interval").unwrap_or(defaults.batch_interval),
        batch_limit: positive(settings.int("backend-batch-limit")).unwrap_or(defaults.batch_limit),
        defragment_at_start_bytes: settings
            .uint("bootstrap-defrag-threshold-megabytes")
            .saturating_mul(1 << 20),
        snapshot_count,
        snapshot_catchup_entries,
        max_wals: settings.uint("max-wals"),
        unsafe_no_fsync: settings.bool("unsafe-no-fsync"),
    }
}

fn limits(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Limits {
    let bytes = settings.uint("max-request-bytes");
    if bytes > RECOMMENDED_REQUEST_BYTES_MAX {
        diagnostics.push(Diagnostic::LargeRequests { bytes });
    }
    Limits {
        // Follows from the process's limit of descriptors.
        connections_max: None,
        response_memory_bytes: Some(settings.uint("memory-budget")).filter(|bytes| *bytes > 0),
        txn_ops_max: usize::try_from(settings.uint("max-txn-ops")).unwrap_or(usize::MAX),
        request_bytes_max: usize::try_from(bytes).unwrap_or(usize::MAX),
        concurrent_streams_max: u32::try_from(settings.uint("max-concurrent-streams")).unwrap_or(u32::MAX),
        keepalive_interval: span(settings, "grpc-keepalive-interval"),
        keepalive_timeout: span(settings, "grpc-keepalive-timeout"),
        ping_interval_min: span(settings, "grpc-keepalive-min-time"),
        peer_read_timeout: peer_timeout(settings, "raft-read-timeout", diagnostics),
        peer_write_timeout: peer_timeout(settings, "raft-write-timeout", diagnostics),
    }
}

/// The timeout of streams between members, which is not shorter than etcd's.
fn peer_timeout(settings: &Settings, flag: &'static str, diagnostics: &mut Vec<Diagnostic>) -> Duration {
    let timeout = settings.duration(flag).at_least_zero();
    if timeout < PEER_TIMEOUT_MIN {
        diagnostics.push(Diagnostic::ShortPeerTimeout { flag, min: PEER_TIMEOUT_MIN });
    }
    timeout.max(PEER_TIMEOUT_MIN)
}

fn compaction(settings: &Settings) -> Result<Compaction, ConfigError> {
    let defaults = Compaction::default();
    Ok(Compaction {
        auto: auto_compaction(
            &settings.text("auto-compaction-mode"),
            &settings.text("auto-compaction-retention"),
        )?,
        batch_limit: positive(settings.int("compaction-batch-limit")).unwrap_or(defaults.batch_limit),
        sleep_interval: span(settings, "compaction-sleep-interval").unwrap_or(defaults.sleep_interval),
    })
}

fn watch_progress_interval(settings: &Settings, diagnostics: &mut Vec<Diagnostic>) -> Duration {
    let interval =
        span(settings, "watch-progress-notify-interval").unwrap_or(Config::default().watch_progress_interval);
    if interval < WATCH_PROGRESS_MIN {
        diagnostics.push(Diagnostic::ShortWatchProgress { min: WATCH_PROGRESS_MIN });
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
pub(crate) mod tests {
    use std::ffi::OsString;

    use ferretcd_flags::{Command, parse_command_line};

    use super::*;

    pub(crate) fn try_config(flags: &[&str]) -> Result<(ProgramConfig, Vec<Diagnostic>), ConfigError> {
        let Ok(Command::Run(settings, None)) = parse_command_line(flags.iter().map(OsString::from)) else {
            panic!("{flags:?}");
        };
        let mut diagnostics = Vec::new();
        let config = translate(&settings, || Some("192.0.2.7".to_owned()), &mut diagnostics)?;
        Ok((config, diagnostics))
    }

    pub(crate) fn config(flags: &[&str]) -> ProgramConfig {
        try_config(flags).unwrap().0
    }

    #[test]
    fn spans_are_of_a_share_of_calls() {
        let spans = |flags: &[&str]| {
            try_config(flags).map(|(config, _)| config.spans).map_err(|error| error.to_string())
        };
        assert_eq!(spans(&["--distributed-tracing-sampling-rate=-1"]), Ok(None), "they are off");
        let on = "--enable-distributed-tracing";
        let expected = ferretcd_otlp::Config {
            address: "localhost:4317".to_owned(),
            service_name: "etcd".to_owned(),
            instance_id: String::new(),
            per_million: 1_000_000,
        };
        assert_eq!(spans(&[on, "--distributed-tracing-sampling-rate=1000000"]), Ok(Some(expected)));
        for (rate, reason) in [("-1", "positive"), ("1000001", "less than 1000000")] {
            let flag = format!("--distributed-tracing-sampling-rate={rate}");
            let expected = format!(
                "distributed tracing configurition is not valid: (tracing sampling rate must be {reason})"
            );
            assert_eq!(spans(&[on, &flag]), Err(expected));
        }
    }

    #[test]
    fn defaults_are_those_of_embed() {
        let (config, diagnostics) = try_config(&[]).unwrap();
        assert_eq!(format!("{:?}", config.server), format!("{:?}", Config::default()));
        assert_eq!(config.worker_threads, None);
        let expected = [
            Diagnostic::SinglePort,
            Diagnostic::DefaultName,
            Diagnostic::SimpleTokens,
            Diagnostic::DefaultDataDir { path: "default.etcd".into() },
        ];
        assert_eq!(diagnostics, expected);
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
        ])
        .server;
        assert_eq!(config.storage.quota_bytes, None);
        assert_eq!(config.storage.snapshot_count, 10_000);
        assert_eq!(config.storage.snapshot_catchup_entries, 5_000);
        assert_eq!((config.limits.keepalive_interval, config.limits.keepalive_timeout), (None, None));
        assert_eq!(config.warnings.unary_request, Duration::from_millis(300));
        assert_eq!(config.warnings.apply, Duration::ZERO);
        assert_eq!(config.storage.batch_limit, 10_000);
    }

    #[test]
    fn the_page_reaches_this_machine_unless_a_flag_says_otherwise() {
        let reach = |flags: &[&str]| config(flags).server.http.ui;
        assert_eq!(reach(&[]), Reach::Loopback);
        assert_eq!(reach(&["--ui=loopback"]), Reach::Loopback);
        assert_eq!(reach(&["--ui=all"]), Reach::All);
        assert_eq!(reach(&["--ui=none"]), Reach::None);
    }

    #[test]
    fn memory_budget_is_found_out_unless_it_is_given() {
        let budget = |flags: &[&str]| config(flags).server.limits.response_memory_bytes;
        assert_eq!(budget(&[]), None);
        assert_eq!(budget(&["--memory-budget=0"]), None);
        assert_eq!(budget(&["--memory-budget=5000000"]), Some(5_000_000));
    }

    #[test]
    fn debugging_pages_are_there_when_they_are_requested() {
        let check = |flags: &[&str], expected: (bool, bool)| {
            let http = config(flags).server.http;
            assert_eq!((http.has_profiles, http.has_requests), expected, "{flags:?}");
        };
        check(&[], (false, false));
        check(&["--enable-pprof"], (true, false));
        check(&["--log-level=debug"], (true, true));
    }

    #[test]
    fn watch_progress_interval_has_a_minimum() {
        let check = |flag: &str, expected: Duration, is_adjusted: bool| {
            let (config, diagnostics) = try_config(&[flag]).unwrap();
            assert_eq!(config.server.watch_progress_interval, expected, "{flag}");
            let notice = Diagnostic::ShortWatchProgress { min: WATCH_PROGRESS_MIN };
            assert_eq!(diagnostics.contains(&notice), is_adjusted, "{flag}");
        };
        check("--watch-progress-notify-interval=0", Duration::from_secs(600), false);
        check("--watch-progress-notify-interval=3s", Duration::from_secs(3), false);
        check("--watch-progress-notify-interval=100ms", WATCH_PROGRESS_MIN, false);
        check("--watch-progress-notify-interval=1ms", WATCH_PROGRESS_MIN, true);
    }

    #[test]
    fn timeouts_between_members_have_a_minimum() {
        let check = |flag: &'static str, value: &str, expected: u64, is_adjusted: bool| {
            let (config, diagnostics) = try_config(&[&format!("--{flag}={value}")]).unwrap();
            let limits = config.server.limits;
            let timeouts = match flag {
                "raft-read-timeout" => (limits.peer_read_timeout, limits.peer_write_timeout),
                _ => (limits.peer_write_timeout, limits.peer_read_timeout),
            };
            assert_eq!(timeouts, (Duration::from_secs(expected), PEER_TIMEOUT_MIN), "{flag}={value}");
            let notice = Diagnostic::ShortPeerTimeout { flag, min: PEER_TIMEOUT_MIN };
            assert_eq!(diagnostics.contains(&notice), is_adjusted, "{flag}={value}");
        };
        for flag in ["raft-read-timeout", "raft-write-timeout"] {
            check(flag, "7s", 7, false);
            check(flag, "5s", 5, false);
            check(flag, "4.999s", 5, true);
            check(flag, "-1s", 5, true);
        }
    }

    #[test]
    fn connections_to_members_come_from_the_first_address_that_is_advertised() {
        fn check(urls: &str, expected: Option<&str>) {
            let flags =
                [&format!("--initial-advertise-peer-urls={urls}"), "--feature-gates=SetMemberLocalAddr=true"];
            let (config, diagnostics) = try_config(&flags).unwrap();
            let source = config.server.peer_source;
            assert_eq!(source.map(|address| address.to_string()).as_deref(), expected, "{urls}");
            let peer_urls = urls.split(',').map(str::to_owned).collect();
            assert!(diagnostics.contains(&Diagnostic::PeerSource { peer_urls, source }), "{diagnostics:?}");
            assert_eq!(self::config(&flags[..1]).server.peer_source, None, "{urls}");
        }
        check("http://10.0.0.1:1", Some("10.0.0.1"));
        check("http://0.0.0.0:1,http://10.0.0.2:1,http://127.0.0.1:1", Some("10.0.0.2"));
        check("http://[::1]:1,http://[fd00::1]:1,http://a.example:1", Some("fd00::1"));
        check("http://a.example:1,http://localhost:1", None);
    }

    #[test]
    fn the_initial_cluster_follows_name_and_urls() {
        fn check(flags: &[&str], expected: &str) {
            assert_eq!(config(flags).server.cluster.initial_cluster_text(), expected);
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
    fn the_implied_initial_cluster_can_be_founded() {
        for flags in [
            &[][..],
            &["--name=a"],
            &["--name=a", "--initial-advertise-peer-urls=http://10.0.0.1:1,http://10.0.0.1:2"],
        ] {
            assert_eq!(config(flags).server.check_bootstrap(), Ok(()), "{flags:?}");
        }
    }

    #[test]
    fn the_default_host_is_looked_up_only_if_it_matters() {
        let (config, diagnostics) =
            try_config(&["--name=a", "--listen-peer-urls=http://0.0.0.0:2380"]).unwrap();
        assert_eq!(config.server.advertise.peer[0].as_str(), "http://192.0.2.7:2380");
        assert!(diagnostics.contains(&Diagnostic::AdvertisedHost { host: "192.0.2.7".to_owned() }));
        let flags = ["--listen-peer-urls=http://0.0.0.0:2380", "--initial-advertise-peer-urls=http://h:2380"];
        assert_eq!(self::config(&flags).server.advertise.peer[0].as_str(), "http://h:2380");
    }

    #[test]
    fn large_limits_are_diagnostics() {
        let flags = ["--max-request-bytes=10485761", "--quota-backend-bytes=8589934593"];
        let (_, diagnostics) = try_config(&flags).unwrap();
        assert!(diagnostics.contains(&Diagnostic::LargeRequests { bytes: 10_485_761 }));
        assert!(diagnostics.contains(&Diagnostic::LargeQuota { bytes: 8_589_934_593 }));
    }
}
