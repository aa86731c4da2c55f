//! Taking renewals out of the bytes of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use ferretcd_api_proto::etcdserverpb::LeaseKeepAliveRequest;
use ferretcd_base::LeaseId;
use http_body::{Body, Frame};
use parking_lot::Mutex;
use prost::Message;
use tonic::codegen::StdError;
use tonic::{Code, Status};

use super::PREFIX_BYTES;
use crate::texts;

/// A buffer that a burst has grown is given back beyond this.
const BUFFER_BYTES_KEPT: usize = 1024;

/// The leases that a client wants to renew, in the order in which it sends them.
#[derive(Debug)]
pub(super) struct Requests<B> {
    body: B,
    /// Received and not looked at.
    buffer: BytesMut,
    message_bytes_max: usize,
    /// Whether the body had nothing when it was looked at last.
    is_drained: bool,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

/// Remembers that the body has woken the stream. The library wakes a stream for each frame that it takes to send, and
/// a look at the body costs more than one at the bell.
#[derive(Debug)]
struct Bell {
    has_rung: AtomicBool,
    /// Who is woken.
    task: Mutex<Waker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.lock().wake_by_ref();
    }
}

impl<B> Requests<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    pub(super) fn new(body: B, message_bytes_max: usize) -> Self {
        let bell =
            Arc::new(Bell { has_rung: AtomicBool::new(false), task: Mutex::new(Waker::noop().clone()) });
        let waker = Waker::from(Arc::clone(&bell));
        Self { body, buffer: BytesMut::new(), message_bytes_max, is_drained: false, bell, waker }
    }

    /// The next lease; `None` when the client has sent its last one, or has gone. An error is the end, too.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<LeaseId, Status>>> {
        loop {
            if let Some(request) = self.take_message().transpose() {
                return Poll::Ready(Some(request));
            }
            match ready!(self.poll_body(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(_trailers) => return Poll::Ready(self.end()),
                },
                Some(Err(error)) => {
                    let status = texts::broken_body(error.into());
                    let has_gone = status.code() == Code::Cancelled;
                    return Poll::Ready((!has_gone).then_some(Err(status)));
                }
                None => return Poll::Ready(self.end()),
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // Before the look at the bell, which rings for the task that is known by then.
        self.bell.task.lock().clone_from(cx.waker());
        let has_rung = self.bell.has_rung.swap(false, Ordering::AcqRel);
        if self.is_drained && !has_rung {
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(&self.waker));
        self.is_drained = frame.is_pending();
        frame
    }

    fn end(&self) -> Option<Result<LeaseId, Status>> {
        let is_cut = !self.buffer.is_empty();
        is_cut.then(|| Err(texts::cut_message()))
    }

    /// The first message of the buffer, if it is there to its end.
    fn take_message(&mut self) -> Result<Option<LeaseId>, Status> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let [flag, a, b, c, d] = *prefix;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag != 0 {
            return Err(texts::compressed_message(flag));
        }
        if len > self.message_bytes_max {
            return Err(texts::too_large_to_receive(len, self.message_bytes_max));
        }
        let Some(message) = rest.get(..len) else { return Ok(None) };
        let request = LeaseKeepAliveRequest::decode(message).map_err(|error| texts::malformed(&error))?;
        self.buffer.advance(PREFIX_BYTES + len);
        if self.buffer.is_empty() && self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = BytesMut::new();
        }
        Ok(Some(LeaseId(request.id)))
    }
}
