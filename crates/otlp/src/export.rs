//! The queue of spans.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor,
};

/// Spans that wait or are being sent; more are lost. The default of the library, and of etcd's.
const QUEUED_MAX: usize = 2048;

/// A processor that sends spans in batches, on a thread of its own, and counts those that are lost.
pub(crate) fn bounded(
    exporter: impl SpanExporter + 'static,
    on_lost: impl Fn(u64) + Send + Sync + 'static,
) -> impl SpanProcessor + 'static {
    let queue = Arc::new(Queue {
        n_spans: AtomicUsize::new(0),
        is_losing: AtomicBool::new(false),
        on_lost: Box::new(on_lost),
    });
    let config = BatchConfigBuilder::default().with_max_queue_size(QUEUED_MAX).build();
    let exporter = Counted { exporter, queue: Arc::clone(&queue) };
    Bounded { batches: BatchSpanProcessor::builder(exporter).with_batch_config(config).build(), queue }
}

/// What both ends of the queue share. The library counts to itself what its queue does not take, so that is kept from it.
struct Queue {
    n_spans: AtomicUsize,
    /// The warning was written.
    is_losing: AtomicBool,
    on_lost: Box<dyn Fn(u64) + Send + Sync>,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("n_spans", &self.n_spans).finish_non_exhaustive()
    }
}

impl Queue {
    fn lose(&self, n_spans: usize, reason: impl fmt::Display) {
        (self.on_lost)(n_spans as u64);
        if !self.is_losing.swap(true, Ordering::Relaxed) {
            tracing::warn!(%reason, "losing spans of distributed tracing");
        }
    }
}

#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    queue: Arc<Queue>,
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queue.n_spans.fetch_add(1, Ordering::Relaxed) < QUEUED_MAX {
            return self.batches.on_end(span);
        }
        self.queue.n_spans.fetch_sub(1, Ordering::Relaxed);
        self.queue.lose(1, "the collector is slower than the calls");
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    queue: Arc<Queue>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let n_spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.queue.n_spans.fetch_sub(n_spans, Ordering::Relaxed);
        match &result {
            Ok(()) => self.queue.is_losing.store(false, Ordering::Relaxed),
            Err(error) => self.queue.lose(n_spans, error),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::error::OTelSdkError;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// Says when it was given its first batch, and takes none before it is let go.
    #[derive(Debug)]
    struct Stuck {
        begun: SyncSender<()>,
        let_go: Mutex<Receiver<()>>,
    }

    impl SpanExporter for Stuck {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let _ = self.begun.try_send(());
            let _ = self.let_go.lock().expect("no test panics with it").recv();
            Err(OTelSdkError::InternalFailure("no collector".to_owned()))
        }
    }

    #[test]
    fn spans_beyond_the_bound_are_lost_and_calls_go_on() {
        let lost = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lost);
        let on_lost = move |n| {
            count.fetch_add(n, Ordering::Relaxed);
        };
        let ((begun, has_begun), (go, let_go)) = (sync_channel(1), sync_channel::<()>(1));
        let processor = bounded(Stuck { begun, let_go: Mutex::new(let_go) }, on_lost);
        let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
        let tracer = provider.tracer("test");
        (0..600).for_each(|_| tracer.start("a").end());
        has_begun.recv().expect("a batch was full");
        (0..QUEUED_MAX).for_each(|_| tracer.start("b").end());
        assert_eq!(lost.load(Ordering::Relaxed), 600);
        drop(go);
        let _ = provider.shutdown();
        assert_eq!(lost.load(Ordering::Relaxed), 600 + QUEUED_MAX as u64, "the collector has taken none");
    }
}
