use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tonic::server::NamedService;
use tower_layer::Layer;
use tower_service::Service;

use crate::framing::only_message;
use crate::quota_body::QuotaBody;
use crate::rejection::Rejection;

/// Knows how much room is left and what a request would take of it.
pub trait Admit: Send + Sync + 'static {
    /// Whether a call of `path` has to be weighed at all. Called for each call, so it has to be cheap and usually
    /// false; it must be false for methods whose request is a stream, which has no end to wait for.
    fn near_limit(&self, path: &str) -> bool;

    /// Weighs one call of `path` by its still encoded request. A message that does not decode is to be
    /// admitted: rejecting its form is the service's business. Must not block.
    ///
    /// # Errors
    /// What the caller gets; the service is not called.
    fn admit(&self, path: &str, message: &Bytes) -> Result<(), Rejection>;
}

/// The bounds of [`QuotaLayer`].
#[derive(Clone, Copy, Debug)]
pub struct QuotaConfig {
    /// Bytes of a request that are kept while it is weighed. A larger one goes on to the service unweighed,
    /// which rejects it if this is at least the service's own limit.
    pub request_bytes_max: usize,
}

/// Puts [`Quota`] around a service.
#[derive(Debug)]
pub struct QuotaLayer<A: ?Sized> {
    config: QuotaConfig,
    admit: Arc<A>,
}

impl<A: ?Sized> QuotaLayer<A> {
    /// A layer that calls `admit` for each request.
    pub fn new(config: QuotaConfig, admit: Arc<A>) -> QuotaLayer<A> {
        QuotaLayer { config, admit }
    }
}

impl<A: ?Sized> Clone for QuotaLayer<A> {
    fn clone(&self) -> QuotaLayer<A> {
        QuotaLayer { config: self.config, admit: self.admit.clone() }
    }
}

impl<S, A: ?Sized> Layer<S> for QuotaLayer<A> {
    type Service = Quota<S, A>;

    fn layer(&self, inner: S) -> Quota<S, A> {
        Quota { inner, config: self.config, admit: self.admit.clone() }
    }
}

/// Rejects requests for which there is no room, before the service sees them.
///
/// Far from the limit a request passes untouched. Near it the request is read to its end first, weighed, and
/// then given to the service as it came. The body of a rejection is the body type's default,
/// which has to be empty.
#[derive(Debug)]
pub struct Quota<S, A: ?Sized> {
    inner: S,
    config: QuotaConfig,
    admit: Arc<A>,
}

impl<S: Clone, A: ?Sized> Clone for Quota<S, A> {
    fn clone(&self) -> Quota<S, A> {
        Quota { inner: self.inner.clone(), config: self.config, admit: self.admit.clone() }
    }
}

impl<S: NamedService, A: ?Sized> NamedService for Quota<S, A> {
    const NAME: &'static str = S::NAME;
}

impl<S, A, ReqBody, ResBody> Service<Request<ReqBody>> for Quota<S, A>
where
    S: Service<Request<QuotaBody<ReqBody>>, Response = Response<ResBody>> + Clone,
    A: Admit + ?Sized,
    ReqBody: Body<Data = Bytes> + Unpin,
    ResBody: Default,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = QuotaFuture<S, A, ReqBody>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let near_limit = self.admit.near_limit(request.uri().path());
        let (parts, body) = request.into_parts();
        let body = QuotaBody::untouched(body);
        let state = if near_limit {
            // The service that was polled ready waits with the request; a fresh clone would not be ready.
            let fresh = self.inner.clone();
            let service = std::mem::replace(&mut self.inner, fresh);
            let weighed = Weighed {
                parts,
                body,
                service,
                admit: self.admit.clone(),
                bytes_max: self.config.request_bytes_max,
            };
            State::Weighing { weighed: Some(Box::new(weighed)) }
        } else {
            State::Admitted { inner: self.inner.call(Request::from_parts(parts, body)) }
        };
        QuotaFuture { state }
    }
}

/// A request that is read ahead, and what it needs to go on.
#[derive(Debug)]
struct Weighed<S, A: ?Sized, B: Body> {
    parts: Parts,
    body: QuotaBody<B>,
    service: S,
    admit: Arc<A>,
    bytes_max: usize,
}

impl<S, A: Admit + ?Sized, B: Body<Data = Bytes> + Unpin> Weighed<S, A, B> {
    /// To be called when the body has been read ahead. What is not one plain message goes on unweighed, and
    /// the service rejects it.
    fn verdict(&self) -> Result<(), Rejection> {
        match self.body.whole().and_then(only_message) {
            Some(message) => self.admit.admit(self.parts.uri.path(), &message),
            None => Ok(()),
        }
    }
}

pin_project! {
    /// The response of [`Quota`]: the inner service's, or the rejection.
    #[derive(Debug)]
    pub struct QuotaFuture<S, A: ?Sized, B>
    where
        S: Service<Request<QuotaBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, A, B, S::Future>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProjection]
    enum State<S, A: ?Sized, B: Body, F> {
        // Boxed because it is rare and several times as large as the usual future.
        Weighing { weighed: Option<Box<Weighed<S, A, B>>> },
        Rejected { #[pin] rejection: Rejection },
        Admitted { #[pin] inner: F },
    }
}

impl<S, A, B, ResBody> Future for QuotaFuture<S, A, B>
where
    S: Service<Request<QuotaBody<B>>, Response = Response<ResBody>>,
    A: Admit + ?Sized,
    B: Body<Data = Bytes> + Unpin,
    ResBody: Default,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let slot = match state.as_mut().project() {
                StateProjection::Admitted { inner } => return inner.poll(context),
                StateProjection::Rejected { rejection } => {
                    return rejection.poll(context).map(|status| Ok(status.into_http()));
                }
                StateProjection::Weighing { weighed } => weighed,
            };
            let weighed = slot.as_mut().expect("a future is not polled after it was ready");
            ready!(weighed.body.poll_read_ahead(context, weighed.bytes_max));
            let weighed = slot.take().expect("it was there a line ago");
            if let Err(rejection) = weighed.verdict() {
                state.set(State::Rejected { rejection });
                continue;
            }
            let Weighed { parts, body, mut service, .. } = *weighed;
            let inner = service.call(Request::from_parts(parts, body));
            state.set(State::Admitted { inner });
        }
    }
}
