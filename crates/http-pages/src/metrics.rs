use prometheus::core::Collector;
use prometheus::{Error, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use crate::process::ProcessCollector;

/// What the pages count about themselves, and the registry they show.
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    pub(crate) health_success: IntCounter,
    pub(crate) health_failures: IntCounter,
    /// By type and name of the check: 1 if it passed the last time, else 0.
    pub(crate) healthcheck: IntGaugeVec,
    /// By type, name and status.
    pub(crate) healthchecks: IntCounterVec,
    /// By HTTP status code.
    pub(crate) scrapes: IntCounterVec,
    pub(crate) scrapes_in_flight: IntGauge,
}

impl Metrics {
    pub(crate) fn register(registry: &Registry) -> Result<Metrics, Error> {
        registry.register(Box::new(ProcessCollector::new()))?;
        let metrics = Metrics {
            registry: registry.clone(),
            health_success: add(
                registry,
                IntCounter::new("etcd_server_health_success", "Answers of /health that said healthy.")?,
            )?,
            health_failures: add(
                registry,
                IntCounter::new("etcd_server_health_failures", "Answers of /health that said unhealthy.")?,
            )?,
            healthcheck: add(
                registry,
                IntGaugeVec::new(
                    Opts::new("etcd_server_healthcheck", "Last result of each health check, 1 for passed."),
                    &["type", "name"],
                )?,
            )?,
            healthchecks: add(
                registry,
                IntCounterVec::new(
                    Opts::new("etcd_server_healthchecks_total", "Runs of each health check by result."),
                    &["type", "name", "status"],
                )?,
            )?,
            scrapes: add(
                registry,
                IntCounterVec::new(
                    Opts::new("promhttp_metric_handler_requests_total", "Scrapes by HTTP status code."),
                    &["code"],
                )?,
            )?,
            scrapes_in_flight: add(
                registry,
                IntGauge::new("promhttp_metric_handler_requests_in_flight", "Scrapes being answered.")?,
            )?,
        };
        for code in ["200", "500", "503"] {
            metrics.scrapes.with_label_values(&[code]);
        }
        Ok(metrics)
    }
}

fn add<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> Result<C, Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
