//! Bodies of JSON as bodies of gRPC.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;

use crate::decode::decode;
use crate::fault::Fault;
use crate::json::scanner::{Scanner, SyntaxError};
use crate::schema::{MessageId, Schema};
use crate::{BoxError, PREFIX_BYTES, status};

/// The messages of a call, as the service reads them.
#[derive(Debug)]
pub struct GrpcBody(Messages);

#[derive(Debug)]
enum Messages {
    /// The one of a unary call, until it has been read.
    One(Option<Bytes>),
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl GrpcBody {
    pub(crate) fn unary(message: Bytes) -> Self {
        Self(Messages::One(Some(message)))
    }

    pub(crate) fn stream<B>(body: B, schema: Arc<Schema>, id: MessageId, text_bytes_max: usize) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<BoxError>,
    {
        let requests = JsonStream {
            body,
            schema,
            id,
            text_bytes_max,
            scanner: Scanner::new(),
            text: BytesMut::new(),
            n_seen: 0,
            is_over: false,
        };
        Self(Messages::Stream(UnsyncBoxBody::new(requests)))
    }
}

impl Body for GrpcBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Messages::One(message) => Poll::Ready(message.take().map(|message| Ok(Frame::data(message)))),
            Messages::Stream(requests) => Pin::new(requests).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Messages::One(message) => message.is_none(),
            Messages::Stream(requests) => requests.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Messages::One(message) => SizeHint::with_exact(message.as_ref().map_or(0, Bytes::len) as u64),
            Messages::Stream(_) => SizeHint::new(),
        }
    }
}

/// Reads the request of a unary call: the first value of the body, or an empty message if there is none.
pub(crate) async fn unary<B>(
    mut body: B,
    schema: &Schema,
    id: MessageId,
    text_bytes_max: usize,
) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut scanner = Scanner::new();
    let mut text = Text::default();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(SyntaxError::UnexpectedEnd.into());
        };
        let Ok(piece) = frame.into_data() else { continue };
        let n_before = text.whole().len();
        let end = scanner.scan(&piece)?;
        text.push(piece);
        if let Some(n) = end {
            return message(schema, id, &text.whole()[..n_before + n]);
        }
        if text.whole().len() > text_bytes_max {
            return Err(Fault::TooLarge { n_bytes: text.whole().len(), bytes_max: text_bytes_max });
        }
    }
    match scanner.finish() {
        Ok(true) => message(schema, id, text.whole()),
        Ok(false) => Ok(prefixed(vec![0; PREFIX_BYTES])),
        Err(error) => Err(error.into()),
    }
}

/// Text that has arrived: without a copy as long as it is one piece.
#[derive(Default)]
struct Text {
    first: Bytes,
    all: Vec<u8>,
}

impl Text {
    fn push(&mut self, piece: Bytes) {
        if self.all.is_empty() && self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    fn whole(&self) -> &[u8] {
        if self.all.is_empty() { &self.first } else { &self.all }
    }
}

/// The message that a value stands for, with its prefix.
fn message(schema: &Schema, id: MessageId, text: &[u8]) -> Result<Bytes, Fault> {
    let mut out = Vec::with_capacity(PREFIX_BYTES + text.len());
    out.resize(PREFIX_BYTES, 0);
    decode(schema, id, text.trim_ascii_start(), &mut out).map_err(Fault::Message)?;
    Ok(prefixed(out))
}

/// Completes a prefix before the message that stands behind it.
fn prefixed(mut message: Vec<u8>) -> Bytes {
    let n_bytes = u32::try_from(message.len() - PREFIX_BYTES).expect("its text is in memory, and bounded");
    message[1..PREFIX_BYTES].copy_from_slice(&n_bytes.to_be_bytes());
    message.into()
}

/// Requests that stand one behind the other in a body. The stream ends where the body does, and with an error at the first
/// text that is no request.
struct JsonStream<B> {
    body: B,
    schema: Arc<Schema>,
    id: MessageId,
    text_bytes_max: usize,
    scanner: Scanner,
    /// From the beginning of the next request.
    text: BytesMut,
    /// How much of it the scanner has seen.
    n_seen: usize,
    is_over: bool,
}

impl<B> JsonStream<B>
where
    B: Body<Data = Bytes> + Send + Unpin,
{
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            match self.scanner.scan(&self.text[self.n_seen..])? {
                Some(n) => {
                    let value = self.text.split_to(self.n_seen + n);
                    self.n_seen = 0;
                    return Poll::Ready(Some(message(&self.schema, self.id, &value)));
                }
                // Blanks between requests are no beginning of one.
                None if !self.scanner.is_begun() => self.text.clear(),
                None if self.text.len() > self.text_bytes_max => {
                    return Poll::Ready(Some(Err(Fault::TooLarge {
                        n_bytes: self.text.len(),
                        bytes_max: self.text_bytes_max,
                    })));
                }
                None => {}
            }
            self.n_seen = self.text.len();
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.text.extend_from_slice(&data);
                    }
                }
                // A client that has gone has not ended its requests.
                Some(Err(_)) => return Poll::Ready(Some(Err(Fault::BrokenOff))),
                None => {
                    let value = std::mem::take(&mut self.text);
                    let is_whole = self.scanner.finish()?;
                    return Poll::Ready(is_whole.then(|| message(&self.schema, self.id, &value)));
                }
            }
        }
    }
}

impl<B> Body for JsonStream<B>
where
    B: Body<Data = Bytes> + Send + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        let message = ready!(this.poll_message(cx));
        this.is_over = !matches!(message, Some(Ok(_)));
        Poll::Ready(message.map(|message| message.map(Frame::data).map_err(status::of_request)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}
