//! The method List of the gRPC health service, which the crate `tonic-health` does not have yet.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::ready;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferretcd_listen::Drain;
use http::{Request, Response};
use http_body::Body as HttpBody;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, StdError};
use tonic::server::{Grpc, NamedService};
use tonic_health::pb::HealthCheckResponse;
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use crate::health::serving;

/// `grpc.health.v1.HealthListRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthListRequest {}

/// `grpc.health.v1.HealthListResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthListResponse {
    #[prost(map = "string, message", tag = "1")]
    statuses: HashMap<String, HealthCheckResponse>,
}

/// Lists the only service that [`HealthService`](crate::health::HealthService) knows: the server as a whole.
#[derive(Clone, Debug)]
pub(crate) struct HealthListService {
    pub(crate) drain: Drain,
}

impl NamedService for HealthListService {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl<B> Service<Request<B>> for HealthListService
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let status = serving(!self.drain.has_begun());
        let list = service_fn(move |_: tonic::Request<HealthListRequest>| {
            let statuses = HashMap::from([(String::new(), status)]);
            ready(Ok(tonic::Response::new(HealthListResponse { statuses })))
        });
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(list, request).await) })
    }
}
