//! Histograms of how long each kind of work took, by its outcome.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ferretcd_apply::Kind;
use prometheus::{Histogram, HistogramOpts, HistogramVec, exponential_buckets};

/// A histogram for each kind of work and each outcome. A series appears with its first observation, as in etcd; from
/// then on it is found without a look at its labels.
#[derive(Debug)]
pub(crate) struct Durations {
    pub(super) histograms: HistogramVec,
    /// The labels of each kind of work, without that of the outcome.
    kinds: Vec<Vec<&'static str>>,
    /// By kind, and by outcome.
    series: Vec<[OnceLock<Histogram>; 2]>,
}

impl Durations {
    /// `labels` go with the labels in `kinds`; the outcome is one more.
    pub(super) fn new(
        (name, help): (&str, &str),
        labels: &[&str],
        kinds: Vec<Vec<&'static str>>,
        (first, count): (f64, usize),
    ) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(exponential_buckets(first, 2.0, count)?);
        let histograms = HistogramVec::new(options, &[labels, &["success"]].concat())?;
        let series = kinds.iter().map(|_| Default::default()).collect();
        Ok(Self { histograms, kinds, series })
    }

    /// Counts work of the kind with this number.
    pub(crate) fn observe(&self, kind: usize, is_success: bool, took: Duration) {
        let series = self.series[kind][usize::from(is_success)].get_or_init(|| {
            let outcome = if is_success { "true" } else { "false" };
            self.histograms.with_label_values(&[&self.kinds[kind][..], &[outcome]].concat())
        });
        series.observe(took.as_secs_f64());
    }
}

/// The kinds of requests whose time is measured: those that only read, and those that go through the log.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RequestKind {
    Range,
    ReadonlyTxn,
    Logged(Kind),
}

impl RequestKind {
    /// Without those that go through the log.
    const READS: [&str; 2] = ["Range", "ReadonlyTxn"];

    pub(super) fn labels() -> Vec<Vec<&'static str>> {
        let logged = Kind::ALL.map(Kind::name);
        Self::READS.iter().chain(&logged).map(|name| vec![*name]).collect()
    }

    fn number(self) -> usize {
        match self {
            Self::Range => 0,
            Self::ReadonlyTxn => 1,
            Self::Logged(kind) => Self::READS.len() + kind as usize,
        }
    }
}

/// Measures one request. Dropped without an outcome, because its client has gone, it counts as failed.
#[derive(Debug)]
pub(crate) struct RequestTimer<'a> {
    durations: &'a Durations,
    kind: RequestKind,
    started: Instant,
    is_success: bool,
}

impl<'a> RequestTimer<'a> {
    pub(crate) fn start(durations: &'a Durations, kind: RequestKind) -> Self {
        Self { durations, kind, started: Instant::now(), is_success: false }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The request was turned away before any work was done, and does not count.
    pub(crate) fn cancel(self) {
        std::mem::forget(self);
    }

    /// Ends it with the outcome.
    pub(crate) fn end(mut self, is_success: bool) {
        self.is_success = is_success;
    }

    /// Ends it with the outcome that it had at `ended`, which spares a look at the clock.
    pub(crate) fn end_at(self, ended: Instant, is_success: bool) {
        let took = ended.saturating_duration_since(self.started);
        self.durations.observe(self.kind.number(), is_success, took);
        std::mem::forget(self);
    }
}

impl Drop for RequestTimer<'_> {
    fn drop(&mut self) {
        self.durations.observe(self.kind.number(), self.is_success, self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn each_kind_has_its_series() {
        let registry = Registry::new();
        let metrics = Metrics::register(&registry).expect("a new registry");
        let kinds = Kind::ALL.map(RequestKind::Logged);
        for (n, kind) in [RequestKind::Range, RequestKind::ReadonlyTxn].into_iter().chain(kinds).enumerate() {
            assert_eq!(kind.number(), n);
            RequestTimer::start(&metrics.requests, kind).end(true);
            drop(RequestTimer::start(&metrics.requests, kind));
        }
        let family =
            registry.gather().into_iter().find(|it| it.name() == "etcd_server_request_duration_seconds");
        let series = family.expect("it is registered");
        assert_eq!(series.get_metric().len(), 2 * (2 + Kind::ALL.len()));
        let count = series.get_metric().iter().map(|metric| metric.get_histogram().get_sample_count());
        assert_eq!(count.sum::<u64>(), 2 * (2 + Kind::ALL.len() as u64));
    }
}
