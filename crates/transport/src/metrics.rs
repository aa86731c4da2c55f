//! The metrics of the network between members, with etcd's names.

use ferretcd_base::MemberId;
use prometheus::core::Collector;
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, exponential_buckets,
};

/// All series; [`Metrics::of_peer`] gives those of one peer.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    known: IntGaugeVec,
    active: IntGaugeVec,
    disconnected: IntCounterVec,
    sent_bytes: IntCounterVec,
    received_bytes: IntCounterVec,
    sent_failures: IntCounterVec,
    received_failures: IntCounterVec,
    round_trip: HistogramVec,
    pub(crate) sent_snapshots: SnapshotSeries,
    pub(crate) received_snapshots: SnapshotSeries,
}

/// The series of snapshots in one direction, by the peer's id.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotSeries {
    success: IntCounterVec,
    failures: IntCounterVec,
    inflights: IntGaugeVec,
    duration: HistogramVec,
}

/// The series of one peer, looked up once.
#[derive(Clone, Debug)]
pub(crate) struct PeerCounters {
    pub(crate) sent_bytes: IntCounter,
    pub(crate) received_bytes: IntCounter,
    pub(crate) sent_failures: IntCounter,
    pub(crate) received_failures: IntCounter,
    pub(crate) round_trip: Histogram,
    /// Heartbeats of streams carry no sender, so they count for id 0.
    pub(crate) received_heartbeats: IntCounter,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let network = Network(registry);
        let ends = &["Local", "Remote"];
        Ok(Self {
            known: network.gauge("known_peers", "Members that are known.", ends)?,
            active: network.gauge("active_peers", "Members that are connected.", ends)?,
            disconnected: network.counter("disconnected_peers_total", "Connections lost.", ends)?,
            sent_bytes: network.counter("peer_sent_bytes_total", "Bytes sent to members.", &["To"])?,
            received_bytes: network.counter("peer_received_bytes_total", "Bytes from members.", &["From"])?,
            sent_failures: network.counter("peer_sent_failures_total", "Messages not sent.", &["To"])?,
            received_failures: network.counter(
                "peer_received_failures_total",
                "Messages not received.",
                &["From"],
            )?,
            round_trip: network.histogram(
                "peer_round_trip_time_seconds",
                "Round trips of probes.",
                "To",
                (0.0001, 16),
            )?,
            sent_snapshots: SnapshotSeries::register(&network, "send", "To")?,
            received_snapshots: SnapshotSeries::register(&network, "receive", "From")?,
        })
    }

    /// The series of a peer.
    pub(crate) fn of_peer(&self, id: MemberId) -> PeerCounters {
        let id = &id.to_string();
        PeerCounters {
            sent_bytes: self.sent_bytes.with_label_values(&[id]),
            received_bytes: self.received_bytes.with_label_values(&[id]),
            sent_failures: self.sent_failures.with_label_values(&[id]),
            received_failures: self.received_failures.with_label_values(&[id]),
            round_trip: self.round_trip.with_label_values(&[id]),
            received_heartbeats: self.received_bytes.with_label_values(&["0"]),
        }
    }

    /// Whether a peer is active, and how often its connection was lost.
    pub(crate) fn activity(&self, local: MemberId, remote: MemberId) -> (IntGauge, IntCounter) {
        let labels = &[&local.to_string(), &remote.to_string()];
        (self.active.with_label_values(labels), self.disconnected.with_label_values(labels))
    }

    /// Whether the peer `remote` is a member now.
    pub(crate) fn set_known(&self, local: MemberId, remote: MemberId, is_known: bool) {
        let labels = &[&local.to_string(), &remote.to_string()];
        self.known.with_label_values(labels).set(is_known.into());
    }

    /// Bytes received outside of a stream.
    pub(crate) fn received(&self, from: MemberId, bytes: u64) {
        self.received_bytes.with_label_values(&[&from.to_string()]).inc_by(bytes);
    }

    /// A message outside of a stream could not be read.
    pub(crate) fn not_received(&self, from: Option<MemberId>) {
        self.received_failures.with_label_values(&[&label(from)]).inc();
    }
}

impl SnapshotSeries {
    fn register(network: &Network<'_>, way: &str, label: &str) -> Result<Self, Error> {
        let name = |what: &str| format!("snapshot_{way}_{what}");
        Ok(Self {
            success: network.counter(&name("success"), "Snapshots that arrived.", &[label])?,
            failures: network.counter(&name("failures"), "Snapshots that did not arrive.", &[label])?,
            inflights: network.gauge(&name("inflights_total"), "Snapshots under way.", &[label])?,
            duration: network.histogram(
                &name("total_duration_seconds"),
                "Times of snapshots that arrived.",
                label,
                (0.1, 10),
            )?,
        })
    }

    /// One more snapshot is in flight until the result is dropped.
    pub(crate) fn begin(&self, id: MemberId) -> Inflight {
        let gauge = self.inflights.with_label_values(&[&id.to_string()]);
        gauge.inc();
        Inflight(gauge)
    }

    pub(crate) fn succeeded(&self, id: MemberId, took: std::time::Duration) {
        let id = &id.to_string();
        self.success.with_label_values(&[id]).inc();
        self.duration.with_label_values(&[id]).observe(took.as_secs_f64());
    }

    pub(crate) fn failed(&self, id: Option<MemberId>) {
        self.failures.with_label_values(&[&label(id)]).inc();
    }
}

/// A snapshot in flight.
#[derive(Debug)]
pub(crate) struct Inflight(IntGauge);

impl Drop for Inflight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn label(id: Option<MemberId>) -> String {
    id.unwrap_or_default().to_string()
}

/// Registers series with the common prefix of their names.
struct Network<'a>(&'a Registry);

impl Network<'_> {
    fn gauge(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(opts(name, help), labels)?)
    }

    fn counter(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(opts(name, help), labels)?)
    }

    /// The first bucket and the number of buckets; each is twice the one before.
    fn histogram(
        &self,
        name: &str,
        help: &str,
        label: &str,
        (first, count): (f64, usize),
    ) -> Result<HistogramVec, Error> {
        let buckets = exponential_buckets(first, 2.0, count)?;
        self.add(HistogramVec::new(HistogramOpts::from(opts(name, help)).buckets(buckets), &[label])?)
    }

    fn add<C: Collector + Clone + 'static>(&self, series: C) -> Result<C, Error> {
        self.0.register(Box::new(series.clone()))?;
        Ok(series)
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("etcd_network_{name}"), help)
}
