//! Responses of gRPC as JSON.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use tonic::{Code, Status};

use crate::encode::{Encoder, Malformed};
use crate::schema::{MessageId, Method, Schema};
use crate::{BoxError, PREFIX_BYTES, metadata, status};

/// Of a unary response as much is kept until its end, where its status stands. A longer one is sent as it comes, and breaks
/// off if it fails.
const UNARY_BYTES_KEPT: usize = 64 << 10;

/// The body of a response: JSON.
#[derive(Debug)]
pub struct JsonBody<R>(State<R>);

#[derive(Debug)]
enum State<R> {
    /// What is left of a body that is known.
    Whole(Bytes),
    Running(Running<R>),
}

/// A response that arrives.
#[derive(Debug)]
struct Running<R> {
    body: R,
    messages: Messages,
    /// JSON that was not read yet.
    json: Vec<u8>,
    is_over: bool,
}

/// What there is of a response.
enum Progress {
    /// More JSON.
    Json,
    /// The end of the call.
    End(Status),
}

impl<R> JsonBody<R> {
    pub(crate) fn whole(json: Bytes) -> Self {
        Self(State::Whole(json))
    }
}

/// The HTTP response for that of a call.
pub(crate) async fn translate<R>(
    response: Response<R>,
    schema: Arc<Schema>,
    method: &Method,
) -> Response<JsonBody<R>>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    let (head, body) = response.into_parts();
    let streams = method.responses_stream;
    let failed = |status: &Status| match streams {
        true => status::stream_response(status),
        false => status::response(status),
    };
    match Status::from_header_map(&head.headers) {
        Some(status) if status.code() != Code::Ok => return failed(&status),
        _ => {}
    }
    let messages = Messages { schema, id: method.response, streams, prefix: Vec::new(), encoder: None };
    let mut running = Running { body, messages, json: Vec::new(), is_over: false };
    let json = loop {
        match std::future::poll_fn(|cx| running.poll_progress(cx)).await {
            Ok(Progress::Json) if streams || running.json.len() > UNARY_BYTES_KEPT => {
                break JsonBody(State::Running(running));
            }
            Ok(Progress::Json) => {}
            // A stream without a message has no type.
            Ok(Progress::End(status)) if status.code() == Code::Ok && streams => {
                return Response::new(JsonBody::whole(Bytes::new()));
            }
            Ok(Progress::End(status)) if status.code() == Code::Ok => {
                break JsonBody::whole(running.json.into());
            }
            Ok(Progress::End(status)) => return failed(&status),
            Err(error) => return failed(&status::of_body(error)),
        }
    };
    let mut response = Response::new(json);
    metadata::to_response(&head.headers, response.headers_mut());
    response.headers_mut().insert(CONTENT_TYPE, status::JSON);
    response
}

impl<R> Running<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    /// Waits for JSON, or for the end.
    fn poll_progress(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, BoxError>> {
        loop {
            let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else {
                return Poll::Ready(Ok(Progress::End(self.status(&HeaderMap::new()))));
            };
            let frame = match frame.map_err(Into::into)?.into_data() {
                Ok(data) => {
                    self.messages.push(data, &mut self.json)?;
                    if !self.json.is_empty() {
                        return Poll::Ready(Ok(Progress::Json));
                    }
                    continue;
                }
                Err(frame) => frame,
            };
            if let Some(trailers) = frame.trailers_ref() {
                return Poll::Ready(Ok(Progress::End(self.status(trailers))));
            }
        }
    }

    /// How the call has ended.
    fn status(&self, trailers: &HeaderMap) -> Status {
        status::of_trailers(trailers, self.messages.are_whole())
    }
}

impl<R> Body for JsonBody<R>
where
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let running = match &mut self.get_mut().0 {
            State::Whole(json) => {
                let json = std::mem::take(json);
                return Poll::Ready((!json.is_empty()).then(|| Ok(Frame::data(json))));
            }
            State::Running(running) => running,
        };
        if running.json.is_empty() && !running.is_over {
            match ready!(running.poll_progress(cx)) {
                Ok(Progress::Json) => {}
                Ok(Progress::End(status)) => {
                    running.is_over = true;
                    if status.code() != Code::Ok {
                        if !running.messages.streams {
                            // It breaks off: what was sent already says that the call went well.
                            return Poll::Ready(Some(Err(status.into())));
                        }
                        status::line(&status, &mut running.json);
                    }
                }
                Err(error) => {
                    running.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        let json = Bytes::from(std::mem::take(&mut running.json));
        Poll::Ready((!json.is_empty()).then(|| Ok(Frame::data(json))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::Whole(json) => json.is_empty(),
            State::Running(running) => running.is_over && running.json.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Whole(json) => SizeHint::with_exact(json.len() as u64),
            State::Running(_) => SizeHint::new(),
        }
    }
}

/// Takes the messages of a response apart, piece by piece.
#[derive(Debug)]
struct Messages {
    schema: Arc<Schema>,
    id: MessageId,
    /// Whether each message is a line of its own.
    streams: bool,
    prefix: Vec<u8>,
    /// Of the message that is being read.
    encoder: Option<Encoder>,
}

impl Messages {
    fn push(&mut self, mut piece: Bytes, out: &mut Vec<u8>) -> Result<(), Malformed> {
        while !piece.is_empty() {
            let encoder = match &mut self.encoder {
                Some(encoder) => encoder,
                None => match self.begin(&mut piece, out)? {
                    Some(encoder) => self.encoder.insert(encoder),
                    None => return Ok(()),
                },
            };
            encoder.push(&mut piece, out)?;
            if encoder.is_done() {
                self.encoder = None;
                if self.streams {
                    out.extend_from_slice(b"}\n");
                }
            }
        }
        Ok(())
    }

    /// Begins a message as soon as its prefix is there.
    fn begin(&mut self, piece: &mut Bytes, out: &mut Vec<u8>) -> Result<Option<Encoder>, Malformed> {
        let n = piece.len().min(PREFIX_BYTES - self.prefix.len());
        self.prefix.extend_from_slice(&piece.split_to(n));
        let &[compressed, a, b, c, d] = self.prefix.as_slice() else { return Ok(None) };
        self.prefix.clear();
        if compressed != 0 {
            return Err(Malformed);
        }
        let n_bytes = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_err(|_| Malformed)?;
        if self.streams {
            out.extend_from_slice(b"{\"result\":");
        }
        Ok(Some(Encoder::new(Arc::clone(&self.schema), self.id, n_bytes, out)))
    }

    fn are_whole(&self) -> bool {
        self.encoder.is_none() && self.prefix.is_empty()
    }
}
