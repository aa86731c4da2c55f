//! One connection with gRPC calls: unary ones, cheap, or [`Streams`] that stay open.
//!
//! Responses of unary calls are counted, not decoded. A response is right when its message is complete and long enough:
//! gRPC servers send no message with an error status.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::streams::Streams;
use super::tally::Response;
use crate::Outcome;
use crate::http2::frame::{self, Head};
use crate::http2::{GRPC_HEAD_BYTES, Wire};
use crate::requests::Requests;

#[derive(Debug)]
pub(super) struct GrpcConnection {
    wire: Wire,
    calls: Calls,
    message_bytes: usize,
}

/// What goes over a connection.
#[derive(Debug)]
enum Calls {
    Unary(Unary),
    Streamed(Streams),
}

/// Calls of one request each.
#[derive(Debug)]
struct Unary {
    /// By age, `None` after the response; the front one has the stream id `oldest`.
    by_age: VecDeque<Option<Call>>,
    oldest: u32,
    n_open: usize,
    n_open_max: usize,
    response_bytes_min: usize,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    start: Instant,
    received: usize,
}

impl GrpcConnection {
    /// Connects and waits for the server's greeting. The clients with these numbers share the connection: at most
    /// as many calls will be open at a time, or fewer if the server does not allow as many; of requests that are
    /// streamed, each client has a stream.
    pub(super) fn open(address: SocketAddr, requests: &Requests, clients: Range<usize>) -> Outcome<Self> {
        // The flow control of responses never has to wait for this client.
        let wire = Wire::open(address, requests.path(), requests.token(), frame::WINDOW_MAX)?;
        if wire.stream_window() < requests.message_bytes() {
            return Err("a request is larger than the server's window for a stream".into());
        }
        let n_max = wire.n_streams_max();
        let calls = if !requests.are_streamed() {
            Calls::Unary(Unary {
                by_age: VecDeque::new(),
                oldest: 1,
                n_open: 0,
                n_open_max: clients.len().min(n_max),
                response_bytes_min: requests.response_bytes_min() + GRPC_HEAD_BYTES,
            })
        } else if clients.len() <= n_max {
            Calls::Streamed(Streams::new(clients))
        } else {
            return Err(format!("the server allows {n_max} streams on a connection").into());
        };
        Ok(Self { wire, calls, message_bytes: requests.message_bytes() })
    }

    /// May [`Self::send`] be called?
    pub(super) fn has_room(&self) -> bool {
        let is_free = match &self.calls {
            Calls::Unary(unary) => unary.n_open < unary.n_open_max,
            Calls::Streamed(streams) => streams.has_room(&self.wire, self.message_bytes),
        };
        is_free && self.wire.send_window() >= self.message_bytes as u64
    }

    pub(super) fn n_open(&self) -> usize {
        match &self.calls {
            Calls::Unary(unary) => unary.n_open,
            Calls::Streamed(streams) => streams.n_open(),
        }
    }

    /// Are there bytes that the socket did not take?
    pub(super) fn is_clogged(&self) -> bool {
        self.wire.is_clogged()
    }

    /// Appends the next request to what the next [`Self::flush`] writes. Its latency counts from `start`.
    pub(super) fn send(&mut self, requests: &mut Requests, start: Instant) {
        debug_assert!(self.has_room());
        match &mut self.calls {
            Calls::Unary(unary) => {
                let stream = unary.begin(start);
                self.wire.begin(stream);
                self.wire.send(stream, requests.next(start), true);
            }
            Calls::Streamed(streams) => streams.send(&mut self.wire, requests, start),
        }
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        self.wire.flush()
    }

    /// Reads once and reports each request that has its response.
    pub(super) fn receive(&mut self, mut report: impl FnMut(Response)) -> Outcome<()> {
        let calls = &mut self.calls;
        self.wire.receive(|head, payload, end| {
            let done = match calls {
                Calls::Unary(unary) => unary.frame(head, payload.len()).map(|(call, ok)| (call.start, ok)),
                Calls::Streamed(streams) => streams.frame(head, payload)?,
            };
            if let Some((start, ok)) = done {
                report(Response { start, end, ok });
            }
            Ok(())
        })?;
        if let Calls::Streamed(streams) = calls {
            streams.widen(&mut self.wire);
        }
        Ok(())
    }
}

impl Unary {
    /// The id of the stream for another call.
    fn begin(&mut self, start: Instant) -> u32 {
        let stream = self.oldest + 2 * self.by_age.len() as u32;
        self.by_age.push_back(Some(Call { start, received: 0 }));
        self.n_open += 1;
        stream
    }

    /// Takes in one frame; gives the call that it ends, and whether well.
    fn frame(&mut self, head: Head, payload_bytes: usize) -> Option<(Call, bool)> {
        let ends = head.flags & frame::END_STREAM != 0;
        match head.kind {
            frame::DATA => {
                if let Some(call) = self.call(head.stream) {
                    call.received += payload_bytes;
                }
                // A gRPC response ends with trailers, never with data.
                if ends { self.end(head.stream).map(|call| (call, false)) } else { None }
            }
            frame::HEADERS if ends => {
                let response_bytes_min = self.response_bytes_min;
                self.end(head.stream).map(|call| (call, call.received >= response_bytes_min))
            }
            frame::RST_STREAM => self.end(head.stream).map(|call| (call, false)),
            _ => None,
        }
    }

    fn call(&mut self, stream: u32) -> Option<&mut Call> {
        let at = (stream.checked_sub(self.oldest)? / 2) as usize;
        self.by_age.get_mut(at)?.as_mut()
    }

    /// Ends a call; `None` when it has ended before.
    fn end(&mut self, stream: u32) -> Option<Call> {
        let at = (stream.checked_sub(self.oldest)? / 2) as usize;
        let call = self.by_age.get_mut(at)?.take()?;
        self.n_open -= 1;
        while let Some(None) = self.by_age.front() {
            self.by_age.pop_front();
            self.oldest += 2;
        }
        Some(call)
    }
}

impl AsFd for GrpcConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}
