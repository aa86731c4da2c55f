//! Streams of responses that are written here, without the library's parts for that.
//!
//! The library boxes a stream of messages, encodes each into a buffer of its own, and wraps the request in four
//! bodies. Where a stream has many small messages that costs more than the messages do. Here a stream is polled by
//! the task of its call for bytes, and decodes the bytes that it receives.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::{Body, Frame};
use tonic::Status;

use crate::status::trailers;

/// Bytes before each message of a stream: whether it is compressed, and its length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// The responding side of a call.
pub(crate) trait PollChunk: Unpin {
    /// The next bytes for the client, or how the stream ends; it is not polled any more then. It is polled when the
    /// connection has taken the bytes before.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Status>>;
}

/// The responses of one call; without a stream an empty body.
#[derive(Debug)]
pub(crate) struct Responses<S>(Option<S>);

impl<S: PollChunk> Responses<S> {
    /// Begins the response to a request.
    pub(crate) fn begin(stream: S) -> Response<Self> {
        let mut response = Response::new(Self(Some(stream)));
        let content_type = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}

impl<S> Default for Responses<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: PollChunk> Body for Responses<S> {
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
                // With it goes what it holds, for example a session and its watches.
                this.0 = None;
                Some(Ok(Frame::trailers(trailers(&status))))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
