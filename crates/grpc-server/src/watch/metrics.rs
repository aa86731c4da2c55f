//! How long it takes to encode responses, under etcd's names.

use std::time::Instant;

use prometheus::{Error, Histogram, HistogramOpts, Registry, exponential_buckets};

#[derive(Debug)]
pub(super) struct SendMetrics {
    events: Histogram,
    per_event: Histogram,
    control: Histogram,
    progress: Histogram,
}

/// What one turn of a stream has encoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    pub(super) events: usize,
    pub(super) controls: usize,
    pub(super) progresses: usize,
}

impl SendMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let histogram = |name: &str, help: &str| {
            let name = format!("etcd_debugging_server_watch_send_loop_{name}_seconds");
            let options = HistogramOpts::new(name, help).buckets(exponential_buckets(0.001, 2.0, 14)?);
            let histogram = Histogram::with_opts(options)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, Error>(histogram)
        };
        Ok(Self {
            events: histogram("watch_stream_duration", "Putting responses with events together.")?,
            per_event: histogram("watch_stream_duration_per_event", "The same, for each of the events.")?,
            control: histogram("control_stream_duration", "Putting answers to requests together.")?,
            progress: histogram("progress_duration", "Putting progress notices together.")?,
        })
    }

    pub(super) fn observe(&self, sent: Sent, since: Instant) {
        let took = since.elapsed().as_secs_f64();
        if sent.events > 0 {
            self.events.observe(took);
            self.per_event.observe(took / sent.events as f64);
        }
        if sent.controls > 0 {
            self.control.observe(took);
        }
        if sent.progresses > 0 {
            self.progress.observe(took);
        }
    }
}
