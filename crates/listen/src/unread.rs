//! Bodies of requests that get a response without being read.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use bytes::Buf as _;
use http_body::Body;
use tokio::time::timeout;

/// What is read before the response: as much as Go's `net/http` reads.
const BEFORE_BYTES: u64 = 256 << 10;
/// How long that may take. A client may send nothing until it has the response.
const BEFORE_TIME: Duration = Duration::from_millis(500);
/// What is read beside the response and after it. Then the stream is reset, or the connection closed.
const AFTER_BYTES: u64 = 64 << 20;
const AFTER_TIME: Duration = Duration::from_secs(10);

/// Reads and drops a body, so that its sender sees the response: clients that are still sending when their stream is
/// reset, or their connection closed, may lose a response that came before (curl 7.88 is one).
///
/// Returns when the response can be sent, half a second later at most. What is then left of a large body is read by a
/// task of its own, ten seconds and 64 MiB at most.
pub async fn discard<B>(mut body: B)
where
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
{
    if body.is_end_stream() || timeout(BEFORE_TIME, read(&mut body, BEFORE_BYTES)).await == Ok(true) {
        return;
    }
    tokio::spawn(async move { timeout(AFTER_TIME, read(&mut body, AFTER_BYTES)).await });
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
