//! Calls of methods, whatever protocol they come by.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ferretcd_gateway::GrpcBody;
use http::{Request, Response};
use tokio::time::{Instant, timeout_at};
use tonic::body::Body;
use tonic::codegen::BoxFuture;
use tower::Service;

use crate::deadline::{self, Deadline, DeadlineBody};
use crate::methods::{Method, Methods};
use crate::{RequestBody, library_errors};

/// All methods, with what holds for each of their calls. Clones are cheap.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) methods: Arc<Methods>,
    pub(crate) message_bytes_max: usize,
}

impl Calls {
    /// Calls a method: until the caller's deadline, and with the library's own errors in etcd's words.
    pub(crate) fn call(
        &self,
        method: &Method,
        timeout: Option<Duration>,
        mut request: Request<RequestBody>,
    ) -> BoxFuture<Response<Body>, Infallible> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        if let Some(deadline) = deadline {
            if deadline <= Instant::now() {
                return Box::pin(async { Ok(deadline::exceeded().into_http()) });
            }
            request.extensions_mut().insert(Deadline(deadline));
        }
        let (response, streams) = (method.call(request), method.streams);
        let message_bytes_max = self.message_bytes_max;
        Box::pin(async move {
            let Some(deadline) = deadline else {
                let Ok(response) = response.await;
                return Ok(library_errors::reword(response, message_bytes_max));
            };
            let response = match timeout_at(deadline, response).await {
                // The only message of other calls is there already.
                Ok(Ok(response)) if streams => {
                    response.map(|body| Body::new(DeadlineBody::new(body, deadline)))
                }
                Ok(Ok(response)) => response,
                Err(_) => deadline::exceeded().into_http(),
            };
            Ok(library_errors::reword(response, message_bytes_max))
        })
    }

    /// The response to a call of a method that there is not.
    pub(crate) fn unimplemented<B>(&self, request: &Request<B>) -> Response<Body> {
        library_errors::unimplemented(request.uri(), |service| self.methods.has_service(service))
    }
}

/// Calls of the gateway.
impl Service<Request<GrpcBody>> for Calls {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<GrpcBody>) -> Self::Future {
        let request = request.map(RequestBody::from);
        match self.methods.get(request.uri().path()) {
            Some(method) => {
                // The gateway has rejected a malformed one.
                let timeout = deadline::timeout(request.headers()).unwrap_or_default();
                Calls::call(self, method, timeout, request)
            }
            None => {
                let response = self.unimplemented(&request);
                Box::pin(async { Ok(response) })
            }
        }
    }
}
