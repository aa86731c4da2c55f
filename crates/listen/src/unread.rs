//! Bodies of requests that get a response without being read.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Buf as _;
use http::Version;
use http_body::Body;
use tokio::time::timeout;

use crate::Drain;

/// What is read before the response over HTTP/1: as much as Go's `net/http` reads.
const BEFORE_BYTES: u64 = 256 << 10;
/// How long that may take. A client may send nothing until it has the response.
const BEFORE_TIME: Duration = Duration::from_millis(500);
/// What is read beside the response and after it. Then the stream is reset, or the connection closed.
const AFTER_BYTES: u64 = 64 << 20;
const AFTER_TIME: Duration = Duration::from_secs(10);

/// Reads and drops a body, so that its sender sees the response: clients that are still sending when their stream is
/// reset, or their connection closed, may lose a response that came before (curl 7.88 is one).
///
/// Returns when the response can be sent: at once over HTTP/2, where the two directions of a stream end separately, and half
/// a second later at most over HTTP/1. What is then left is read by a task of its own, ten seconds and 64 MiB at most, and
/// no longer than until `drain` begins.
pub async fn discard<B>(version: Version, mut body: B, drain: Drain)
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    let is_first = version != Version::HTTP_2;
    if body.is_end_stream()
        || is_first && timeout(BEFORE_TIME, read(&mut body, BEFORE_BYTES)).await == Ok(true)
    {
        return;
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = timeout(AFTER_TIME, read(&mut body, AFTER_BYTES)) => {}
            () = drain.begun() => {}
        }
    });
}

/// Reads to the end, which makes it true, or until it has more than `bytes_max`.
async fn read<B: Body + Unpin>(body: &mut B, bytes_max: u64) -> bool {
    let mut bytes = 0;
    while bytes <= bytes_max {
        match poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, |data| data.remaining() as u64),
            Some(Err(_)) | None => return true,
        }
    }
    false
}
