//! Clients that name the server by a URL.
//!
//! etcdctl 3.4, and every other client with its gRPC library, puts an endpoint that is a URL into `:authority` as it
//! stands, for calls to one endpoint. The HTTP/2 library rejects such calls; servers in Go ignore the field. So the
//! frames are read on their way to the library, and a malformed authority becomes a good one of the same length.
//!
//! ```text
//! socket ──► [TLS] ──► Corrected ──(preface, frames; a changed value in HEADERS)──► hyper
//! ```
//!
//! The first call decides: if its authority is well-formed, the rest of the connection passes unread. Clients use one
//! authority for a connection.

mod block;
mod frames;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use frames::Frames;

/// A stream whose HTTP/2 requests have authorities that the library accepts.
#[derive(Debug)]
pub(crate) struct Corrected<S> {
    stream: S,
    /// Boxed, because most connections have none most of the time.
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
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, reading: Some(Box::default()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corrected<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, reading: slot } = self.get_mut();
        let Some(reading) = slot else {
            return Pin::new(stream).poll_read(cx, buf);
        };
        let start = buf.filled().len();
        while reading.passed.is_empty() && buf.remaining() > 0 {
            ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
            let read = &buf.filled()[start..];
            let is_end = read.is_empty();
            reading.frames.pass(read, &mut reading.passed);
            if is_end {
                reading.frames.end(&mut reading.passed);
            }
            buf.set_filled(start);
            if is_end {
                break;
            }
        }
        let n = reading.passed.len().min(buf.remaining());
        buf.put_slice(&reading.passed[..n]);
        reading.passed.advance(n);
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

    use super::*;

    /// The bytes that come out for `sent`, read `n` at a time.
    async fn read(sent: &[u8], n: usize) -> Vec<u8> {
        let (near, mut far) = duplex(7);
        let mut near = Corrected::new(near);
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
            let sent = frames::tests::connection(&[frames::tests::call(b"http://a:1/")]);
            let expected = frames::tests::connection(&[frames::tests::call(b"http---a-1-")]);
            assert_eq!(read(&sent, n).await, expected);
        }
    }
}
