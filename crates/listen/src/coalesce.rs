//! One write per turn of a connection.
//!
//! The HTTP/2 library flushes nearly every frame with a system call of its own. Here its writes go into a
//! bounded buffer, and a flush only says that there is something. When the connection's future has done all
//! that it can do for now, the buffer is written with one call. With many streams on a connection that is
//! one call for the responses of all of them.
//!
//! ```text
//! hyper ──► [TLS] ──poll_write──► buffer ──(after each poll of the connection)──► socket
//! ```
//!
//! On a connection that goes on in another protocol there are no turns; it writes at each flush.
//!
//! A full buffer holds the library back until the socket takes more, so a client that does not read costs
//! one buffer. Shutting down writes everything first.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::socket::{ReadHalf, Socket, WriteHalf};

/// Bytes that wait for the socket at most.
const BUFFER_BYTES_MAX: usize = 256 * 1024;
/// A buffer that a burst has grown is given back beyond this.
const BUFFER_BYTES_KEPT: usize = 16 * 1024;

/// A socket whose writes are collected.
#[derive(Debug)]
pub(crate) struct CoalescedStream {
    read: ReadHalf,
    out: Arc<Mutex<Out>>,
}

/// The collected writes. Locked by the stream and the connection, which belong to one task.
#[derive(Debug)]
struct Out {
    socket: WriteHalf,
    buffer: BytesMut,
    /// Whether the library waits for room.
    is_awaited: bool,
    /// Whether the stream is to write when it is flushed.
    writes_at_flush: bool,
}

impl CoalescedStream {
    /// Sends what is written at once.
    ///
    /// # Errors
    /// Those of the system, when it does not take the options of the socket.
    pub(crate) fn new(socket: Socket) -> io::Result<(Self, Flush)> {
        socket.send_at_once()?;
        socket.limit_unsent()?;
        let (read, socket) = socket.into_split();
        let buffer = BytesMut::new();
        let out = Arc::new(Mutex::new(Out { socket, buffer, is_awaited: false, writes_at_flush: false }));
        Ok((Self { read, out: Arc::clone(&out) }, Flush(out)))
    }
}

impl AsyncRead for CoalescedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().read).poll_read(cx, buf)
    }
}

impl AsyncWrite for CoalescedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.out.lock().poll_push(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.out.lock().poll_push(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.out.lock();
        // The connection flushes when its turn is over.
        if out.writes_at_flush { out.poll_drain(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut out = self.out.lock();
        ready!(out.poll_drain(cx))?;
        Pin::new(&mut out.socket).poll_shutdown(cx)
    }
}

impl Out {
    fn poll_push(&mut self, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.buffer.len() >= BUFFER_BYTES_MAX {
            // Registers the task with the socket if there is no room.
            let drained = self.poll_drain(cx);
            if let Poll::Ready(Err(error)) = drained {
                return Poll::Ready(Err(error));
            }
            if self.buffer.len() >= BUFFER_BYTES_MAX {
                self.is_awaited = true;
                return Poll::Pending;
            }
        }
        let before = self.buffer.len();
        for slice in slices {
            let room = BUFFER_BYTES_MAX - self.buffer.len();
            self.buffer.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        Poll::Ready(Ok(self.buffer.len() - before))
    }

    /// Writes until the buffer is empty or the socket takes no more.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let n = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.buffer))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(n);
        }
        if self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = BytesMut::new();
        } else {
            self.buffer.clear();
        }
        Poll::Ready(Ok(()))
    }
}

/// The other end of the buffer: what writes it to the socket.
#[derive(Debug)]
pub(crate) struct Flush(Arc<Mutex<Out>>);

impl Flush {
    /// Polls a connection and writes what it left. Ready when the connection is and all is written, or when
    /// the socket is broken.
    pub(crate) fn poll_turn<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll_connection: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Turn<T> {
        loop {
            let done = poll_connection(cx);
            let mut out = self.0.lock();
            let drained = out.poll_drain(cx);
            // A library that waits for room has gone to sleep and must be polled again.
            let has_room = std::mem::take(&mut out.is_awaited) && out.buffer.len() < BUFFER_BYTES_MAX;
            match (done, drained) {
                (_, Poll::Ready(Err(error))) => return Turn::Broken(error),
                (Poll::Ready(result), Poll::Ready(Ok(()))) => return Turn::Done(result),
                (Poll::Ready(result), Poll::Pending) => return Turn::Draining(result),
                (Poll::Pending, _) if has_room => {}
                (Poll::Pending, _) => return Turn::Pending,
            }
        }
    }

    /// Writes the rest of a connection that is done.
    pub(crate) fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.lock().poll_drain(cx)
    }

    /// Has the stream write when it is flushed, from now on: there are no more turns.
    pub(crate) fn hand_over(&self) {
        self.0.lock().writes_at_flush = true;
    }

    /// Makes the end of the connection a reset: the system drops what it holds of it, instead of offering it for
    /// minutes to a client that does not read.
    pub(crate) fn reset(&self) -> io::Result<()> {
        self.0.lock().socket.drop_unsent_at_end()
    }
}

/// What a turn of a connection came to.
#[derive(Debug)]
pub(crate) enum Turn<T> {
    /// Neither is there more to do nor is the connection over.
    Pending,
    /// The connection is over; some of its last bytes wait for the socket.
    Draining(T),
    /// The connection is over and all is written.
    Done(T),
    /// The socket has failed.
    Broken(io::Error),
}
