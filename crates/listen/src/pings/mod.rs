//! Clients that ping too often, as grpc-go treats them: a ping that comes too early is a strike, a third strike ends the
//! connection with GOAWAY and the reason `too_many_pings`. HEADERS or DATA from the server forgive all strikes, because
//! clients measure the connection by pings while they receive.
//!
//! ```text
//! hyper ◄── Paced ◄── Corrected, which counts pings ◄── [TLS] ◄── socket
//! hyper ──► Paced, which sees HEADERS and DATA, and writes the GOAWAY ──► [TLS] ──► buffer
//! ```

mod sent;
mod strikes;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use sent::Sent;
use strikes::Strikes;

use crate::authority::{Corrected, Pings};
use crate::connection::Connection;

const GOAWAY: u8 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;
const REASON: &[u8] = b"too_many_pings";
/// How long the connection stays open behind the GOAWAY, for the client to read it: a socket that is closed with bytes
/// unread is reset, and the client may lose what was sent.
const LINGER: Duration = Duration::from_secs(1);

/// A stream that ends if its client pings too often.
#[derive(Debug)]
pub(crate) struct Paced<S> {
    stream: Corrected<S>,
    /// `None` if clients may ping as they like.
    guard: Option<Box<Guard>>,
}

#[derive(Debug)]
struct Guard {
    connection: Connection,
    strikes: Strikes,
    sent: Sent,
    /// What is done once there were too many pings.
    ending: Option<Ending>,
}

/// The end of a connection.
#[derive(Debug)]
struct Ending {
    /// What is still to be written.
    goaway: Bytes,
    is_begun: bool,
    linger: Pin<Box<Sleep>>,
}

impl<S> Paced<S> {
    /// `interval_min` is the shortest time between two pings of a client that has a call open; `None` for none.
    pub(crate) fn new(stream: Corrected<S>, connection: Connection, interval_min: Option<Duration>) -> Self {
        let guard = interval_min.map(|interval_min| {
            let strikes = Strikes::new(interval_min);
            Box::new(Guard { connection, strikes, sent: Sent::default(), ending: None })
        });
        Self { stream, guard }
    }
}

impl Guard {
    /// Counts pings that have just come.
    fn count(&mut self, pings: Pings) {
        let (now, has_call) = (Instant::now().into_std(), pings.has_call || self.connection.has_call());
        // All but the first of a read are strikes, and a fourth changes nothing.
        let is_too_many = (0..pings.n.min(4)).any(|_| !self.strikes.allow(now, has_call));
        if is_too_many && self.ending.is_none() {
            let linger = Box::pin(sleep(LINGER));
            self.ending = Some(Ending { goaway: goaway(pings.stream), is_begun: false, linger });
        }
    }

    /// Takes note of what was written.
    fn wrote<'a>(&mut self, mut n: usize, slices: impl IntoIterator<Item = &'a [u8]>) {
        for slice in slices {
            let slice = &slice[..slice.len().min(n)];
            if self.sent.pass(slice) {
                self.strikes.forgive();
            }
            n -= slice.len();
        }
    }
}

impl Ending {
    /// Reads what nothing is done with any more, until the client has closed the connection or has had its time.
    fn poll_end<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Error> {
        let mut unread = [0; 4096];
        while self.linger.as_mut().poll(cx).is_pending() {
            let mut buf = ReadBuf::new(&mut unread);
            match ready!(Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
                Ok(()) if buf.filled().is_empty() => break,
                Ok(()) => {}
                Err(error) => return Poll::Ready(error),
            }
        }
        Poll::Ready(io::Error::new(io::ErrorKind::ConnectionAborted, "too many pings"))
    }

    /// Writes the GOAWAY. It is called where a frame of the library would begin.
    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.is_begun = true;
        while self.goaway.has_remaining() {
            match ready!(Pin::new(&mut *stream).poll_write(cx, &self.goaway))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.goaway.advance(n),
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The frame that tells the client why.
fn goaway(stream: u32) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_uint(8 + REASON.len() as u64, 3);
    frame.put_slice(&[GOAWAY, 0, 0, 0, 0, 0]);
    frame.put_u32(stream);
    frame.put_u32(ENHANCE_YOUR_CALM);
    frame.put_slice(REASON);
    frame.freeze()
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, guard } = self.get_mut();
        if let Some(ending) = guard.as_mut().and_then(|guard| guard.ending.as_mut()) {
            return ending.poll_end(stream, cx).map(Err);
        }
        ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
        // Those that are whole still get their responses.
        if let Some(guard) = guard
            && let Some(pings) = stream.take_pings()
        {
            guard.count(pings);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, guard } = self.get_mut();
        let Some(guard) = guard.as_mut().filter(|_| stream.is_http2()) else {
            return Pin::new(stream).poll_write_vectored(cx, slices);
        };
        if guard.ending.as_ref().is_some_and(|ending| ending.is_begun) {
            // Nothing comes behind the GOAWAY.
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        let n = ready!(Pin::new(stream).poll_write_vectored(cx, slices))?;
        guard.wrote(n, slices.iter().map(|slice| &**slice));
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, guard } = self.get_mut();
        // The library flushes when it has written whole frames, the responses to the last pings among them.
        if let Some(ending) = guard.as_mut().and_then(|guard| guard.ending.as_mut()) {
            ready!(ending.poll_write(stream, cx))?;
        }
        Pin::new(stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
