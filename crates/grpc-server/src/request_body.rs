//! The messages of a call, from wherever they come.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use ferretcd_gateway::GrpcBody;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::codegen::StdError;

use crate::compression::Decompressed;

/// The body of a request to a gRPC method, as layers see it.
#[derive(Debug)]
pub struct RequestBody(Source);

#[derive(Debug)]
enum Source {
    /// A connection that speaks gRPC.
    Grpc(Incoming),
    /// The same, with messages that were compressed.
    Decompressed(Decompressed<Incoming>),
    /// A request in JSON.
    Gateway(GrpcBody),
}

impl From<Incoming> for RequestBody {
    fn from(body: Incoming) -> Self {
        Self(Source::Grpc(body))
    }
}

impl From<Decompressed<Incoming>> for RequestBody {
    fn from(body: Decompressed<Incoming>) -> Self {
        Self(Source::Decompressed(body))
    }
}

impl From<GrpcBody> for RequestBody {
    fn from(body: GrpcBody) -> Self {
        Self(Source::Gateway(body))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        match &mut self.get_mut().0 {
            Source::Grpc(body) => Pin::new(body).poll_frame(cx).map_err(StdError::from),
            Source::Decompressed(body) => Pin::new(body).poll_frame(cx),
            Source::Gateway(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Grpc(body) => body.is_end_stream(),
            Source::Decompressed(body) => body.is_end_stream(),
            Source::Gateway(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Grpc(body) => body.size_hint(),
            Source::Decompressed(body) => body.size_hint(),
            Source::Gateway(body) => body.size_hint(),
        }
    }
}
