//! What each part of a server is started with, out of the configuration of the whole.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::bootstrap::founders;
use crate::config::{AutoCompaction, Config, url_texts};
use crate::memory;

impl Config {
    /// Whether the member has a log: then a start goes on from it, and the initial cluster does not count. Reads the
    /// directory of the log.
    pub fn has_log(&self) -> bool {
        engine(self).has_log()
    }
}

/// How long a client may take nothing of a long response before its connection is closed.
const RESPONSE_STALL_MAX: Duration = Duration::from_secs(60);

/// The shortest time between two pings of a client when none is set; grpc-go's.
const DEFAULT_PING_INTERVAL_MIN: Duration = Duration::from_secs(5 * 60);

/// Longer than any process lives, and still to be added to a point in time.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

pub(crate) fn engine(config: &Config) -> ferretcd_engine::Config {
    let defaults = ferretcd_engine::Config::new(&config.name, &config.data_dir, "", unix_ms());
    // The sizes of the caches are those of the engine's own defaults.
    ferretcd_engine::Config {
        wal_dir: config.wal_dir.clone(),
        client_urls: url_texts(&config.advertise.client),
        bootstrap: founders(config),
        force_new_cluster: config.cluster.force_new,
        strict_reconfig: config.cluster.strict_reconfig_check,
        learners_max: config.cluster.learners_max,
        heartbeat: config.raft.heartbeat_interval,
        election: config.raft.election_timeout,
        pre_vote: config.cluster.pre_vote,
        advance_ticks: config.raft.initial_election_tick_advance,
        snapshot_count: config.storage.snapshot_count,
        catchup_entries: config.storage.snapshot_catchup_entries,
        catchup_bytes: memory::for_followers(),
        wals_max: usize::try_from(config.storage.max_wals).unwrap_or(usize::MAX),
        request_bytes_max: config.limits.request_bytes_max,
        quota_bytes: quota_bytes(config.storage.quota_bytes),
        backend_interval: config.storage.batch_interval,
        backend_batch: config.storage.batch_limit,
        defragment_at_start_bytes: config.storage.defragment_at_start_bytes,
        response_budget_bytes: config.limits.response_memory_bytes.unwrap_or(defaults.response_budget_bytes),
        compaction_batch: config.compaction.batch_limit,
        compaction_sleep: config.compaction.sleep_interval,
        lease_checkpoint: config.lease_checkpoint,
        auto_compaction: match config.compaction.auto {
            AutoCompaction::Off => ferretcd_engine::AutoCompaction::Off,
            AutoCompaction::Periodic(retention) => ferretcd_engine::AutoCompaction::Periodic(retention),
            AutoCompaction::Revision(count) => {
                ferretcd_engine::AutoCompaction::Revision(i64::try_from(count).unwrap_or(i64::MAX))
            }
        },
        corruption_checks: config.corruption_checks,
        downgrade_check: config.downgrade_check,
        refetch_corrupt: config.refetch_corrupt_data,
        slow_apply: config.warnings.apply,
        unsafe_no_fsync: config.storage.unsafe_no_fsync,
        bcrypt_cost: config.auth.bcrypt_cost,
        client_cert_auth: config.security.client.client_cert_auth,
        ..defaults
    }
}

/// As the engine has it.
pub(crate) fn quota_bytes(quota: Option<u64>) -> i64 {
    quota.map_or(-1, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX))
}

#[expect(clippy::disallowed_methods, reason = "a start is where the time of day comes in")]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn services(config: &Config) -> ferretcd_grpc_server::Config {
    ferretcd_grpc_server::Config {
        request_bytes_max: config.limits.request_bytes_max,
        txn_ops_max: config.limits.txn_ops_max,
        watch_progress_interval: config.watch_progress_interval,
        slow_request: config.warnings.unary_request,
        response_stall_max: RESPONSE_STALL_MAX,
        extensive_metrics: config.http.extensive_metrics,
        has_gateway: config.http.has_gateway,
        ui: config.http.ui,
    }
}

pub(crate) fn port(config: &Config) -> ferretcd_listen::Config {
    ferretcd_listen::Config {
        concurrent_streams_max: config.limits.concurrent_streams_max,
        keepalive_interval: config.limits.keepalive_interval,
        keepalive_timeout: config.limits.keepalive_timeout.unwrap_or(NEVER),
        ping_interval_min: config.limits.ping_interval_min.unwrap_or(DEFAULT_PING_INTERVAL_MIN),
        drain_timeout: config.drain_timeout,
    }
}

pub(crate) fn pages(config: &Config, read_timeout: Duration) -> ferretcd_http_pages::Config {
    ferretcd_http_pages::Config {
        cors: config.http.cors.clone(),
        host_whitelist: config.http.host_whitelist.clone(),
        read_timeout,
        debug: ferretcd_http_pages::Debug {
            command_line: config.http.command_line.clone(),
            has_profiles: config.http.has_profiles,
            has_requests: config.http.has_requests,
        },
    }
}
