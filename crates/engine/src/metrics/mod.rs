//! The member's metrics, under etcd's names.
//!
//! Counters and histograms are fed where things happen. Gauges that mirror a state are computed at each scrape, in
//! [`gauges`].

pub(crate) mod durations;
pub(crate) mod gauges;
mod never;

use std::time::Duration;

use ferretcd_apply::{ApplyError, Kind, Response};
use ferretcd_mvcc::Counts;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets,
};

use self::durations::{Durations, RequestKind};

/// A kind of metric, and what defines one.
trait Define: Sized {
    type Definition;

    fn define(definition: Self::Definition) -> Result<Self, prometheus::Error>;

    /// What the registry collects.
    fn collector(&self) -> Box<dyn Collector>;
}

impl Define for IntCounter {
    /// Name and help.
    type Definition = (&'static str, &'static str);

    fn define((name, help): Self::Definition) -> Result<Self, prometheus::Error> {
        Self::new(name, help)
    }

    fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.clone())
    }
}

impl Define for IntCounterVec {
    /// Name, help and label.
    type Definition = (&'static str, &'static str, &'static str);

    fn define((name, help, label): Self::Definition) -> Result<Self, prometheus::Error> {
        Self::new(Opts::new(name, help), &[label])
    }

    fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.clone())
    }
}

impl Define for IntGauge {
    /// Name and help.
    type Definition = (&'static str, &'static str);

    fn define((name, help): Self::Definition) -> Result<Self, prometheus::Error> {
        Self::new(name, help)
    }

    fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.clone())
    }
}

impl Define for Histogram {
    /// Name, help, the first bucket and the number of buckets, each of which is twice as large as the one before.
    type Definition = (&'static str, &'static str, f64, usize);

    fn define((name, help, first, count): Self::Definition) -> Result<Self, prometheus::Error> {
        let buckets = exponential_buckets(first, 2.0, count)?;
        Self::with_opts(HistogramOpts::new(name, help).buckets(buckets))
    }

    fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.clone())
    }
}

impl Define for Durations {
    /// Name and help, labels, the labels of each kind, and the first bucket with their number.
    type Definition = ((&'static str, &'static str), Vec<&'static str>, Vec<Vec<&'static str>>, (f64, usize));

    fn define((name, labels, kinds, buckets): Self::Definition) -> Result<Self, prometheus::Error> {
        Self::new(name, &labels, kinds, buckets)
    }

    fn collector(&self) -> Box<dyn Collector> {
        Box::new(self.histograms.clone())
    }
}

fn register<M: Define>(registry: &Registry, definition: M::Definition) -> Result<M, prometheus::Error> {
    let metric = M::define(definition)?;
    registry.register(metric.collector())?;
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
                never::register_all(registry)?;
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
    defrag: Histogram = (
        "etcd_disk_backend_defrag_duration_seconds",
        "Defragmentations of the state file.", 0.1, 13
    );
    defrag_inflight: IntGauge = ("etcd_disk_defrag_inflight", "1 during a defragmentation.");
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
    txns: IntCounter = ("etcd_mvcc_txn_total", "Transactions of more than one put, delete or range.");
    put_bytes: IntGauge = (
        "etcd_debugging_mvcc_total_put_size_in_bytes",
        "Bytes of the keys and values put."
    );
    index_pause: Histogram = (
        "etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds",
        "Acceptances of compactions.", 0.5, 14
    );
    last_compaction: IntGauge = (
        "etcd_debugging_mvcc_db_compaction_last",
        "When a compaction last ended, in seconds since 1970; 0 before the first one of this run."
    );
    requests: Durations = (
        ("etcd_server_request_duration_seconds", "Requests, from the proposal or read on."),
        vec!["type"], RequestKind::labels(), (0.001, 14)
    );
    applies: Durations = (
        ("etcd_server_apply_duration_seconds", "Commands applied."),
        vec!["version", "op"], Kind::ALL.iter().map(|kind| vec!["v3", kind.name()]).collect(), (0.0001, 20)
    );
    range_times: Durations = (
        ("etcd_server_range_duration_seconds", "Ranges read outside of transactions."),
        vec![], vec![vec![]], (0.0001, 20)
    );
}

impl Metrics {
    pub(crate) fn count(&self, result: &Result<Response, ApplyError>) {
        match result {
            Ok(Response::LeaseGrant { ttl, .. }) => {
                self.leases_granted.inc();
                self.lease_ttl.observe(*ttl as f64);
            }
            Ok(Response::LeaseRevoked(_)) => self.leases_revoked.inc(),
            Ok(
                Response::Put(_)
                | Response::Txn(_)
                | Response::DeleteRange(_)
                | Response::Compaction { .. }
                | Response::LeasesCheckpointed(_)
                | Response::Alarm(_)
                | Response::Auth(_)
                | Response::Done,
            ) => {}
            // Its proposal has succeeded: it is in the log, and what it asks for is rejected.
            Err(_) => {}
        }
    }

    /// Counts what was requested of the key space, inside transactions too.
    pub(crate) fn count_operations(&self, counts: Counts) {
        let Counts { puts, put_bytes, deletes, ranges, txns } = counts;
        self.puts.inc_by(puts);
        self.put_bytes.add(put_bytes as i64);
        self.deletes.inc_by(deletes);
        self.ranges.inc_by(ranges);
        self.txns.inc_by(txns);
    }

    /// One command was applied. A rejection because of a compaction counts as a success, as in etcd.
    pub(crate) fn applied(&self, kind: Kind, result: &Result<Response, ApplyError>, took: Duration) {
        // etcd does not know this one here.
        if kind == Kind::AuthStatus {
            return;
        }
        let is_success = matches!(result, Ok(_) | Err(ApplyError::Compacted { .. }));
        self.applies.observe(kind as usize, is_success, took);
        if let Ok(Response::Compaction { .. }) = result {
            self.index_pause.observe(took.as_secs_f64() * 1e3);
        }
    }

    /// One range was read.
    pub(crate) fn range_read(&self, is_success: bool, took: Duration) {
        self.ranges.inc();
        self.range_times.observe(0, is_success, took);
    }
}
