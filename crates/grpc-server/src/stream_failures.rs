//! Streams of clients that end with an error, under etcd's name.

use prometheus::{Error, IntCounterVec, Opts, Registry};
use tonic::{Code, Status};

/// Counts for one kind of stream. A series appears with its first failure.
#[derive(Clone, Debug)]
pub(crate) struct StreamFailures {
    family: IntCounterVec,
    api: &'static str,
}

impl StreamFailures {
    /// Those of the Watch service.
    pub(crate) fn register(registry: &Registry) -> Result<Self, Error> {
        let options =
            Opts::new("etcd_network_server_stream_failures_total", "Streams of clients that failed.");
        let family = IntCounterVec::new(options, &["Type", "API"])?;
        registry.register(Box::new(family.clone()))?;
        Ok(Self { family, api: "watch" })
    }

    /// Those of keep-alives, in the same family.
    pub(crate) fn of_keep_alives(&self) -> Self {
        Self { family: self.family.clone(), api: "lease-keepalive" }
    }

    /// A request could not be received. It is no failure that the client gives its stream up.
    pub(crate) fn not_received(&self, status: &Status) {
        if !matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded) {
            self.family.with_label_values(&["receive", self.api]).inc();
        }
    }
}
