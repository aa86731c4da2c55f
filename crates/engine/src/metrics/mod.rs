//! The member's metrics, under etcd's names.
//!
//! Counters and histograms are fed where things happen. Gauges that mirror a state are computed at each scrape, in
//! [`gauges`].

pub(crate) mod gauges;

use ferretcd_apply::{ApplyError, Response};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets,
};

/// A kind of metric, and what defines one.
trait Define: Collector + Clone + 'static {
    type Definition;

    fn define(definition: Self::Definition) -> Result<Self, prometheus::Error>;
}

impl Define for IntCounter {
    /// Name and help.
    type Definition = (&'static str, &'static str);

    fn define((name, help): Self::Definition) -> Result<Self, prometheus::Error> {
        Self::new(name, help)
    }
}

impl Define for IntCounterVec {
    /// Name, help and label.
    type Definition = (&'static str, &'static str, &'static str);

    fn define((name, help, label): Self::Definition) -> Result<Self, prometheus::Error> {
        Self::new(Opts::new(name, help), &[label])
    }
}

impl Define for IntGauge {
    /// Name and help.
    type Definition = (&'static str, &'static str);

    fn define((name, help): Self::Definition) -> Result<Self, prometheus::Error> {
        Self::new(name, help)
    }
}

impl Define for Histogram {
    /// Name, help, the first bucket and the number of buckets, each of which is twice as large as the one before.
    type Definition = (&'static str, &'static str, f64, usize);

    fn define((name, help, first, count): Self::Definition) -> Result<Self, prometheus::Error> {
        let buckets = exponential_buckets(first, 2.0, count)?;
        Self::with_opts(HistogramOpts::new(name, help).buckets(buckets))
    }
}

fn register<M: Define>(registry: &Registry, definition: M::Definition) -> Result<M, prometheus::Error> {
    let metric = M::define(definition)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// The metrics as a table.
macro_rules! metrics {
    ($($field:ident: $kind:ident = $definition:expr;)*) => {
        /// Fed by the member's threads.
        #[derive(Debug)]
        pub(crate) struct Metrics {
            $(pub(crate) $field: $kind,)*
        }

        impl Metrics {
            pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
                Ok(Self { $($field: register(registry, $definition)?,)* })
            }
        }
    };
}

metrics! {
    proposals_failed: IntCounter = ("etcd_server_proposals_failed_total", "Proposals that were not logged.");
    leader_changes: IntCounter = ("etcd_server_leader_changes_seen_total", "Leaders seen to take over.");
    slow_applies: IntCounter = ("etcd_server_slow_apply_total", "Apply batches over the warning limit.");
    slow_reads: IntCounter = ("etcd_server_slow_read_indexes_total", "Read indexes asked for again.");
    failed_reads: IntCounter = ("etcd_server_read_indexes_failed_total", "Reads that never got an index.");
    wal_sync: Histogram = ("etcd_disk_wal_fsync_duration_seconds", "Syncs of the log.", 0.001, 14);
    wal_write: Histogram = ("etcd_disk_wal_write_duration_seconds", "Writes to the log.", 0.001, 14);
    wal_written: IntGauge = ("etcd_disk_wal_write_bytes_total", "Bytes written to the log.");
    backend_commit: Histogram = (
        "etcd_disk_backend_commit_duration_seconds",
        "Commits of the state file.", 0.001, 14
    );
    scrub_pause: Histogram = (
        "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
        "Steps of compactions.", 1.0, 13
    );
    scrubbed_rows: IntCounter = (
        "etcd_debugging_mvcc_db_compaction_keys_total",
        "Revisions removed by compactions."
    );
    ranges: IntCounter = ("etcd_mvcc_range_total", "Ranges read, also inside transactions.");
    watch_events: IntCounter = ("etcd_debugging_mvcc_events_total", "Events given to watch streams.");
    leases_expired: IntCounter = ("etcd_debugging_server_lease_expired_total", "Leases that expired.");
    lease_renewed: IntCounter = ("etcd_debugging_lease_renewed_total", "Renewals of leases.");
    learners_promoted: IntCounter = (
        "etcd_server_learner_promote_successes",
        "Learners that this leader has promoted."
    );
    promotions_refused: IntCounterVec = (
        "etcd_server_learner_promote_failures",
        "Promotions that this leader refused.", "Reason"
    );
    late_heartbeats: IntCounter = (
        "etcd_server_heartbeat_send_failures_total",
        "Heartbeats that this leader sent too late."
    );
    installing: IntGauge = (
        "etcd_server_snapshot_apply_in_progress_total",
        "1 while a received state takes the place of the member's."
    );
    state_read: Histogram = (
        "etcd_disk_backend_snapshot_duration_seconds",
        "Sending the state to a member or a client.", 0.01, 17
    );
    state_received: Histogram = (
        "etcd_snap_db_save_total_duration_seconds",
        "Receiving a state, until it is durable.", 0.1, 10
    );
    hash: Histogram = ("etcd_mvcc_hash_duration_seconds", "Hashes of the state file.", 0.01, 15);
    hash_kv: Histogram = ("etcd_mvcc_hash_rev_duration_seconds", "Hashes of the key space.", 0.01, 15);
    compaction: Histogram = (
        "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
        "Compactions, from their acceptance to the removal of the last row.", 100.0, 14
    );
    leases_granted: IntCounter = ("etcd_debugging_lease_granted_total", "Leases granted.");
    leases_revoked: IntCounter = ("etcd_debugging_lease_revoked_total", "Leases ended.");
    lease_ttl: Histogram = ("etcd_debugging_lease_ttl_total", "Times to live granted.", 1.0, 24);
    puts: IntCounter = ("etcd_mvcc_put_total", "Keys put.");
    deletes: IntCounter = ("etcd_mvcc_delete_total", "Ranges deleted.");
    txns: IntCounter = ("etcd_mvcc_txn_total", "Transactions.");
}

impl Metrics {
    pub(crate) fn count(&self, result: &Result<Response, ApplyError>) {
        match result {
            Ok(Response::Put(_)) => self.puts.inc(),
            Ok(Response::DeleteRange(_)) => self.deletes.inc(),
            Ok(Response::Txn(_)) => self.txns.inc(),
            Ok(Response::LeaseGrant { ttl, .. }) => {
                self.leases_granted.inc();
                self.lease_ttl.observe(*ttl as f64);
            }
            Ok(Response::LeasesRevoked(ids)) => self.leases_revoked.inc_by(ids.len() as u64),
            Ok(
                Response::Compaction { .. }
                | Response::LeasesCheckpointed(_)
                | Response::Alarm(_)
                | Response::Done,
            ) => {}
            Err(_) => self.proposals_failed.inc(),
        }
    }
}
