//! One request, from its path to its response.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body::Body;
use percent_encoding::percent_decode_str;
use tower_service::Service;

use crate::fault::Fault;
use crate::request::{self, GrpcBody};
use crate::response::{self, JsonBody};
use crate::schema::{self, Schema, SchemaError};
use crate::{BoxError, metadata, status};

/// Bounds of requests.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bytes of JSON that one message may have, which are in memory until it is read. Base64 makes it a third longer than the
    /// message, names and quotes by some tens of bytes for each field.
    pub request_bytes_max: usize,
}

/// The methods that can be called by JSON. Clones share everything.
#[derive(Clone, Debug)]
pub struct Gateway {
    schema: Arc<Schema>,
    config: Config,
}

impl Gateway {
    /// The methods with `google.api.http` annotations of an encoded `google.protobuf.FileDescriptorSet`. Takes about a
    /// millisecond.
    ///
    /// # Errors
    /// When the set is malformed, or has what is not translated: methods other than `POST` with the whole body, and field
    /// types that etcd's API does not have.
    pub fn new(descriptor_set: &[u8], config: Config) -> Result<Self, SchemaError> {
        Ok(Self { schema: Arc::new(Schema::new(descriptor_set)?), config })
    }

    pub(crate) fn request_bytes_max(&self) -> usize {
        self.config.request_bytes_max
    }

    /// Calls the method of the request's path.
    ///
    /// `service` gets a gRPC request with the extensions of `request`, and with headers of it as metadata: `Authorization`
    /// and `Grpc-Metadata-*` without the prefix, `Grpc-Timeout`, and those that every HTTP client sends as `grpcgateway-*`.
    /// Of the body no more is read than the call needs, and it may be dropped before its end. Returns when the head of the
    /// response is known: for a unary call usually the whole of it, for others the first message.
    pub async fn call<B, S, R>(&self, request: Request<B>, mut service: S) -> Response<JsonBody<R>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
        S: Service<Request<GrpcBody>, Response = Response<R>, Error = Infallible>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        // As in Go an escaped slash separates as well.
        let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
        let method = match self.schema.method(&path) {
            Some(method) if request.method() == Method::POST => method,
            Some(_) => return status::response(&Fault::Method.into()),
            None => return status::response(&Fault::Path.into()),
        };
        let call = match self.grpc_request(request, method).await {
            Ok(call) => call,
            Err(fault) => return status::response(&fault.into()),
        };
        let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
        let Ok(called) = service.call(call).await;
        response::translate(called, Arc::clone(&self.schema), method).await
    }

    async fn grpc_request<B>(
        &self,
        request: Request<B>,
        method: &schema::Method,
    ) -> Result<Request<GrpcBody>, Fault>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let metadata = metadata::of_request(&head.headers)?;
        let text_bytes_max = self.config.request_bytes_max;
        let messages = if method.requests_stream {
            GrpcBody::stream(body, Arc::clone(&self.schema), method.request, text_bytes_max)
        } else {
            GrpcBody::unary(request::unary(body, &self.schema, method.request, text_bytes_max).await?)
        };
        let mut call = Request::new(messages);
        *call.method_mut() = Method::POST;
        *call.uri_mut() = method.grpc_uri.clone();
        *call.version_mut() = Version::HTTP_2;
        *call.headers_mut() = metadata;
        *call.extensions_mut() = head.extensions;
        Ok(call)
    }
}
