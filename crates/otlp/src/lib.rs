//! Spans of gRPC calls, sent to an OpenTelemetry collector by OTLP, as etcd sends them.
//!
//! A call has the span `etcdserverpb.KV/Put`, below the client's own if the request names one in the form of W3C, and the
//! work of its handler has another below that, `put` with the key. Which calls have spans: those whose client traces them,
//! and of the others a share.
//!
//! * [`Tracing::start`] opens the way to the collector, which need not be there.
//! * [`Tracing::layer`] is a tower layer for any gRPC service.
//!
//! No call waits for the collector: spans go through a queue with a bound, and those that find it full, or that the
//! collector does not take, are counted as lost. **Boundary:** only this crate names opentelemetry.

mod call;
mod export;
mod layer;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http::Extensions;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::{Builder, Runtime};

pub use layer::{SpanFuture, SpanLayer, Spans};

use crate::export::bounded;
use crate::layer::Shared;

/// The highest share of calls.
pub const PER_MILLION_MAX: u32 = 1_000_000;

/// How long the end waits for the collector.
const END_TIMEOUT: Duration = Duration::from_secs(3);

/// What spans say of this process, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Host and port of the collector.
    pub address: String,
    /// The attribute `service.name`.
    pub service_name: String,
    /// The attribute `service.instance.id`; none if it is empty.
    pub instance_id: String,
    /// How many of a million calls have spans whose client does not trace them; at most [`PER_MILLION_MAX`].
    pub per_million: u32,
}

/// Spans could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The system gives no thread.
    #[error("start the thread that sends spans: {0}")]
    Runtime(#[from] std::io::Error),
    /// The address is none.
    #[error("send spans to {address}: {reason}")]
    Address {
        /// As it was configured.
        address: String,
        /// Why.
        reason: String,
    },
}

/// The way of spans to a collector.
pub struct Tracing {
    provider: SdkTracerProvider,
    has_share: bool,
    /// What the connection to the collector runs on, apart from the server's own runtime. `None` at the end.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracing").finish_non_exhaustive()
    }
}

impl Tracing {
    /// Prepares the way; the collector is contacted with the first spans. `on_lost` gets the number of spans each time that
    /// some are lost.
    ///
    /// # Errors
    /// When the address has no form of one, or the system gives no thread.
    pub fn start(config: &Config, on_lost: impl Fn(u64) + Send + Sync + 'static) -> Result<Self, StartError> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("otlp").enable_all().build()?;
        let address = &config.address;
        let endpoint = if address.contains("://") { address.clone() } else { format!("http://{address}") };
        let exporter = {
            let _runtime = runtime.enter();
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()
        };
        let exporter = exporter
            .map_err(|error| StartError::Address { address: address.clone(), reason: error.to_string() })?;
        let share = f64::from(config.per_million.min(PER_MILLION_MAX)) / f64::from(PER_MILLION_MAX);
        let others =
            if config.per_million == 0 { Sampler::AlwaysOff } else { Sampler::TraceIdRatioBased(share) };
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(config))
            .with_sampler(Sampler::ParentBased(Box::new(others)))
            .with_span_processor(bounded(exporter, on_lost))
            .build();
        Ok(Self { provider, has_share: config.per_million > 0, runtime: Some(runtime) })
    }

    /// A layer that makes spans. `local` finds the address that the call came to among the extensions of its request.
    pub fn layer(&self, local: fn(&Extensions) -> Option<SocketAddr>) -> SpanLayer {
        SpanLayer::new(Shared {
            calls: self.provider.tracer("ferretcd"),
            handlers: self.provider.tracer("go.etcd.io/etcd"),
            has_share: self.has_share,
            local,
        })
    }
}

impl Drop for Tracing {
    /// Sends what is queued, for three seconds at most. Not to be done on a worker of a runtime.
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(END_TIMEOUT) {
            tracing::debug!(%error, "spans were not sent to the end");
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn resource(config: &Config) -> Resource {
    let mut resource =
        Resource::builder_empty().with_attribute(KeyValue::new("service.name", config.service_name.clone()));
    if !config.instance_id.is_empty() {
        resource = resource.with_attribute(KeyValue::new("service.instance.id", config.instance_id.clone()));
    }
    resource.build()
}
