//! Responses of the server and their bodies.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use ferretcd_base::ClusterId;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use crate::client::BodyError;
use crate::codec::Chunks;
use crate::headers::{self, CLUSTER_ID};
use crate::rejection::Rejection;
use crate::stream_writer::StreamWriter;

/// The body of a response.
#[derive(Debug)]
pub struct ResponseBody(Inner);

#[derive(Debug)]
enum Inner {
    Full(Option<Bytes>),
    Stream(Box<StreamWriter>),
    Other(UnsyncBoxBody<Bytes, BodyError>),
}

/// Bytes of a [`ResponseBody`].
#[derive(Debug)]
pub struct ResponseData(Chunks);

impl ResponseBody {
    pub(crate) fn stream(stream: StreamWriter) -> Self {
        Self(Inner::Stream(Box::new(stream)))
    }

    /// The body of another service.
    pub(crate) fn other<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self(Inner::Other(body.map_err(Into::into).boxed_unsync()))
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(Inner::Full(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }
}

impl Body for ResponseBody {
    type Data = ResponseData;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<ResponseData>, BodyError>>> {
        match &mut self.get_mut().0 {
            Inner::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(data(bytes.into())))),
            Inner::Stream(stream) => {
                stream.poll_chunks(cx).map(|chunks| chunks.map(|chunks| Ok(data(chunks))))
            }
            Inner::Other(body) => Pin::new(body)
                .poll_frame(cx)
                .map_ok(|frame| frame.map_data(|bytes| ResponseData(bytes.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Inner::Full(bytes) => bytes.is_none(),
            Inner::Stream(_) => false,
            Inner::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Inner::Stream(_) => SizeHint::default(),
            Inner::Other(body) => body.size_hint(),
        }
    }
}

fn data(chunks: Chunks) -> Frame<ResponseData> {
    Frame::data(ResponseData(chunks))
}

impl Buf for ResponseData {
    fn remaining(&self) -> usize {
        self.0.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.0.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [std::io::IoSlice<'a>]) -> usize {
        self.0.chunks_vectored(slices)
    }

    fn advance(&mut self, n: usize) {
        self.0.advance(n);
    }
}

/// A response of the server.
pub(crate) type HttpResponse = Response<ResponseBody>;

impl From<Rejection> for HttpResponse {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Method(allowed) => {
                let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                response
            }
            Rejection::Precondition(text) => plain(StatusCode::PRECONDITION_FAILED, text),
            Rejection::Text(status, text) => plain(status, &text),
            Rejection::Json(status, text) => {
                let body = serde_json::json!({ "message": text }).to_string();
                with(status, "application/json", body.into())
            }
        }
    }
}

/// An error as Go's servers write it: the text and a line feed.
fn plain(status: StatusCode, text: &str) -> HttpResponse {
    let mut response = with(status, "text/plain; charset=utf-8", format!("{text}\n").into());
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(HeaderName::from_static("x-content-type-options"), nosniff);
    response
}

/// A response with a body.
pub(crate) fn with(status: StatusCode, content_type: &'static str, body: Bytes) -> HttpResponse {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A successful response without a body.
pub(crate) fn no_content() -> HttpResponse {
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// Adds the id of the cluster.
pub(crate) fn of_cluster(mut response: HttpResponse, cluster: ClusterId) -> HttpResponse {
    response.headers_mut().insert(CLUSTER_ID, headers::hex(cluster));
    response
}
