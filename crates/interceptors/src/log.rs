use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ferretcd_base::Threshold;
use http::{Extensions, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tonic::server::NamedService;
use tower_layer::Layer;
use tower_service::Service;
use tracing::Level;

use crate::body::CountedBody;
use crate::note::Note;
use crate::request_stats::{RequestStats, Seen};
use crate::rpc::{Rpc, RpcKind};

/// What [`LogLayer`] logs and when.
#[derive(Clone)]
pub struct LogConfig {
    /// The methods of the server; only calls of the unary ones are logged.
    pub rpcs: &'static [Rpc],
    /// A call that takes longer is logged as a warning, every other at level debug.
    pub warning_unary_request_duration: Threshold,
    /// Finds the caller's address among the request's extensions. Called for each unary call, so it should be cheap. `None`
    /// is shown as `@`, as Go has it for Unix sockets.
    pub remote: fn(&Extensions) -> Option<SocketAddr>,
}

// By hand because the derive does not take a function over a reference of any lifetime.
impl fmt::Debug for LogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogConfig")
            .field("rpcs", &self.rpcs.len())
            .field("warning_unary_request_duration", &self.warning_unary_request_duration)
            .finish_non_exhaustive()
    }
}

/// Puts [`Log`] around a service.
#[derive(Clone, Debug)]
pub struct LogLayer {
    shared: Arc<Shared>,
}

impl LogLayer {
    /// A layer that logs as `config` says.
    pub fn new(config: LogConfig) -> LogLayer {
        let unary = config.rpcs.iter().filter(|rpc| rpc.kind() == RpcKind::Unary).map(Rpc::path).collect();
        LogLayer { shared: Arc::new(Shared { unary, config }) }
    }
}

impl<S> Layer<S> for LogLayer {
    type Service = Log<S>;

    fn layer(&self, inner: S) -> Log<S> {
        Log { inner, shared: self.shared.clone() }
    }
}

/// Writes the line `request stats` for unary calls: a warning when one is slow, else at level debug.
///
/// The line has sizes, times, and what the handler has noted ([`Note`](crate::Note)): keys, never values. It is written
/// when the response has been sent or given up; `time spent` ends when the service responds. While debug is off a call
/// costs two readings of the clock and allocates nothing; the price is that a slow call's `request size` is then known
/// (not -1) only if the client announced a content length, and its content only if another layer has made it be noted.
#[derive(Clone, Debug)]
pub struct Log<S> {
    inner: S,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    unary: HashSet<&'static str>,
    config: LogConfig,
}

impl<S: NamedService> NamedService for Log<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Log<S>
where
    S: Service<Request<CountedBody<ReqBody, Seen>>, Response = Response<ResBody>>,
    ReqBody: Body<Data = Bytes>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<CountedBody<ResBody, Box<RequestStats>>>;
    type Error = S::Error;
    type Future = LogFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let stats = self.shared.unary.get(request.uri().path()).map(|path| {
            let config = &self.shared.config;
            let remote = (config.remote)(request.extensions());
            RequestStats::start(path, remote, config.warning_unary_request_duration.get())
        });
        let announced = request.body().size_hint().exact();
        let (stats, seen) = match stats {
            None => (None, None),
            Some(stats) if tracing::enabled!(Level::DEBUG) => {
                let seen = Seen::default();
                let note = Note::want(request.extensions_mut());
                (Some(stats.count_request(&seen).noted(Some(note))), Some(seen))
            }
            Some(stats) => {
                let note = Note::of(request.extensions()).cloned();
                (Some(stats.announced_request(announced).noted(note)), None)
            }
        };
        let inner = self.inner.call(request.map(|body| CountedBody::new(body, seen)));
        LogFuture { inner, stats }
    }
}

pin_project! {
    /// The response of [`Log`].
    #[derive(Debug)]
    pub struct LogFuture<F> {
        #[pin]
        inner: F,
        // Writes its line when dropped, so that calls given up by the client are not lost.
        stats: Option<RequestStats>,
    }
}

impl<F, ResBody, E> Future for LogFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<CountedBody<ResBody, Box<RequestStats>>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(context));
        let stats = this.stats.take().and_then(RequestStats::responded);
        Poll::Ready(result.map(|response| response.map(|body| CountedBody::new(body, stats))))
    }
}
