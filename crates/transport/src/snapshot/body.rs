//! The body of a received snapshot.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::chunks::Chunk;
use crate::client::innermost;
use crate::codec::ReadBuffer;

/// How long a body may pause.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the body of a rejected request is read.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(500);

/// A body that is read in slices of given lengths and in chunks.
pub(super) struct SnapshotReader {
    body: Incoming,
    buffer: ReadBuffer,
}

impl SnapshotReader {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, buffer: ReadBuffer::default() }
    }

    /// Bytes that have not been read, if the sender announces them.
    pub(super) fn remaining(&self) -> Option<u64> {
        let coming = self.body.size_hint().exact()?;
        Some(coming.saturating_add(self.buffer.len() as u64))
    }

    /// The next `n` bytes.
    pub(super) async fn take(&mut self, n: usize) -> io::Result<Bytes> {
        loop {
            if let Some(taken) = self.buffer.take(n) {
                return Ok(taken);
            }
            let chunk = self.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.buffer.push(chunk);
        }
    }

    /// Sends the rest of the body to the thread that stores it, as fast as it takes the chunks.
    pub(super) async fn send_chunks(&mut self, chunks: &mpsc::Sender<Chunk>) {
        let rest = std::mem::take(&mut self.buffer).into_rest();
        let mut chunk = Chunk::Data(rest);
        loop {
            let is_last = !matches!(chunk, Chunk::Data(_));
            if chunks.send(chunk).await.is_err() || is_last {
                return;
            }
            chunk = match self.next().await {
                Ok(Some(data)) => Chunk::Data(data),
                Ok(None) => Chunk::End,
                Err(error) => Chunk::Broken(error),
            };
        }
    }

    /// Reads and drops the rest of the body for a moment.
    pub(super) fn discard(self) {
        discard(self.body);
    }

    /// The next chunk of the body; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let frame =
                timeout(READ_TIMEOUT, self.body.frame()).await.map_err(|_| io::ErrorKind::TimedOut)?;
            match frame.transpose().map_err(|error| io::Error::other(innermost(&error)))? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

/// Reads and drops the body of a rejected request for a moment. A socket that is closed with unread bytes resets the
/// connection, and a sender that still writes may then miss the response.
pub(crate) fn discard(mut body: Incoming) {
    tokio::spawn(timeout(DISCARD_TIMEOUT, async move { while let Some(Ok(_)) = body.frame().await {} }));
}
