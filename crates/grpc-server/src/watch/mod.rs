//! The Watch service.
//!
//! Its one method is not made of the library's parts for streams: a watch stream is polled by the task of its
//! call, has no task or channel of its own, and its responses are put together from bytes that all streams
//! share. What a stream costs while nothing happens is its state, and what a response costs beside its bytes is
//! one buffer.

mod metrics;
mod requests;
mod responses;
mod send_queue;
mod stream;
mod ticker;
mod trail;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use ferretcd_api_proto::etcdserverpb::WatchRequest;
use ferretcd_engine::{Caller, Watches};
use ferretcd_interceptors::{AuditTrail, Metadata};
use ferretcd_listen::Connection;
use http::{Request, Response};
use http_body::Body;
use tonic::codec::{BufferSettings, Streaming};
use tonic::codegen::{BoxFuture, StdError};
use tonic::server::NamedService;
use tonic_prost::ProstDecoder;
use tower::Service;

use self::metrics::SendMetrics;
use self::stream::WatchStream;
use self::trail::WatchTrail;
use crate::caller;
use crate::responses::Responses;
use crate::stream_failures::StreamFailures;

/// Bytes that a stream of requests has as a buffer while none comes: few clients send a second one.
const REQUEST_BUFFER_BYTES: usize = 0;

/// Sends clients the changes of keys.
#[derive(Clone, Debug)]
pub(crate) struct WatchService(Arc<Shared>);

/// What all streams have in common.
#[derive(Debug)]
struct Shared {
    watches: Watches,
    message_bytes_max: usize,
    progress_interval: Duration,
    metrics: SendMetrics,
    failures: StreamFailures,
}

impl WatchService {
    /// A stream sends progress notices each `progress_interval`, if a watch requests them. Messages of clients, and
    /// fragments of large responses, have at most `message_bytes_max` bytes.
    pub(crate) fn register(
        watches: Watches,
        message_bytes_max: usize,
        progress_interval: Duration,
        failures: StreamFailures,
        registry: &prometheus::Registry,
    ) -> Result<Self, prometheus::Error> {
        let metrics = SendMetrics::register(registry)?;
        Ok(Self(Arc::new(Shared { watches, message_bytes_max, progress_interval, metrics, failures })))
    }

    fn open<B>(&self, request: Request<B>, caller: &Caller) -> WatchStream
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<StdError>,
    {
        let requires_leader = Metadata::new(request.headers()).requires_leader();
        let session = self.0.watches.open(caller, requires_leader);
        let call = Connection::begin_call(request.extensions());
        let trail = AuditTrail::of(request.extensions()).map(|trail| Box::new(WatchTrail::new(trail)));
        let decoder = ProstDecoder::<WatchRequest>::new(BufferSettings::new(REQUEST_BUFFER_BYTES, 0));
        let max = Some(self.0.message_bytes_max);
        let requests = Streaming::new_request(decoder, request.into_body(), None, max);
        WatchStream::new(Arc::clone(&self.0), requests, session, call, trail)
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
    type Response = Response<Responses<WatchStream>>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            let caller = caller::of(request.extensions());
            service.0.watches.settle(&caller).await;
            Ok(Responses::begin(service.open(request, &caller)))
        })
    }
}
