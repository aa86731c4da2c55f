//! Decoding renewals from the bytes of a request.

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

use crate::library_errors;
use crate::responses::PREFIX_BYTES;

/// A buffer that a burst has grown is given back beyond this.
const BUFFER_BYTES_KEPT: usize = 1024;

/// The leases that a client wants to renew, in the order in which it sends them.
#[derive(Debug)]
pub(super) struct Requests<B> {
    body: B,
    /// Received and not decoded.
    buffer: BytesMut,
    message_bytes_max: usize,
    /// Whether the body had nothing when it was polled last.
    is_drained: bool,
    wake_flag: Arc<WakeFlag>,
    /// Sets the flag.
    waker: Waker,
}

/// Remembers that the body has woken the stream. The library wakes a stream for each frame that it takes to send, and
/// a poll of the body costs more than a look at the flag.
#[derive(Debug)]
struct WakeFlag {
    is_set: AtomicBool,
    /// The task that is woken.
    task: Mutex<Waker>,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::Release);
        self.task.lock().wake_by_ref();
    }
}

impl<B> Requests<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    pub(super) fn new(body: B, message_bytes_max: usize) -> Self {
        let wake_flag =
            Arc::new(WakeFlag { is_set: AtomicBool::new(false), task: Mutex::new(Waker::noop().clone()) });
        let waker = Waker::from(Arc::clone(&wake_flag));
        Self { body, buffer: BytesMut::new(), message_bytes_max, is_drained: false, wake_flag, waker }
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
                    let status = library_errors::broken_body(error.into());
                    let has_gone = status.code() == Code::Cancelled;
                    return Poll::Ready((!has_gone).then_some(Err(status)));
                }
                None => return Poll::Ready(self.end()),
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        // Before the look at the flag, whose setting wakes the task that is known by then.
        self.wake_flag.task.lock().clone_from(cx.waker());
        let is_woken = self.wake_flag.is_set.swap(false, Ordering::AcqRel);
        if self.is_drained && !is_woken {
            return Poll::Pending;
        }
        let frame = Pin::new(&mut self.body).poll_frame(&mut Context::from_waker(&self.waker));
        self.is_drained = frame.is_pending();
        frame
    }

    fn end(&self) -> Option<Result<LeaseId, Status>> {
        let is_cut = !self.buffer.is_empty();
        is_cut.then(|| Err(library_errors::cut_message()))
    }

    /// The first message of the buffer, if it is there to its end.
    fn take_message(&mut self) -> Result<Option<LeaseId>, Status> {
        let Some((prefix, rest)) = self.buffer.split_first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let [flag, a, b, c, d] = *prefix;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag != 0 {
            return Err(library_errors::compressed_message(flag));
        }
        if len > self.message_bytes_max {
            return Err(library_errors::too_large_to_receive(len, self.message_bytes_max));
        }
        let Some(message) = rest.get(..len) else { return Ok(None) };
        let request =
            LeaseKeepAliveRequest::decode(message).map_err(|error| library_errors::malformed(&error))?;
        self.buffer.advance(PREFIX_BYTES + len);
        if self.buffer.is_empty() && self.buffer.capacity() > BUFFER_BYTES_KEPT {
            self.buffer = BytesMut::new();
        }
        Ok(Some(LeaseId(request.id)))
    }
}
