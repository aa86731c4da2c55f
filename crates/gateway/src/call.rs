//! One request, from its path to its response.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::Body;
use percent_encoding::percent_decode_str;
use tonic::Status;
use tower_service::Service;

use crate::BoxError;
use crate::metadata;
use crate::request::{self, GrpcBody};
use crate::response::{self, JsonBody};
use crate::schema::{Schema, SchemaError};
use crate::status;

/// Bounds of requests.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bytes of JSON that one message may have. Base64 and names make it longer than the message: eight times what the service
    /// takes is more than any use has.
    pub request_bytes_max: usize,
}

/// The methods that can be called by JSON. Clones share everything.
#[derive(Clone, Debug)]
pub struct Gateway {
    schema: Arc<Schema>,
    config: Config,
}

/// What happens to the rest of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rest {
    /// It is read before the response, so that its sender sees that.
    Discarded,
    /// It may never come.
    Left,
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
    /// `service` gets a gRPC request with the extensions of `request`, and with its headers as metadata: `Authorization`
    /// and `Grpc-Metadata-*` without the prefix, `Grpc-Timeout`, and others as `grpcgateway-*`. Returns when the head of the
    /// response is known: for a unary call usually the whole of it, for others the first message.
    pub async fn call<B, S, R>(&self, request: Request<B>, service: S) -> Response<JsonBody<R>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
        S: Service<Request<GrpcBody>, Response = Response<R>, Error = Infallible>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        self.respond(request, service, Rest::Discarded).await
    }

    /// The same, saying what happens to a body that was not read to its end.
    pub(crate) async fn respond<B, S, R>(
        &self,
        request: Request<B>,
        mut service: S,
        rest: Rest,
    ) -> Response<JsonBody<R>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
        S: Service<Request<GrpcBody>, Response = Response<R>, Error = Infallible>,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<BoxError>,
    {
        let (head, mut body) = request.into_parts();
        let text_bytes_max = self.config.request_bytes_max;
        let unread_bytes_max = match rest {
            Rest::Discarded => text_bytes_max,
            Rest::Left => 0,
        };
        // As Go does: an escaped slash separates as well.
        let path = percent_decode_str(head.uri.path()).decode_utf8_lossy();
        let method = match self.schema.method(&path) {
            Some(method) if head.method == Method::POST => method,
            found => {
                let status = match found {
                    Some(_) => Status::unimplemented("Method Not Allowed"),
                    None => Status::not_found("Not Found"),
                };
                request::discard(&mut body, unread_bytes_max).await;
                return status::response(&status);
            }
        };
        let metadata = match metadata::of_request(&head.headers) {
            Ok(metadata) => metadata,
            Err(status) => {
                request::discard(&mut body, unread_bytes_max).await;
                return status::response(&status);
            }
        };
        let messages = if method.requests_stream {
            GrpcBody::stream(body, Arc::clone(&self.schema), method.request, text_bytes_max)
        } else {
            let message = request::unary(&mut body, &self.schema, method.request, text_bytes_max).await;
            request::discard(&mut body, unread_bytes_max).await;
            match message {
                Ok(message) => GrpcBody::unary(message),
                Err(status) => return status::response(&status),
            }
        };
        let mut call = Request::new(messages);
        *call.method_mut() = Method::POST;
        *call.uri_mut() = method.grpc_uri.clone();
        *call.version_mut() = Version::HTTP_2;
        *call.headers_mut() = metadata;
        call.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        *call.extensions_mut() = head.extensions;
        let Ok(()) = poll_fn(|cx| service.poll_ready(cx)).await;
        let Ok(called) = service.call(call).await;
        response::translate(called, Arc::clone(&self.schema), method).await
    }
}
