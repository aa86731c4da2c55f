//! The Watch service.
//!
//! Its one method is not made of the library's parts for streams: a watch stream is polled by the task of its
//! call, has no task or channel of its own, and its responses are put together from bytes that all streams
//! share. What a stream costs while nothing happens is its state, and what a response costs beside its bytes is
//! one buffer.

mod chunks;
mod metrics;
mod requests;
mod responses;
mod stream;
mod ticker;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use api_proto::etcdserverpb::WatchRequest;
use bytes::Bytes;
use engine::Engine;
use http::{HeaderValue, Request, Response, header};
use http_body::{Body, Frame};
use interceptors::Metadata;
use tonic::codec::{BufferSettings, Streaming};
use tonic::codegen::StdError;
use tonic::server::NamedService;
use tonic_prost::ProstDecoder;
use tower::Service;

use self::metrics::SendMetrics;
use self::stream::WatchStream;
use crate::accept::Connection;
use crate::status::trailers;
use crate::texts;

/// Bytes that a stream of requests has as a buffer while none comes: few clients send a second one.
const REQUEST_BUFFER_BYTES: usize = 0;

/// Tells clients what happens to keys.
#[derive(Clone, Debug)]
pub(crate) struct WatchService(Arc<Shared>);

/// What all streams have in common.
#[derive(Debug)]
struct Shared {
    engine: Engine,
    message_bytes_max: usize,
    progress_interval: Duration,
    metrics: SendMetrics,
}

impl WatchService {
    /// A stream tells its progress each `progress_interval`, if asked to. Messages of clients, and fragments
    /// of large responses, have at most `message_bytes_max` bytes.
    pub(crate) fn register(
        engine: Engine,
        message_bytes_max: usize,
        progress_interval: Duration,
        registry: &prometheus::Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = SendMetrics::register(registry)?;
        Ok(Self(Arc::new(Shared { engine, message_bytes_max, progress_interval, metrics })))
    }

    fn open<B>(&self, request: Request<B>) -> WatchStream
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let requires_leader = Metadata::new(request.headers()).requires_leader();
        let call = Connection::begin_call(request.extensions());
        let decoder = ProstDecoder::<WatchRequest>::new(BufferSettings::new(REQUEST_BUFFER_BYTES, 0));
        let max = Some(self.0.message_bytes_max);
        let requests = Streaming::new_request(decoder, request.into_body(), None, max);
        WatchStream::new(Arc::clone(&self.0), requests, requires_leader, call)
    }
}

impl NamedService for WatchService {
    const NAME: &'static str = "etcdserverpb.Watch";
}

impl<B> Service<Request<B>> for WatchService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<WatchBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // As the library does for the other services.
        let encoding = request.headers().get("grpc-encoding").filter(|encoding| *encoding != "identity");
        let response = match encoding {
            Some(encoding) => texts::compressed(encoding).into_http(),
            None => {
                let mut response = Response::new(WatchBody(Some(self.open(request))));
                let content_type = HeaderValue::from_static("application/grpc");
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
                response
            }
        };
        ready(Ok(response))
    }
}

/// The responses of one call; without a stream an empty body.
#[derive(Debug, Default)]
pub(crate) struct WatchBody(Option<WatchStream>);

impl Body for WatchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let Some(stream) = &mut this.0 else { return Poll::Ready(None) };
        stream.poll_chunk(cx).map(|chunk| match chunk {
            Ok(chunk) => Some(Ok(Frame::data(chunk))),
            Err(status) => {
                // With it the session goes, and its watches.
                this.0 = None;
                Some(Ok(Frame::trailers(trailers(&status))))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
