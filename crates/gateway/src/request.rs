//! Bodies of JSON as bodies of gRPC.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tonic::Status;

use crate::BoxError;
use crate::decode::decode;
use crate::json::scanner::Scanner;
use crate::schema::{MessageId, Schema};

/// What stands before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The messages of a call, as the service reads them.
#[derive(Debug)]
pub struct GrpcBody(Messages);

enum Messages {
    /// The one of a unary call, until it has been read.
    One(Option<Bytes>),
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>),
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(_) => "One",
            Self::Stream(_) => "Stream",
        })
    }
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
        Self(Messages::Stream(Box::pin(requests)))
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
            Messages::Stream(requests) => requests.as_mut().poll_frame(cx),
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
    body: &mut B,
    schema: &Schema,
    id: MessageId,
    text_bytes_max: usize,
) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut scanner = Scanner::new();
    let mut text = Text::default();
    let message = loop {
        let Some(piece) = data(body).await else {
            break match scanner.finish() {
                Ok(true) => message(schema, id, text.whole()),
                Ok(false) => Ok(prefixed(Vec::from([0; PREFIX_BYTES]))),
                Err(error) => Err(error.to_string()),
            };
        };
        let scanned = scanner.scan(&piece);
        text.push(piece);
        match scanned {
            Ok(Some(_)) => break message(schema, id, text.whole()),
            Err(error) => break Err(error.to_string()),
            Ok(None) if text.len() > text_bytes_max => return Err(too_large(text.len(), text_bytes_max)),
            Ok(None) => {}
        }
    };
    message.map_err(Status::invalid_argument)
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

    fn len(&self) -> usize {
        self.whole().len()
    }
}

/// Further bytes of a body; `None` behind the last, also when it breaks off.
async fn data<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Bytes> {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            return Some(data);
        }
    }
    None
}

/// Reads what is left of a body, so that its sender sees the response: until `bytes_max` bytes have come.
pub(crate) async fn discard<B: Body<Data = Bytes> + Unpin>(body: &mut B, bytes_max: usize) {
    let mut n_bytes = 0;
    while !body.is_end_stream() && n_bytes < bytes_max {
        match data(body).await {
            Some(piece) => n_bytes += piece.len(),
            None => return,
        }
    }
}

fn too_large(n_bytes: usize, bytes_max: usize) -> Status {
    Status::resource_exhausted(format!("grpc: received message larger than max ({n_bytes} vs. {bytes_max})"))
}

/// The message that the first value of `text` stands for, with its prefix.
fn message(schema: &Schema, id: MessageId, text: &[u8]) -> Result<Bytes, String> {
    let mut out = Vec::with_capacity(PREFIX_BYTES + text.len());
    out.resize(PREFIX_BYTES, 0);
    decode(schema, id, text.trim_ascii_start(), &mut out)?;
    Ok(prefixed(out))
}

/// Completes a prefix before the message that stands behind it.
fn prefixed(mut message: Vec<u8>) -> Bytes {
    let n_bytes = u32::try_from(message.len() - PREFIX_BYTES).unwrap_or(u32::MAX);
    message[1..PREFIX_BYTES].copy_from_slice(&n_bytes.to_be_bytes());
    message.into()
}

/// Requests that stand one behind the other in a body. The stream ends where the body does, and at the first text that is
/// no request.
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
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match self.scanner.scan(&self.text[self.n_seen..]) {
                Ok(Some(n)) => {
                    let value = self.text.split_to(self.n_seen + n);
                    self.n_seen = 0;
                    return Poll::Ready(message(&self.schema, self.id, &value).ok());
                }
                // Blanks between requests are no beginning of one.
                Ok(None) if !self.scanner.is_begun() => self.text.clear(),
                Ok(None) if self.text.len() <= self.text_bytes_max => {}
                Ok(None) | Err(_) => return Poll::Ready(None),
            }
            self.n_seen = self.text.len();
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.text.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) | None => {
                    let is_whole = self.scanner.finish() == Ok(true);
                    let value = std::mem::take(&mut self.text);
                    let last = is_whole.then(|| message(&self.schema, self.id, &value).ok());
                    return Poll::Ready(last.flatten());
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
        this.is_over = message.is_none();
        Poll::Ready(message.map(|message| Ok(Frame::data(message))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}
