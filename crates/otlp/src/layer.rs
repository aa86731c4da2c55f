//! The layer around services.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ferretcd_interceptors::Note;
use http::{Extensions, HeaderMap, Request, Response};
use http_body::Body;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Tracer as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::call::{TracedBody, TracedCall};

/// The header of a client's own span.
const TRACEPARENT: &str = "traceparent";

pub(crate) struct Shared {
    /// Makes the spans of calls.
    pub(crate) calls: SdkTracer,
    /// Makes the spans of what handlers do.
    pub(crate) handlers: SdkTracer,
    /// Whether calls are traced that their client does not trace.
    pub(crate) has_share: bool,
    pub(crate) local: fn(&Extensions) -> Option<SocketAddr>,
}

/// Puts [`Spans`] around a service.
#[derive(Clone)]
pub struct SpanLayer(Arc<Shared>);

impl SpanLayer {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl fmt::Debug for SpanLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanLayer").finish_non_exhaustive()
    }
}

impl<S> Layer<S> for SpanLayer {
    type Service = Spans<S>;

    fn layer(&self, inner: S) -> Spans<S> {
        Spans { inner, shared: Arc::clone(&self.0) }
    }
}

/// Makes a span of each call that is traced, from its head to the end of its response.
#[derive(Clone)]
pub struct Spans<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S: fmt::Debug> fmt::Debug for Spans<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spans").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl Shared {
    /// The span of a call; `None` if it is not traced.
    fn begin<B>(self: &Arc<Self>, request: &mut Request<B>) -> Option<TracedCall> {
        let headers = request.headers();
        if !self.has_share && !headers.contains_key(TRACEPARENT) {
            return None;
        }
        let parent = TraceContextPropagator::new().extract(&Headers(headers));
        let name = request.uri().path().trim_start_matches('/').to_owned();
        let attributes =
            [KeyValue::new("rpc.method", name.clone()), KeyValue::new("rpc.system.name", "grpc")];
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let mut span = self.calls.build_with_context(builder, &parent);
        if !span.is_recording() {
            return None;
        }
        if let Some(local) = (self.local)(request.extensions()) {
            span.set_attribute(KeyValue::new("server.address", local.ip().to_string()));
            span.set_attribute(KeyValue::new("server.port", i64::from(local.port())));
        }
        let note = Note::want(request.extensions_mut());
        Some(TracedCall::new(span, self.handlers.clone(), note))
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Spans<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Body<Data = Bytes>,
{
    type Response = Response<TracedBody<ResBody>>;
    type Error = S::Error;
    type Future = SpanFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let call = self.shared.begin(&mut request);
        SpanFuture { inner: self.inner.call(request), call }
    }
}

pin_project! {
    /// The response of [`Spans`].
    pub struct SpanFuture<F> {
        #[pin]
        inner: F,
        // Ends its span when dropped, so that calls given up by the client are not lost.
        call: Option<TracedCall>,
    }
}

impl<F> fmt::Debug for SpanFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanFuture").finish_non_exhaustive()
    }
}

impl<F, ResBody, E> Future for SpanFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Body<Data = Bytes>,
{
    type Output = Result<Response<TracedBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(context));
        let mut call = this.call.take();
        Poll::Ready(result.map(|response| {
            if let Some(traced) = &mut call {
                traced.responded(response.headers());
            }
            response.map(|body| TracedBody::new(body, call))
        }))
    }
}
