//! Taking renewals out of the bytes of a request.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use api_proto::etcdserverpb::LeaseKeepAliveRequest;
use base::LeaseId;
use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use prost::Message;
use tonic::codegen::StdError;
use tonic::{Code, Status};

use crate::texts;

/// Before each message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;
/// A buffer that a burst has grown is given back beyond this.
const BUFFER_BYTES_KEPT: usize = 1024;

/// The leases that a client wants to renew, in the order in which it sends them.
#[derive(Debug)]
pub(super) struct Requests<B> {
    body: B,
    /// Received and not looked at.
    buffer: BytesMut,
    message_bytes_max: usize,
}

impl<B> Requests<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<StdError>,
{
    pub(super) fn new(body: B, message_bytes_max: usize) -> Self {
        Self { body, buffer: BytesMut::new(), message_bytes_max }
    }

    /// The next lease; `None` when the client has sent its last one, or has gone. An error is the end, too.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<LeaseId, Status>>> {
        loop {
            if let Some(request) = self.take_message().transpose() {
                return Poll::Ready(Some(request));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(_trailers) => return Poll::Ready(self.end()),
                },
                Some(Err(error)) => {
                    let status = Status::from_error(error.into());
                    let has_gone = status.code() == Code::Cancelled;
                    return Poll::Ready((!has_gone).then_some(Err(status)));
                }
                None => return Poll::Ready(self.end()),
            }
        }
    }

    fn end(&self) -> Option<Result<LeaseId, Status>> {
        let is_cut = !self.buffer.is_empty();
        is_cut.then(|| Err(Status::internal("Unexpected EOF decoding stream.")))
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
