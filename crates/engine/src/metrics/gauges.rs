//! Gauges that mirror the state of the member.

use ferretcd_api_proto::etcdserverpb::AlarmType;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use crate::Engine;
use crate::engine::WeakEngine;

/// Gauges that show the state at the moment of the scrape; nothing once the member is dropped.
pub(crate) struct Gauges {
    engine: WeakEngine,
    gauges: Vec<Gauge>,
    /// Only says what there is: each scrape has gauges of its own, since others may go on at the same time.
    labelled: Labelled,
}

/// Gauges whose labels tell the state.
struct Labelled {
    cluster_version: IntGaugeVec,
    alarms: IntGaugeVec,
}

impl Labelled {
    fn new() -> Result<Self, prometheus::Error> {
        let version = Opts::new("etcd_cluster_version", "1 for the version that the cluster runs at.");
        let alarms = Opts::new("etcd_debugging_server_alarms", "1 for each alarm that is raised.");
        Ok(Self {
            cluster_version: IntGaugeVec::new(version, &["cluster_version"])?,
            alarms: IntGaugeVec::new(alarms, &["server_id", "alarm_type"])?,
        })
    }
}

type Read = fn(&Engine) -> i64;

struct Gauge {
    gauge: IntGauge,
    read: Read,
}

const GAUGES: &[(&str, &str, Read)] = &[
    ("etcd_server_has_leader", "1 if a leader is known.", |e| e.member().status().leader.is_some().into()),
    ("etcd_server_is_leader", "1 if this member leads.", |e| e.member().is_leader().into()),
    ("etcd_server_is_learner", "1 if this member is a learner.", |e| e.member().is_learner().into()),
    ("etcd_server_proposals_committed_total", "The committed index.", |e| {
        e.member().status().committed as i64
    }),
    ("etcd_server_proposals_applied_total", "The applied index.", |e| e.member().status().applied as i64),
    ("etcd_server_proposals_pending", "Proposals whose answer is to come.", |e| {
        e.channels().waiters.len() as i64
    }),
    ("ferretcd_response_budget_bytes", "Memory for responses that are long.", |e| {
        e.channels().budget.total_bytes() as i64
    }),
    ("ferretcd_response_budget_used_bytes", "The part of it that responses under way have.", |e| {
        e.channels().budget.used_bytes() as i64
    }),
    ("etcd_server_quota_backend_bytes", "The quota of the state file.", |e| e.maintenance().quota_bytes()),
    ("etcd_mvcc_db_total_size_in_bytes", "Size of the state file.", |e| {
        e.maintenance().db_size().total as i64
    }),
    ("etcd_mvcc_db_total_size_in_use_in_bytes", "The part of it in use.", |e| {
        e.maintenance().db_size().in_use as i64
    }),
    ("etcd_mvcc_db_open_read_transactions", "Reads of the state file under way.", |e| {
        e.maintenance().open_transactions() as i64
    }),
    ("etcd_debugging_mvcc_keys_total", "Keys in the index.", |e| e.kv().reader().key_count() as i64),
    ("etcd_debugging_mvcc_current_revision", "The newest revision.", |e| e.kv().reader().revision()),
    ("etcd_debugging_mvcc_compact_revision", "The compacted revision.", |e| e.kv().reader().compacted()),
    ("etcd_debugging_auth_revision", "The newest revision of users and roles.", |e| {
        e.channels().rights.load().revision() as i64
    }),
    ("etcd_debugging_mvcc_watch_stream_total", "Watch streams.", |e| {
        e.channels().watching.counts().streams as i64
    }),
    ("etcd_debugging_mvcc_watcher_total", "Watches.", |e| e.channels().watching.counts().watchers as i64),
    ("etcd_debugging_mvcc_slow_watcher_total", "Watches that are behind.", |e| {
        e.channels().watching.counts().unsynced as i64
    }),
    ("etcd_debugging_mvcc_pending_events_total", "Events that wait for their stream.", |e| {
        e.channels().watching.pending_events() as i64
    }),
];

impl Gauges {
    pub(crate) fn register(engine: &Engine, registry: &Registry) -> Result<(), prometheus::Error> {
        let member = engine.member().id().to_string();
        for (name, label, value) in [
            ("etcd_server_id", "server_id", member.as_str()),
            ("etcd_server_version", "server_version", ferretcd_api_proto::API_VERSION),
        ] {
            let constant = IntGaugeVec::new(Opts::new(name, "Constant 1; the label tells."), &[label])?;
            constant.with_label_values(&[value]).set(1);
            registry.register(Box::new(constant))?;
        }
        let gauges = GAUGES
            .iter()
            .map(|(name, help, read)| Ok(Gauge { gauge: IntGauge::new(*name, *help)?, read: *read }))
            .collect::<Result<_, prometheus::Error>>()?;
        registry.register(Box::new(Self { engine: engine.downgrade(), gauges, labelled: Labelled::new()? }))
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = self.gauges.iter().flat_map(|gauge| gauge.gauge.desc());
        let Labelled { cluster_version, alarms } = &self.labelled;
        gauges.chain(cluster_version.desc()).chain(alarms.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(engine) = self.engine.upgrade() else { return Vec::new() };
        let labelled = Labelled::new().expect("it succeeded when they were registered");
        let Labelled { cluster_version, alarms } = labelled;
        if let Some(version) = engine.member().versions().cluster {
            let label = version.rsplit_once('.').map_or(version.as_str(), |(minor, _)| minor);
            cluster_version.with_label_values(&[label]).set(1);
        }
        for alarm in engine.member().alarms().iter() {
            let kind = AlarmType::try_from(alarm.kind).unwrap_or_default().as_str_name();
            alarms.with_label_values(&[&alarm.member.to_string(), kind]).set(1);
        }
        for Gauge { gauge, read } in &self.gauges {
            gauge.set(read(&engine));
        }
        let gauges = self.gauges.iter().flat_map(|gauge| gauge.gauge.collect());
        gauges.chain(cluster_version.collect()).chain(alarms.collect()).collect()
    }
}
