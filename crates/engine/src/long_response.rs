//! Responses that are read while they are sent.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{BufMut as _, Bytes, BytesMut};
use ferretcd_apply::{Encoded, Lists, StreamedRange};
use ferretcd_mvcc::{Access, ReadError};
use tokio::sync::Semaphore;

use crate::RequestError;
use crate::budget::ResponseShare;
use crate::replies::blocking;

/// Bytes that are taken from the store at once.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes that a response under way takes, wherever: a piece, what the protocol and the connection have of it, and what the
/// system has to send.
pub(crate) const UNDER_WAY_BYTES: u64 = 384 << 10;
/// Pieces that are read from the state file at once, by all responses. Short reads need threads as well.
const READERS_MAX: usize = 2;

/// Reads pieces from the state file, for all long responses of a member.
#[derive(Clone, Debug)]
pub(crate) struct PieceReaders(Arc<Semaphore>);

impl PieceReaders {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(READERS_MAX)))
    }

    async fn read<S: Source>(self, mut source: S) -> Result<(S, Vec<Bytes>), RequestError> {
        let permit = self.0.acquire_owned().await.expect("the semaphore is never closed");
        blocking(move || {
            // Held here, because the thread goes on when the request is given up.
            let _permit = permit;
            let taken = source.take(Access::Backend)?;
            Ok((source, taken))
        })
        .await
    }
}

/// Something that is taken piece by piece.
pub(crate) trait Source: Send + 'static {
    fn take(&mut self, access: Access) -> Result<Vec<Bytes>, ReadError>;
    fn is_done(&self) -> bool;
}

impl Source for Encoded {
    fn take(&mut self, access: Access) -> Result<Vec<Bytes>, ReadError> {
        Encoded::take(self, PIECE_BYTES, access)
    }

    fn is_done(&self) -> bool {
        self.bytes() == 0
    }
}

impl Source for StreamedRange {
    fn take(&mut self, access: Access) -> Result<Vec<Bytes>, ReadError> {
        StreamedRange::take(self, PIECE_BYTES, access)
    }

    fn is_done(&self) -> bool {
        StreamedRange::is_done(self)
    }
}

/// Pieces of a source, from memory at once, and from the state file on a thread that may block.
struct Pieces<S> {
    state: State<S>,
    readers: PieceReaders,
}

/// A source that is away on another thread, and comes back with what was taken.
type Reading<S> = Pin<Box<dyn Future<Output = Result<(S, Vec<Bytes>), RequestError>> + Send>>;

enum State<S> {
    Here(S),
    Reading(Reading<S>),
    /// Behind the last piece, or behind an error.
    Done,
}

impl<S: Source> Pieces<S> {
    fn new(source: S, readers: PieceReaders) -> Self {
        Self { state: State::Here(source), readers }
    }

    fn is_end(&self) -> bool {
        match &self.state {
            State::Here(source) => source.is_done(),
            State::Reading(_) => false,
            State::Done => true,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<Bytes>, RequestError>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Here(source) if source.is_done() => {}
                State::Here(mut source) => match source.take(Access::Memory) {
                    Ok(chunks) if !chunks.is_empty() => {
                        self.state = State::Here(source);
                        return Poll::Ready(Some(Ok(chunks)));
                    }
                    Ok(_) => self.state = State::Reading(Box::pin(self.readers.clone().read(source))),
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                },
                State::Reading(mut reading) => match reading.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok((source, chunks))) => {
                        self.state = State::Here(source);
                        return Poll::Ready(Some(Ok(chunks)));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                },
            }
        }
    }
}

/// An encoded response of which a piece is in memory at a time, see [`Self::poll_next`]. Its length is known.
///
/// It holds a share of the memory budget until it is dropped, but no lock, no thread, and nothing back. A compaction that
/// passes the revision that it shows ends it with an error.
pub struct LongResponse {
    pieces: Pieces<Encoded>,
    /// Read already, so that its errors are errors of the request.
    first: Option<Vec<Bytes>>,
    bytes: u64,
    /// When its rows were known and none was read.
    opened: Instant,
    /// How many they are, in a response of one list.
    n_rows: Option<u64>,
    repeatable: Repeatable,
    share: Option<ResponseShare>,
}

/// Whether a request can be sent again after its response has broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// It has changed nothing.
    Yes,
    /// It may have changed something.
    No,
}

impl LongResponse {
    /// Reads the first piece.
    pub(crate) async fn begin(
        encoded: Encoded,
        readers: PieceReaders,
        share: Option<ResponseShare>,
        repeatable: Repeatable,
    ) -> Result<Self, RequestError> {
        let (bytes, opened) = (encoded.bytes(), Instant::now());
        let mut pieces = Pieces::new(encoded, readers);
        let first = std::future::poll_fn(|cx| pieces.poll_next(cx)).await.transpose()?;
        Ok(Self { pieces, first, bytes, opened, n_rows: None, repeatable, share })
    }

    /// Bytes of the whole response.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When reading its rows began.
    pub(crate) fn opened(&self) -> Instant {
        self.opened
    }

    /// How many rows it has; `None` for several lists.
    pub(crate) fn n_rows(&self) -> Option<u64> {
        self.n_rows
    }

    /// Its share of the memory budget, if it has one, to be kept until the last byte has left.
    pub fn take_share(&mut self) -> Option<ResponseShare> {
        self.share.take()
    }

    /// Whether everything has been taken.
    pub fn is_end(&self) -> bool {
        self.first.is_none() && self.pieces.is_end()
    }

    /// Whether the request can be sent again if the response breaks off.
    pub fn repeatable(&self) -> Repeatable {
        self.repeatable
    }

    /// The next piece, some ten KiB in chunks; `None` behind the last one and behind an error. Does not block.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<Bytes>, RequestError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.pieces.poll_next(cx),
        }
    }

    async fn read_all(mut self) -> Result<Bytes, RequestError> {
        let mut bytes = BytesMut::new();
        while let Some(chunks) = std::future::poll_fn(|cx| self.poll_next(cx)).await {
            chunks?.iter().for_each(|chunk| bytes.put_slice(chunk));
            tokio::task::yield_now().await;
        }
        Ok(bytes.freeze())
    }
}

impl fmt::Debug for LongResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongResponse").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// A response of the key space.
#[derive(Debug)]
pub enum KvResponse<M> {
    /// A message without long lists.
    Message(M),
    /// An encoded message whose rows are read while it is sent.
    Long(LongResponse),
}

impl<M> KvResponse<M> {
    /// Says how many rows its one list has.
    pub(crate) fn with_rows(mut self, n_rows: u64) -> Self {
        if let Self::Long(long) = &mut self {
            long.n_rows = Some(n_rows);
        }
        self
    }
}

impl<M: Lists + Default> KvResponse<M> {
    /// The message as a whole, however long.
    pub async fn into_message(self) -> Result<M, RequestError> {
        match self {
            Self::Message(message) => Ok(message),
            Self::Long(long) => {
                let bytes = long.read_all().await?;
                let length = bytes.len() as u64;
                // Transactions can be nested deeper than the library decodes.
                M::decode(bytes).map_err(|_| RequestError::ResponseTooLarge { bytes: length })
            }
        }
    }
}

/// A range in several messages, each of which is read when it is requested.
///
/// It holds a share of the memory budget until it is dropped, but no lock, no thread, and nothing back.
pub struct RangeStream {
    pieces: Pieces<StreamedRange>,
    share: Option<ResponseShare>,
}

impl RangeStream {
    pub(crate) fn new(range: StreamedRange, readers: PieceReaders, share: Option<ResponseShare>) -> Self {
        Self { pieces: Pieces::new(range, readers), share }
    }

    /// Its share of the memory budget, to be kept until the last byte has left.
    pub fn take_share(&mut self) -> Option<ResponseShare> {
        self.share.take()
    }

    /// Whether everything has been taken.
    pub fn is_end(&self) -> bool {
        self.pieces.is_end()
    }

    /// The next message, an encoded `RangeStreamResponse` of some ten KiB, in chunks; `None` behind the last one and behind
    /// an error. The last one has the header, and says how many keys there are. Does not block.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<Bytes>, RequestError>>> {
        self.pieces.poll_next(cx)
    }
}

impl fmt::Debug for RangeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeStream").finish_non_exhaustive()
    }
}
