//! The method LeaseKeepAlive as a service.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use ferretcd_engine::Engine;
use ferretcd_listen::{Connection, Drain};
use http::{Request, Response};
use http_body::Body;
use tonic::codegen::StdError;
use tonic::server::NamedService;
use tower::Service;

use super::renewals::Renewals;
use super::requests::Requests;
use crate::caller;
use crate::responses::Responses;
use crate::stream_failures::StreamFailures;

/// Renews leases.
#[derive(Clone, Debug)]
pub(crate) struct KeepAliveService {
    engine: Engine,
    drain: Drain,
    message_bytes_max: usize,
    failures: StreamFailures,
}

impl KeepAliveService {
    /// Messages of clients have at most `message_bytes_max` bytes.
    pub(crate) fn new(
        engine: Engine,
        drain: Drain,
        message_bytes_max: usize,
        failures: StreamFailures,
    ) -> Self {
        Self { engine, drain, message_bytes_max, failures }
    }
}

impl NamedService for KeepAliveService {
    const NAME: &'static str = "etcdserverpb.Lease";
}

impl<B> Service<Request<B>> for KeepAliveService
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Responses<Renewals<B>>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let call = Connection::begin_call(&head.extensions);
        let requests = Requests::new(body, self.message_bytes_max);
        let caller = caller::of(&head.extensions);
        let renewals =
            Renewals::new(&self.engine, caller, requests, self.drain.watcher(), self.failures.clone(), call);
        ready(Ok(Responses::begin(renewals)))
    }
}
