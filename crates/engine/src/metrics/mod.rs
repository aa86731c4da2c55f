//! The member's metrics, under etcd's names.
//!
//! Counters and histograms are fed where things happen. Gauges that mirror a state are computed at each scrape, in
//! [`gauges`].

pub(crate) mod gauges;

use ferretcd_apply::{ApplyError, Response};
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, exponential_buckets,
};

/// Fed by the member's threads.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) proposals_failed: IntCounter,
    pub(crate) leader_changes: IntCounter,
    pub(crate) slow_applies: IntCounter,
    pub(crate) slow_reads: IntCounter,
    pub(crate) failed_reads: IntCounter,
    pub(crate) wal_sync: Histogram,
    pub(crate) wal_write: Histogram,
    pub(crate) wal_written: IntGauge,
    pub(crate) backend_commit: Histogram,
    pub(crate) scrub_pause: Histogram,
    pub(crate) scrubbed_rows: IntCounter,
    pub(crate) ranges: IntCounter,
    pub(crate) watch_events: IntCounter,
    pub(crate) leases_expired: IntCounter,
    pub(crate) lease_renewed: IntCounter,
    pub(crate) learners_promoted: IntCounter,
    pub(crate) promotions_refused: IntCounterVec,
    pub(crate) late_heartbeats: IntCounter,
    pub(crate) installing: IntGauge,
    pub(crate) state_read: Histogram,
    pub(crate) state_received: Histogram,
    pub(crate) hash: Histogram,
    pub(crate) hash_kv: Histogram,
    pub(crate) compaction: Histogram,
    leases_granted: IntCounter,
    leases_revoked: IntCounter,
    lease_ttl: Histogram,
    puts: IntCounter,
    deletes: IntCounter,
    txns: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let histogram = |name: &str, help: &str, first: f64, count: usize| {
            let buckets = exponential_buckets(first, 2.0, count)?;
            let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let promotions_refused = IntCounterVec::new(
            Opts::new("etcd_server_learner_promote_failures", "Promotions that this leader refused."),
            &["Reason"],
        )?;
        registry.register(Box::new(promotions_refused.clone()))?;
        Ok(Self {
            wal_written: gauge("etcd_disk_wal_write_bytes_total", "Bytes written to the log.")?,
            promotions_refused,
            late_heartbeats: counter(
                "etcd_server_heartbeat_send_failures_total",
                "Heartbeats that this leader sent too late.",
            )?,
            installing: gauge(
                "etcd_server_snapshot_apply_in_progress_total",
                "1 while a received state takes the place of the member's.",
            )?,
            state_read: histogram(
                "etcd_disk_backend_snapshot_duration_seconds",
                "Sending the state to a member or a client.",
                0.01,
                17,
            )?,
            state_received: histogram(
                "etcd_snap_db_save_total_duration_seconds",
                "Receiving a state, until it is durable.",
                0.1,
                10,
            )?,
            hash: histogram("etcd_mvcc_hash_duration_seconds", "Hashes of the state file.", 0.01, 15)?,
            hash_kv: histogram("etcd_mvcc_hash_rev_duration_seconds", "Hashes of the key space.", 0.01, 15)?,
            compaction: histogram(
                "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                "Compactions, from their acceptance to the removal of the last row.",
                100.0,
                14,
            )?,
            learners_promoted: counter(
                "etcd_server_learner_promote_successes",
                "Learners that this leader has promoted.",
            )?,
            proposals_failed: counter(
                "etcd_server_proposals_failed_total",
                "Proposals that were not logged.",
            )?,
            leader_changes: counter("etcd_server_leader_changes_seen_total", "Leaders seen to take over.")?,
            slow_applies: counter("etcd_server_slow_apply_total", "Apply batches over the warning limit.")?,
            slow_reads: counter("etcd_server_slow_read_indexes_total", "Read indexes asked for again.")?,
            failed_reads: counter("etcd_server_read_indexes_failed_total", "Reads that never got an index.")?,
            wal_sync: histogram("etcd_disk_wal_fsync_duration_seconds", "Syncs of the log.", 0.001, 14)?,
            wal_write: histogram("etcd_disk_wal_write_duration_seconds", "Writes to the log.", 0.001, 14)?,
            backend_commit: histogram(
                "etcd_disk_backend_commit_duration_seconds",
                "Commits of the state file.",
                0.001,
                14,
            )?,
            scrub_pause: histogram(
                "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
                "Steps of compactions.",
                1.0,
                13,
            )?,
            scrubbed_rows: counter(
                "etcd_debugging_mvcc_db_compaction_keys_total",
                "Revisions removed by compactions.",
            )?,
            ranges: counter("etcd_mvcc_range_total", "Ranges read, also inside transactions.")?,
            watch_events: counter("etcd_debugging_mvcc_events_total", "Events given to watch streams.")?,
            leases_expired: counter("etcd_debugging_server_lease_expired_total", "Leases that expired.")?,
            lease_renewed: counter("etcd_debugging_lease_renewed_total", "Renewals of leases.")?,
            leases_granted: counter("etcd_debugging_lease_granted_total", "Leases granted.")?,
            leases_revoked: counter("etcd_debugging_lease_revoked_total", "Leases ended.")?,
            lease_ttl: histogram("etcd_debugging_lease_ttl_total", "Times to live granted.", 1.0, 24)?,
            puts: counter("etcd_mvcc_put_total", "Keys put.")?,
            deletes: counter("etcd_mvcc_delete_total", "Ranges deleted.")?,
            txns: counter("etcd_mvcc_txn_total", "Transactions.")?,
        })
    }

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
