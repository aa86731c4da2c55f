//! Calls with any authority.
//!
//! Clients put what they like into `:authority`: URLs (etcdctl 3.4), the list of all addresses of a channel (grpc-core),
//! paths of sockets. Servers in Go ignore it. The HTTP/2 library parses it, and resets the stream if it is none in the
//! sense of a URI; nothing of that can be set ([decision 20](../../../docs/decisions/0020-any-authority.md)). So header blocks
//! are read on their way to it. All pass as they are until one has an authority that is malformed or empty; from then on
//! the blocks of that connection are spelled out anew, with another authority or none.
//!
//! ```text
//! socket ──► [TLS] ──► Corrected ──(bytes as they come, header blocks when they are whole)──► hyper
//!
//! frames    where header blocks begin and end
//! block     which fields stay
//! table     the fields that the client refers to by number
//! hpack     the spelling of fields
//! ```
//!
//! What begins and ends calls is counted here as well: a connection takes so many of them in a turn, and holds back the
//! rest. So are pings, for [`pings`](crate::pings).
//!
//! A list of fields that is too long is cut off behind the point at which the HTTP/2 library rejects it, so that it ends
//! its call alone.

mod block;
mod frames;
mod hpack;
mod table;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use frames::Frames;
pub(crate) use frames::{HEAD_BYTES, HEADERS, Pings};

use crate::call_budget::CallBudget;

/// A stream whose HTTP/2 requests have authorities that the library accepts.
#[derive(Debug)]
pub(crate) struct Corrected<S> {
    stream: S,
    budget: CallBudget,
    /// Boxed, because connections of HTTP/1 have none.
    reading: Option<Box<Reading>>,
}

/// The state of reading frames.
#[derive(Debug, Default)]
struct Reading {
    frames: Frames,
    /// Bytes that have passed and are still to be read.
    passed: BytesMut,
}

impl<S> Corrected<S> {
    /// Once the budget is spent, reads wait until they are tried again with another one.
    pub(crate) fn new(stream: S, budget: CallBudget) -> Self {
        Self { stream, budget, reading: Some(Box::default()) }
    }

    /// Whether the client speaks HTTP/2, as far as it has been followed.
    pub(crate) fn is_http2(&self) -> bool {
        self.reading.as_ref().is_some_and(|reading| reading.frames.is_http2())
    }

    /// The pings of the client that have been read since this was last called; `None` if there are none.
    pub(crate) fn take_pings(&mut self) -> Option<Pings> {
        self.reading.as_mut()?.frames.take_pings()
    }
}

impl Reading {
    /// Takes the bytes of `buf` from `start` on, and leaves those there that have passed. True at the end of the stream, and
    /// if there are any.
    fn take(&mut self, buf: &mut ReadBuf<'_>, start: usize, budget: &CallBudget) -> bool {
        let received = &buf.filled()[start..];
        if received.is_empty() {
            self.frames.end(&mut self.passed);
            return true;
        }
        let in_place = self.frames.pass(received, budget, &mut self.passed);
        buf.set_filled(start + in_place);
        in_place > 0 || !self.passed.is_empty()
    }

    /// Moves what has passed into `buf`, as far as there is room.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let n = self.passed.len().min(buf.remaining());
        buf.put_slice(&self.passed[..n]);
        self.passed.advance(n);
        if self.passed.is_empty() {
            // A large block does not keep its memory.
            self.passed = BytesMut::new();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corrected<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, budget, reading: slot } = self.get_mut();
        let Some(reading) = slot else {
            return Pin::new(stream).poll_read(cx, buf);
        };
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if reading.passed.is_empty() {
            // Calls that the last turn has left.
            reading.frames.pass(&[], budget, &mut reading.passed);
        }
        let start = buf.filled().len();
        while reading.passed.is_empty() {
            // What is held back is bounded because nothing is read behind it.
            if budget.is_spent() {
                return Poll::Pending;
            }
            ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
            if reading.take(buf, start, budget) {
                break;
            }
        }
        reading.give(buf);
        if reading.passed.is_empty() && reading.frames.is_done() {
            *slot = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corrected<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::frames::tests::{call, connection};
    use super::*;

    /// The bytes that come out for `sent`, read `n` at a time.
    async fn read(sent: &[u8], n: usize) -> Vec<u8> {
        let (near, mut far) = duplex(7);
        let mut near = Corrected::new(near, CallBudget::default());
        let send = async {
            far.write_all(sent).await.expect("it is open");
            drop(far);
        };
        let receive = async {
            let (mut all, mut piece) = (Vec::new(), vec![0; n]);
            loop {
                match near.read(&mut piece).await.expect("it is open") {
                    0 => return all,
                    n => all.extend(&piece[..n]),
                }
            }
        };
        tokio::join!(send, receive).1
    }

    #[tokio::test]
    async fn streams_are_read_to_their_end() {
        for n in [1, 5, 100] {
            for sent in ["", "GET / HTTP/1.1\r\n\r\n", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0"] {
                assert_eq!(read(sent.as_bytes(), n).await, sent.as_bytes(), "{sent:?}");
            }
            let good = connection(&[call(b"a:1"), call(b"b:1")]);
            assert_eq!(read(&good, n).await, good);
            let corrected = read(&connection(&[call(b"a:1"), call(b"http://a:1/")]), n).await;
            assert_eq!(corrected[..good.len() / 2], good[..good.len() / 2]);
            assert!(!corrected.windows(4).any(|window| window == b"http"), "{corrected:x?}");
        }
    }
}
