//! What is answered to requests, and the bodies that carry it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use ferretcd_base::ClusterId;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use crate::codec::Pieces;
use crate::headers::{self, CLUSTER_ID};
use crate::stream_writer::OutgoingStream;

/// What ends a body before its end.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
#[derive(Debug)]
pub struct AnswerBody(Inner);

#[derive(Debug)]
enum Inner {
    Full(Option<Bytes>),
    Stream(Box<OutgoingStream>),
    Other(UnsyncBoxBody<Bytes, BodyError>),
}

/// Bytes of an [`AnswerBody`].
#[derive(Debug)]
pub struct AnswerData(Pieces);

impl AnswerBody {
    pub(crate) fn stream(stream: OutgoingStream) -> Self {
        Self(Inner::Stream(Box::new(stream)))
    }

    /// A body that another service made.
    pub(crate) fn other<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self(Inner::Other(body.map_err(Into::into).boxed_unsync()))
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self(Inner::Full(Some(bytes).filter(|bytes| !bytes.is_empty())))
    }
}

impl Body for AnswerBody {
    type Data = AnswerData;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<AnswerData>, BodyError>>> {
        match &mut self.get_mut().0 {
            Inner::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(data(bytes.into())))),
            Inner::Stream(stream) => {
                stream.poll_pieces(cx).map(|pieces| pieces.map(|pieces| Ok(data(pieces))))
            }
            Inner::Other(body) => {
                Pin::new(body).poll_frame(cx).map_ok(|frame| frame.map_data(|bytes| AnswerData(bytes.into())))
            }
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

fn data(pieces: Pieces) -> Frame<AnswerData> {
    Frame::data(AnswerData(pieces))
}

impl Buf for AnswerData {
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

/// What requests are answered with.
pub(crate) type Answer = Response<AnswerBody>;

/// Why a request is not served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The method is not the one named.
    Method(&'static str),
    /// The two members do not fit.
    Precondition(&'static str),
    /// Plain text with a status.
    Text(StatusCode, String),
    /// What etcd says in JSON.
    Json(StatusCode, &'static str),
}

impl Refusal {
    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self::Text(status, text.into())
    }

    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Method(allowed) => {
                let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
                answer
            }
            Self::Precondition(text) => plain(StatusCode::PRECONDITION_FAILED, text),
            Self::Text(status, text) => plain(status, &text),
            Self::Json(status, text) => {
                let body = serde_json::json!({ "message": text }).to_string();
                with(status, "application/json", body.into())
            }
        }
    }
}

/// An error as Go's servers write it: text, and a line feed behind it.
fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = with(status, "text/plain; charset=utf-8", format!("{text}\n").into());
    let nosniff = HeaderValue::from_static("nosniff");
    answer.headers_mut().insert(HeaderName::from_static("x-content-type-options"), nosniff);
    answer
}

/// An answer of some content.
pub(crate) fn with(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(body.into());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Accepted, and nothing to say.
pub(crate) fn no_content() -> Answer {
    let mut answer = Response::new(Bytes::new().into());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer
}

/// Adds whose answer it is.
pub(crate) fn of_cluster(mut answer: Answer, cluster: ClusterId) -> Answer {
    answer.headers_mut().insert(CLUSTER_ID, headers::hex(cluster));
    answer
}
