use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use prometheus::{Error, Registry};
use tonic::Code;
use tonic::server::NamedService;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::{CountedBody, Observe};
use crate::call_future::{CallFuture, Follow, code_at_end};
use crate::metadata::Metadata;
use crate::rpc::{Rpc, RpcKind};
use crate::series::{ClientVersions, Families, MethodSeries};

/// What [`MetricsLayer`] counts.
#[derive(Clone, Copy, Debug)]
pub struct MetricsConfig {
    /// The methods of the server. Each has its series from the start, at zero.
    pub rpcs: &'static [Rpc],
    /// Whether to measure `grpc_server_handling_seconds` as well (etcd's `--metrics=extensive`).
    pub extensive: bool,
}

/// Puts [`Metrics`] around a service. All services it is put around share the series.
#[derive(Clone, Debug)]
pub struct MetricsLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    methods: HashMap<&'static str, Arc<MethodSeries>>,
    clients: ClientVersions,
}

impl MetricsLayer {
    /// Creates the series and registers them.
    ///
    /// # Errors
    /// When `registry` holds a metric of the same name already.
    pub fn register(config: MetricsConfig, registry: &Registry) -> Result<MetricsLayer, Error> {
        let families = Families::register(config.extensive, registry)?;
        let methods = config.rpcs.iter().map(|rpc| (rpc.path(), Arc::new(families.method(rpc)))).collect();
        let clients = ClientVersions::register(registry)?;
        Ok(MetricsLayer { shared: Arc::new(Shared { methods, clients }) })
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Metrics<S> {
        Metrics { inner, shared: self.shared.clone() }
    }
}

/// Counts calls, messages and bytes under the names of etcd and of the usual gRPC server metrics.
///
/// A call has been handled when its response has been sent to the end; one whose response is dropped before
/// counts as `Canceled`. Bytes of messages count without their prefix of five.
///
/// Messages are counted as etcd counts them: a unary call has one each way, however it ends. In a call whose both sides
/// stream, the receive that finds no more messages counts too; it is missing only if nothing was ever read.
#[derive(Clone, Debug)]
pub struct Metrics<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S: NamedService> NamedService for Metrics<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Metrics<S>
where
    S: Service<Request<CountedBody<ReqBody, Received>>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<CountedBody<ResBody, Call>>;
    type Error = S::Error;
    type Future = MetricsFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (call, received) = match self.shared.methods.get(request.uri().path()) {
            Some(series) => {
                // What is not UTF-8 has no name to be counted under.
                let version = Metadata::new(request.headers()).client_api_version().ok().flatten();
                self.shared.clients.count(series.kind, version);
                let received = Received { series: series.clone(), is_read: false };
                (Some(Call::start(series.clone())), Some(received))
            }
            None => (None, None),
        };
        let inner = self.inner.call(request.map(|body| CountedBody::new(body, received)));
        MetricsFuture::new(inner, call)
    }
}

/// The response of [`Metrics`].
pub type MetricsFuture<F> = CallFuture<F, Call>;

/// A call from its start to the end of its response.
#[derive(Debug)]
pub struct Call {
    series: Arc<MethodSeries>,
    /// Only with extensive metrics.
    start: Option<Instant>,
    /// How it ended if it is dropped.
    code: Code,
}

impl Call {
    fn start(series: Arc<MethodSeries>) -> Call {
        series.started.inc();
        if series.kind == RpcKind::Unary {
            series.received.inc();
        }
        let start = series.handling.is_some().then(Instant::now);
        Call { series, start, code: Code::Cancelled }
    }
}

impl Follow for Call {
    fn ended(mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.series.handled(self.code).inc();
        if self.series.kind == RpcKind::Unary {
            self.series.sent.inc();
        }
        if let (Some(handling), Some(start)) = (&self.series.handling, self.start) {
            handling.observe(start.elapsed().as_secs_f64());
        }
    }
}

/// Watches the response on its way out.
impl Observe for Call {
    fn message(&mut self, len: u64) {
        if self.series.kind != RpcKind::Unary {
            self.series.sent.inc();
        }
        self.series.sent_bytes.inc_by(len);
    }

    fn end(self, trailers: Option<&HeaderMap>) {
        self.ended(code_at_end(trailers));
    }
}

/// Watches the request while the service reads it.
#[derive(Debug)]
pub struct Received {
    series: Arc<MethodSeries>,
    /// Whether the service has begun to read.
    is_read: bool,
}

impl Observe for Received {
    fn reading(&mut self) {
        self.is_read = true;
    }

    fn message(&mut self, len: u64) {
        if self.series.kind != RpcKind::Unary {
            self.series.received.inc();
        }
        self.series.received_bytes.inc_by(len);
    }

    fn end(mut self, _trailers: Option<&HeaderMap>) {
        self.is_read = true;
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        if self.is_read && self.series.kind == RpcKind::BidiStream {
            self.series.received.inc();
        }
    }
}
