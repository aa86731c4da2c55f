//! Responses that are longer than what should be in memory, below the library's codec.
//!
//! The library encodes a message into one buffer, in one go. A method whose response is long returns an empty message
//! instead, and [`attach`]es what is to be sent. [`LongBodies`], right around the service, puts it in the place of the
//! body. It is read piece by piece, each when the connection has taken the one before.
//!
//! A client that takes nothing for a time loses its connection: the HTTP library has no other way to be rid of a body that
//! it does not poll. What a response has of the memory budget it keeps until the connection has taken its last byte.

mod turn;
mod watchdog;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use ferretcd_engine::{LongResponse, RangeStream, Repeatable, RequestError, ResponseShare};
use ferretcd_listen::{Closer, Connection};
use http::{Extensions, Request, Response};
use http_body::{Body, Frame};
use parking_lot::Mutex;
use tonic::codegen::BoxFuture;
use tonic::server::NamedService;
use tower::Service;

use self::turn::{Turn, Turns};
use self::watchdog::Watchdog;
use crate::responses::PREFIX_BYTES;
use crate::status::{ok, status, trailers};

/// Bytes that are handed to the connection at once, at most.
const CHUNK_BYTES_MAX: usize = 64 << 10;

/// What a response consists of.
#[derive(Debug)]
pub(crate) enum Long {
    /// One message.
    Message(Box<LongResponse>),
    /// Several.
    Stream(Box<RangeStream>),
}

/// What is attached to a response whose own message is empty.
#[derive(Clone)]
struct Attached(Arc<Mutex<Option<Long>>>);

/// Makes `long` the content of a response.
pub(crate) fn attach(extensions: &mut tonic::Extensions, long: Long) {
    extensions.insert(Attached(Arc::new(Mutex::new(Some(long)))));
}

fn detach(extensions: &mut Extensions) -> Option<Long> {
    extensions.remove::<Attached>()?.0.lock().take()
}

/// A service some of whose responses are attached.
#[derive(Clone, Debug)]
pub(crate) struct LongBodies<S> {
    service: S,
    turns: Turns,
    /// How long a client may take nothing of a response.
    stall_max: Duration,
}

impl<S> LongBodies<S> {
    pub(crate) fn new(service: S, stall_max: Duration) -> Self {
        Self { service, turns: Turns::default(), stall_max }
    }
}

impl<S: NamedService> NamedService for LongBodies<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, B> Service<Request<B>> for LongBodies<S>
where
    S: Service<Request<B>, Response = Response<tonic::body::Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let closer = Connection::closer(request.extensions());
        let (response, turns, stall_max) = (self.service.call(request), self.turns.clone(), self.stall_max);
        Box::pin(async move {
            let mut response = response.await?;
            Ok(match detach(response.extensions_mut()) {
                Some(long) => {
                    response.map(|_| tonic::body::Body::new(LongBody::new(long, turns, closer, stall_max)))
                }
                None => response,
            })
        })
    }
}

/// The body of a long response.
struct LongBody {
    /// `None` behind the last message, and behind an error.
    long: Option<Long>,
    /// Read and not yet taken.
    chunks: VecDeque<Bytes>,
    is_begun: bool,
    /// Behind the trailers, and behind an error.
    is_over: bool,
    turn: Turn,
    /// `None` when the last chunk has it.
    hold: Option<Hold>,
}

impl LongBody {
    fn new(mut long: Long, turns: Turns, closer: Option<Closer>, stall_max: Duration) -> Self {
        let share = match &mut long {
            Long::Message(response) => response.take_share(),
            Long::Stream(stream) => stream.take_share(),
        };
        let closer = closer.filter(|_| share.is_some());
        let watchdog = closer.map(|closer| Watchdog::start(closer, stall_max));
        let hold = Some(Hold { watchdog, _share: share });
        Self {
            long: Some(long),
            chunks: VecDeque::new(),
            is_begun: false,
            is_over: false,
            turn: Turn::new(turns),
            hold,
        }
    }

    /// The next bytes, the end of the response, or how it breaks off.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame<Bytes>, BrokenOff>> {
        loop {
            if let Some(mut chunk) = self.chunks.pop_front() {
                // Of a long row as well, so that a client that reads slowly is seen to read.
                if chunk.len() > CHUNK_BYTES_MAX {
                    self.chunks.push_front(chunk.split_off(CHUNK_BYTES_MAX));
                }
                return Poll::Ready(Ok(Frame::data(self.held(chunk))));
            }
            if self.is_begun && !self.is_end() {
                ready!(self.turn.poll(cx));
            }
            let piece = match &mut self.long {
                None => return Poll::Ready(Ok(Frame::trailers(trailers(&ok())))),
                Some(Long::Message(response)) => ready!(response.poll_next(cx)).map(|piece| match piece {
                    Ok(chunks) => Ok((chunks, (!self.is_begun).then(|| response.bytes()))),
                    Err(error) => Err(Err(BrokenOff::new(&error, response.repeatable()))),
                }),
                Some(Long::Stream(stream)) => ready!(stream.poll_next(cx)).map(|piece| match piece {
                    Ok(chunks) => {
                        let bytes = chunks.iter().map(|chunk| chunk.len() as u64).sum();
                        Ok((chunks, Some(bytes)))
                    }
                    // Between two messages there is room for the reason.
                    Err(error) => Err(Ok(Frame::trailers(trailers(&status(error))))),
                }),
            };
            self.is_begun = true;
            match piece {
                Some(Ok((chunks, message_bytes))) => {
                    self.turn.end();
                    self.chunks.extend(message_bytes.map(prefix));
                    self.chunks.extend(chunks);
                }
                Some(Err(end)) => {
                    self.end();
                    return Poll::Ready(end);
                }
                None => self.long = None,
            }
        }
    }

    /// Whether everything has been read.
    fn is_end(&self) -> bool {
        match &self.long {
            Some(Long::Message(response)) => response.is_end(),
            Some(Long::Stream(stream)) => stream.is_end(),
            None => true,
        }
    }

    /// With the last chunk goes what is held until it has been sent.
    fn held(&mut self, chunk: Bytes) -> Bytes {
        let is_last = self.chunks.is_empty() && self.is_end();
        match self.hold.take_if(|_| is_last) {
            Some(hold) => {
                // From here on the task of the watchdog is all that looks at the client.
                if let Some(watchdog) = &hold.watchdog {
                    watchdog.given();
                }
                Bytes::from_owner(HeldChunk { chunk, _hold: hold })
            }
            None => chunk,
        }
    }

    fn end(&mut self) {
        self.long = None;
        self.chunks.clear();
        self.hold = None;
    }
}

impl Body for LongBody {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        if this.is_over {
            return Poll::Ready(None);
        }
        if let Some(watchdog) = this.watchdog() {
            watchdog.busy();
        }
        let frame = ready!(this.poll_next(cx));
        if let Some(watchdog) = this.watchdog() {
            watchdog.given();
        }
        this.is_over = !matches!(&frame, Ok(frame) if frame.is_data());
        Poll::Ready(Some(frame.map_err(|BrokenOff(reason)| reason.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

impl LongBody {
    fn watchdog(&self) -> Option<&Watchdog> {
        self.hold.as_ref()?.watchdog.as_ref()
    }
}

/// The head of a message of so many bytes.
fn prefix(bytes: u64) -> Bytes {
    let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
    prefix.put_u8(0);
    prefix.put_u32(u32::try_from(bytes).expect("the engine rejects what is longer"));
    prefix.freeze()
}

/// A message that ends before its length. Clients take no status then, only the code of a reset.
struct BrokenOff(h2::Reason);

impl BrokenOff {
    fn new(error: &RequestError, repeatable: Repeatable) -> Self {
        tracing::debug!(%error, "a response broke off");
        Self(match repeatable {
            // Clients report it as unavailable, or try again by themselves.
            Repeatable::Yes => h2::Reason::REFUSED_STREAM,
            Repeatable::No => h2::Reason::INTERNAL_ERROR,
        })
    }
}

/// What a response has until its last byte has been sent.
struct Hold {
    watchdog: Option<Watchdog>,
    _share: Option<ResponseShare>,
}

struct HeldChunk {
    chunk: Bytes,
    _hold: Hold,
}

impl AsRef<[u8]> for HeldChunk {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}
