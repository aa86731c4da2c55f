//! Chunks of an image between a thread that may block and a connection.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

/// Bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = 128 << 10;
/// Chunks that wait in a channel.
pub(super) const CHUNKS_MAX: usize = 4;

/// The body of a sent snapshot: a head, and the chunks that a thread reads. If the thread fails, the body ends with an error,
/// so that the receiver does not take it for complete.
#[derive(Debug)]
pub(crate) struct SnapshotBody {
    head: Option<Bytes>,
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    remaining: u64,
    /// Completed when the last chunk was taken.
    sent: Option<oneshot::Sender<()>>,
}

impl SnapshotBody {
    /// A body of the head and `len` bytes in chunks. Completes `sent` when all of it was taken.
    pub(super) fn new(
        head: Bytes,
        chunks: mpsc::Receiver<io::Result<Bytes>>,
        len: u64,
        sent: oneshot::Sender<()>,
    ) -> Self {
        let remaining = head.len() as u64 + len;
        Self { head: Some(head), chunks, remaining, sent: Some(sent) }
    }

    fn give(&mut self, chunk: Bytes) -> io::Result<Frame<Bytes>> {
        let len = chunk.len() as u64;
        self.remaining = self.remaining.checked_sub(len).ok_or_else(|| wrong_length("longer"))?;
        if self.remaining == 0
            && let Some(sent) = self.sent.take()
        {
            // The receiver is gone if the request was dropped.
            let _ = sent.send(());
        }
        Ok(Frame::data(chunk))
    }
}

impl Body for SnapshotBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        if let Some(head) = this.head.take() {
            return Poll::Ready(Some(this.give(head)));
        }
        if this.remaining == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(match ready!(this.chunks.poll_recv(cx)) {
            Some(chunk) => chunk.and_then(|chunk| this.give(chunk)),
            None => Err(wrong_length("shorter")),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

fn wrong_length(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the image is {how} than it was said to be"))
}

/// Sends an image in chunks until it ends or the receiver is dropped.
pub(super) fn pump(image: &mut dyn Read, chunks: &mpsc::Sender<io::Result<Bytes>>, chunk_bytes: usize) {
    loop {
        let mut chunk = Vec::with_capacity(chunk_bytes);
        let read = image.take(chunk_bytes as u64).read_to_end(&mut chunk);
        let chunk = match read {
            Ok(0) => return,
            Ok(_) => Ok(Bytes::from(chunk)),
            Err(error) => Err(error),
        };
        let is_over = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || is_over {
            return;
        }
    }
}

/// A chunk of a received image.
#[derive(Debug)]
pub(super) enum Chunk {
    Data(Bytes),
    /// The image is complete. Without this chunk it is not.
    End,
    /// The connection broke.
    Broken(io::Error),
}

/// Reads the received chunks on a thread that may block.
#[derive(Debug)]
pub(super) struct ChunkReader {
    chunks: mpsc::Receiver<Chunk>,
    current: Bytes,
    is_over: bool,
    pub(super) n_read: u64,
}

impl ChunkReader {
    pub(super) fn new(chunks: mpsc::Receiver<Chunk>) -> Self {
        Self { chunks, current: Bytes::new(), is_over: false, n_read: 0 }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.is_over {
            match self.chunks.blocking_recv() {
                Some(Chunk::Data(chunk)) => self.current = chunk,
                Some(Chunk::End) => self.is_over = true,
                Some(Chunk::Broken(error)) => return Err(error),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let n = buf.len().min(self.current.len());
        self.current.copy_to_slice(&mut buf[..n]);
        self.n_read += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    async fn collect(len: u64, image: &'static [u8]) -> Result<Bytes, io::Error> {
        let (chunks, receiver) = mpsc::channel(1);
        let (sent, all_sent) = oneshot::channel();
        let body = SnapshotBody::new("head".into(), receiver, len, sent);
        let reading = tokio::task::spawn_blocking(move || pump(&mut &*image, &chunks, 3));
        let collected = body.collect().await.map(http_body_util::Collected::to_bytes);
        reading.await.expect("no panic");
        assert_eq!(all_sent.await.is_ok(), collected.is_ok());
        collected
    }

    #[tokio::test]
    async fn a_body_of_another_length_than_announced_is_an_error() {
        assert_eq!(collect(7, b"0123456").await.expect("it is"), "head0123456");
        assert_eq!(collect(0, b"").await.expect("it is"), "head");
        assert!(collect(8, b"0123456").await.is_err());
        assert!(collect(4, b"0123456").await.is_err());
    }

    #[tokio::test]
    async fn an_image_without_its_end_is_an_error() {
        for is_complete in [true, false] {
            let (sender, chunks) = mpsc::channel(8);
            for chunk in ["ab", "", "c"] {
                sender.try_send(Chunk::Data(chunk.into())).expect("there is room");
            }
            if is_complete {
                sender.try_send(Chunk::End).expect("there is room");
            }
            drop(sender);
            let reading = tokio::task::spawn_blocking(move || {
                let mut image = Vec::new();
                ChunkReader::new(chunks).read_to_end(&mut image).map(|_| image)
            });
            let read = reading.await.expect("no panic");
            assert_eq!(read.ok(), is_complete.then(|| b"abc".to_vec()));
        }
    }
}
