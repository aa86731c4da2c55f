//! One HTTP/2 connection as a service.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tonic::body::Body;
use tower_service::Service;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request under way.
pub(crate) type Exchange = Pin<Box<dyn Future<Output = Result<Response<Incoming>, BoxError>> + Send>>;

/// A connection to one endpoint. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    scheme: Scheme,
    authority: Authority,
    /// Sent with every request.
    token: Option<HeaderValue>,
}

/// The server is an HTTP/2 server, and not a gRPC one.
#[derive(Debug, thiserror::Error)]
#[error("the answer is no gRPC, but HTTP status {0}")]
pub(crate) struct NotGrpc(pub(crate) StatusCode);

impl Connection {
    pub(crate) fn new(sender: SendRequest<Body>, scheme: Scheme, authority: Authority) -> Self {
        Self { sender, scheme, authority, token: None }
    }

    pub(crate) fn with_token(self, token: HeaderValue) -> Self {
        Self { token: Some(token), ..self }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// The generated clients leave the origin and the token to their service.
    fn complete(&self, request: &mut Request<Body>) -> Result<(), http::Error> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts)?;
        if let Some(token) = &self.token {
            request.headers_mut().insert("token", token.clone());
        }
        Ok(())
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = Exchange;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Exchange {
        let completed = self.complete(&mut request);
        let mut sender = self.sender.clone();
        Box::pin(async move {
            completed?;
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            if is_grpc(&response) { Ok(response) } else { Err(NotGrpc(response.status()).into()) }
        })
    }
}

fn is_grpc(response: &Response<Incoming>) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE);
    let is_declared = content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    is_declared || response.headers().contains_key("grpc-status")
}
