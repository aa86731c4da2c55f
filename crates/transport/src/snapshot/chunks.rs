//! Parts of an image between a thread that may block and a connection.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{mpsc, oneshot};

/// What goes over a connection: a head, and the parts that a thread reads. A body whose thread gives up ends with
/// an error, so that the other side does not take it for whole.
#[derive(Debug)]
pub(crate) struct SnapshotBody {
    head: Option<Bytes>,
    parts: mpsc::Receiver<io::Result<Bytes>>,
    remaining: u64,
    /// Told when the last part was taken.
    sent: Option<oneshot::Sender<()>>,
}

impl SnapshotBody {
    /// A body of the head and `len` bytes in parts. `sent` is told when all was taken.
    pub(super) fn new(
        head: Bytes,
        parts: mpsc::Receiver<io::Result<Bytes>>,
        len: u64,
        sent: oneshot::Sender<()>,
    ) -> Self {
        let remaining = head.len() as u64 + len;
        Self { head: Some(head), parts, remaining, sent: Some(sent) }
    }

    fn give(&mut self, part: Bytes) -> io::Result<Frame<Bytes>> {
        let len = part.len() as u64;
        self.remaining = self.remaining.checked_sub(len).ok_or_else(|| wrong_length("longer"))?;
        if self.remaining == 0
            && let Some(sent) = self.sent.take()
        {
            // Nobody waits for it any more if the request was given up.
            let _ = sent.send(());
        }
        Ok(Frame::data(part))
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
        Poll::Ready(Some(match ready!(this.parts.poll_recv(cx)) {
            Some(part) => part.and_then(|part| this.give(part)),
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

/// Reads an image and gives its parts away, until it ends or nobody takes them.
pub(super) fn pump(image: &mut dyn Read, parts: &mpsc::Sender<io::Result<Bytes>>, part_bytes: usize) {
    loop {
        let mut part = Vec::with_capacity(part_bytes);
        let read = image.take(part_bytes as u64).read_to_end(&mut part);
        let part = match read {
            Ok(0) => return,
            Ok(_) => Ok(Bytes::from(part)),
            Err(error) => Err(error),
        };
        let is_over = part.is_err();
        if parts.blocking_send(part).is_err() || is_over {
            return;
        }
    }
}

/// What comes over a connection.
#[derive(Debug)]
pub(super) enum Part {
    Data(Bytes),
    /// The image is whole. Without it, it is not.
    End,
    /// The connection broke.
    Broken(io::Error),
}

/// Received parts, for a thread that may block.
#[derive(Debug)]
pub(super) struct PartReader {
    parts: mpsc::Receiver<Part>,
    current: Bytes,
    is_over: bool,
    pub(super) n_read: u64,
}

impl PartReader {
    pub(super) fn new(parts: mpsc::Receiver<Part>) -> Self {
        Self { parts, current: Bytes::new(), is_over: false, n_read: 0 }
    }
}

impl Read for PartReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.is_over {
            match self.parts.blocking_recv() {
                Some(Part::Data(part)) => self.current = part,
                Some(Part::End) => self.is_over = true,
                Some(Part::Broken(error)) => return Err(error),
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
        let (parts, receiver) = mpsc::channel(1);
        let (sent, told) = oneshot::channel();
        let body = SnapshotBody::new("head".into(), receiver, len, sent);
        let reading = tokio::task::spawn_blocking(move || pump(&mut &*image, &parts, 3));
        let collected = body.collect().await.map(http_body_util::Collected::to_bytes);
        reading.await.expect("no panic");
        assert_eq!(told.await.is_ok(), collected.is_ok());
        collected
    }

    #[tokio::test]
    async fn a_body_is_as_long_as_it_says_or_an_error() {
        assert_eq!(collect(7, b"0123456").await.expect("it is"), "head0123456");
        assert_eq!(collect(0, b"").await.expect("it is"), "head");
        assert!(collect(8, b"0123456").await.is_err());
        assert!(collect(4, b"0123456").await.is_err());
    }

    #[tokio::test]
    async fn an_image_is_whole_only_with_its_end() {
        for is_whole in [true, false] {
            let (sender, parts) = mpsc::channel(8);
            for part in ["ab", "", "c"] {
                sender.try_send(Part::Data(part.into())).expect("there is room");
            }
            if is_whole {
                sender.try_send(Part::End).expect("there is room");
            }
            drop(sender);
            let reading = tokio::task::spawn_blocking(move || {
                let mut image = Vec::new();
                PartReader::new(parts).read_to_end(&mut image).map(|_| image)
            });
            let read = reading.await.expect("no panic");
            assert_eq!(read.ok(), is_whole.then(|| b"abc".to_vec()));
        }
    }
}
