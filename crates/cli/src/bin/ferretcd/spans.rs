//! Spans of calls, as the program sends them.

use ferretcd_listen::Connection;
use ferretcd_otlp::{Config, SpanLayer, StartError, Tracing};
use prometheus::IntCounter;

/// The way to the collector, with the number of spans that were lost.
pub(crate) struct Spans {
    tracing: Tracing,
    pub(crate) dropped: IntCounter,
}

impl Spans {
    pub(crate) fn start(config: &Config) -> Result<Self, StartError> {
        let dropped = IntCounter::new(
            "ferretcd_tracing_dropped_total",
            "Spans that the collector has not taken, or that had no room on the way to it.",
        )
        .expect("the name is one");
        let count = dropped.clone();
        let tracing = Tracing::start(config, move |spans| count.inc_by(spans))?;
        tracing::debug!(
            address = config.address,
            "service-name" = config.service_name,
            "service-instance-id" = config.instance_id,
            "sampling-rate" = config.per_million,
            "distributed tracing enabled"
        );
        tracing::info!("distributed tracing setup enabled");
        Ok(Self { tracing, dropped })
    }

    pub(crate) fn layer(&self) -> SpanLayer {
        self.tracing.layer(Connection::server)
    }
}
