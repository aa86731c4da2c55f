//! One connection of the load generator: just enough HTTP/2 for unary gRPC calls, and cheap.
//!
//! Requests are appended to a buffer that goes out with one write; answers are counted, not decoded. An answer
//! is right when its message is complete and long enough: gRPC servers send no message with an error status.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::super::Outcome;
use super::super::workload::Requests;
use super::frame::{self, HEAD_BYTES, Head, PAYLOAD_BYTES_MAX};

/// Room for many small answers, or for some frames of a large one.
const INBOX_BYTES: usize = 256 * 1024;
/// The peer's send window is topped up after this much.
const WINDOW_STEP: u32 = 8 << 20;
/// A server that is still opening its data accepts connections but does not speak.
const GREETING_TIME_MAX: Duration = Duration::from_secs(300);
const _: () = assert!(INBOX_BYTES > HEAD_BYTES + PAYLOAD_BYTES_MAX);

/// How one request ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    /// As given to [`Connection::send`].
    pub(super) start: Instant,
    /// When the bytes that completed it had been read.
    pub(super) end: Instant,
    pub(super) ok: bool,
}

#[derive(Debug)]
pub(super) struct Connection {
    socket: TcpStream,
    inbox: Box<[u8]>,
    /// Bytes at the front of `inbox` that are not parsed yet: less than a frame, between calls.
    filled: usize,
    /// Encoded and not written yet.
    outbox: Vec<u8>,
    /// The header block of the first call; empty afterwards.
    first_call: Vec<u8>,
    /// Calls by age, `None` when answered; the front one has the stream id `oldest`.
    calls: VecDeque<Option<Call>>,
    oldest: u32,
    n_open: usize,
    n_open_max: usize,
    /// Bytes of DATA that the server takes now.
    send_window: u64,
    /// Received since the last window update.
    unannounced: u32,
    answer_bytes_min: usize,
    message_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Call {
    start: Instant,
    received: usize,
}

impl Connection {
    /// Connects and waits for the server's greeting. At most `n_open_max` calls will be open at a time.
    pub(super) fn open(address: SocketAddr, requests: &Requests, n_open_max: usize) -> Outcome<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(GREETING_TIME_MAX))?;
        let mut connection = Self {
            socket,
            inbox: vec![0; INBOX_BYTES].into_boxed_slice(),
            filled: 0,
            outbox: Vec::with_capacity(64 * 1024),
            first_call: frame::first_call(requests.path(), &address.to_string()),
            calls: VecDeque::new(),
            oldest: 1,
            n_open: 0,
            n_open_max: 0,
            send_window: frame::WINDOW_DEFAULT.into(),
            unannounced: 0,
            answer_bytes_min: requests.answer_bytes_min() + GRPC_HEAD_BYTES,
            message_bytes: requests.message_bytes(),
        };
        frame::write_preface(&mut connection.outbox);
        connection.flush()?;
        // The greeting lowers this to what the server allows.
        connection.n_open_max = n_open_max;
        let begin = Instant::now();
        while !connection.receive(|_| {})? {
            if begin.elapsed() >= GREETING_TIME_MAX {
                return Err("the server accepts connections but does not speak HTTP/2".into());
            }
        }
        connection.flush()?;
        connection.socket.set_nonblocking(true)?;
        Ok(connection)
    }

    /// May [`Self::send`] be called?
    pub(super) fn has_room(&self) -> bool {
        self.n_open < self.n_open_max && self.send_window >= self.message_bytes as u64
    }

    pub(super) fn n_open(&self) -> usize {
        self.n_open
    }

    /// Are there bytes that the socket did not take?
    pub(super) fn is_clogged(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Appends a request to what the next [`Self::flush`] writes. Its latency counts from `start`.
    pub(super) fn send(&mut self, message: &[u8], start: Instant) {
        debug_assert!(self.has_room());
        let stream = self.oldest + 2 * self.calls.len() as u32;
        let out = &mut self.outbox;
        let mut block: &[u8] = &frame::LATER_CALLS;
        if !self.first_call.is_empty() {
            block = &self.first_call;
        }
        Head { length: block.len(), kind: frame::HEADERS, flags: frame::END_HEADERS, stream }.write(out);
        out.extend_from_slice(block);
        self.first_call.clear();

        let mut rest = message;
        while let Some((part, after)) = rest.split_at_checked(PAYLOAD_BYTES_MAX)
            && !after.is_empty()
        {
            Head { length: part.len(), kind: frame::DATA, flags: 0, stream }.write(out);
            out.extend_from_slice(part);
            rest = after;
        }
        Head { length: rest.len(), kind: frame::DATA, flags: frame::END_STREAM, stream }.write(out);
        out.extend_from_slice(rest);

        self.send_window -= message.len() as u64;
        self.calls.push_back(Some(Call { start, received: 0 }));
        self.n_open += 1;
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) -> Outcome<()> {
        let mut written = 0;
        while written < self.outbox.len() {
            match self.socket.write(&self.outbox[written..]) {
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.outbox.drain(..written);
        Ok(())
    }

    /// Reads once and reports each call that ended. True when the server's settings were among it.
    pub(super) fn receive(&mut self, mut report: impl FnMut(Answer)) -> Outcome<bool> {
        match self.socket.read(&mut self.inbox[self.filled..]) {
            Ok(0) => return Err("the server closed a connection".into()),
            Ok(n) => self.filled += n,
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        let mut greeted = false;
        // Out of `self` while frames are handled, so that they can be borrowed from it.
        let mut inbox = std::mem::take(&mut self.inbox);
        let mut parsed = 0;
        while let Some(head) = inbox[parsed..self.filled].first_chunk::<HEAD_BYTES>() {
            let head = Head::read(head);
            if head.length > PAYLOAD_BYTES_MAX {
                return Err(format!("a frame of {} bytes, more than allowed", head.length).into());
            }
            let payload = parsed + HEAD_BYTES;
            let end = payload + head.length;
            if end > self.filled {
                break;
            }
            greeted |= head.kind == frame::SETTINGS && head.flags & frame::ACK == 0;
            if let Some((call, ok)) = self.frame(head, &inbox[payload..end])? {
                report(Answer { start: call.start, end: now, ok });
            }
            parsed = end;
        }
        inbox.copy_within(parsed..self.filled, 0);
        self.filled -= parsed;
        self.inbox = inbox;
        if self.unannounced >= WINDOW_STEP {
            frame::write_window_update(&mut self.outbox, self.unannounced);
            self.unannounced = 0;
        }
        Ok(greeted)
    }

    /// Takes in one frame; gives the call that it ends, and whether well.
    fn frame(&mut self, head: Head, payload: &[u8]) -> Outcome<Option<(Call, bool)>> {
        let ends = head.flags & frame::END_STREAM != 0;
        match head.kind {
            frame::DATA => {
                self.unannounced += payload.len() as u32;
                if let Some(call) = self.call(head.stream) {
                    call.received += payload.len();
                }
                // A gRPC answer ends with trailers, never with data.
                Ok(if ends { self.end(head.stream).map(|call| (call, false)) } else { None })
            }
            frame::HEADERS if ends => {
                let answer_bytes_min = self.answer_bytes_min;
                Ok(self.end(head.stream).map(|call| (call, call.received >= answer_bytes_min)))
            }
            frame::RST_STREAM => Ok(self.end(head.stream).map(|call| (call, false))),
            frame::SETTINGS if head.flags & frame::ACK == 0 => self.settings(payload).map(|()| None),
            frame::PING if head.flags & frame::ACK == 0 => {
                Head { flags: frame::ACK, ..head }.write(&mut self.outbox);
                self.outbox.extend_from_slice(payload);
                Ok(None)
            }
            frame::WINDOW_UPDATE if head.stream == 0 => {
                let increment = *payload.first_chunk().ok_or("a window update without a number")?;
                self.send_window += u64::from(u32::from_be_bytes(increment));
                Ok(None)
            }
            frame::GOAWAY => {
                let reason = String::from_utf8_lossy(payload.get(8..).unwrap_or_default()).into_owned();
                Err(format!("the server sends this connection away: {reason}").into())
            }
            _ => Ok(None),
        }
    }

    fn settings(&mut self, payload: &[u8]) -> Outcome<()> {
        for (name, value) in frame::settings(payload) {
            match name {
                frame::MAX_CONCURRENT_STREAMS => self.n_open_max = self.n_open_max.min(value as usize),
                frame::HEADER_TABLE_SIZE if value < 4096 => {
                    return Err("the server's header table is smaller than the default".into());
                }
                frame::INITIAL_WINDOW_SIZE if (value as usize) < self.message_bytes => {
                    return Err("a request is larger than the server's window for a stream".into());
                }
                _ => {}
            }
        }
        Head { length: 0, kind: frame::SETTINGS, flags: frame::ACK, stream: 0 }.write(&mut self.outbox);
        Ok(())
    }

    fn call(&mut self, stream: u32) -> Option<&mut Call> {
        let at = (stream.checked_sub(self.oldest)? / 2) as usize;
        self.calls.get_mut(at)?.as_mut()
    }

    /// Ends a call; `None` when it has ended before.
    fn end(&mut self, stream: u32) -> Option<Call> {
        let at = (stream.checked_sub(self.oldest)? / 2) as usize;
        let call = self.calls.get_mut(at)?.take()?;
        self.n_open -= 1;
        while let Some(None) = self.calls.front() {
            self.calls.pop_front();
            self.oldest += 2;
        }
        Some(call)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A flag and a length before each message.
const GRPC_HEAD_BYTES: usize = 5;
