//! One client that lists, on a connection of its own.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::Reading;
use super::answer::Answer;
use super::tally::Tally;
use crate::Outcome;
use crate::http2::frame::{self, Head};
use crate::http2::{GRPC_HEAD_BYTES, Wire, grpc_status};

/// A stream's window is topped up after this much.
const STREAM_STEP: u32 = 256 << 20;
/// A list that was refused is requested again after this time.
const RETRY_TIME: Duration = Duration::from_millis(100);
/// The status of gRPC that says that the server is too busy.
const RESOURCE_EXHAUSTED: u8 = 8;

#[derive(Debug)]
pub(super) struct Client {
    wire: Wire,
    reading: Reading,
    /// A response with less than so many bytes is wrong.
    bytes_min: u64,
    /// The id of the next list's stream.
    next_stream: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The next list is due then.
    Idle(Instant),
    Listing(Listing),
    /// The connection has ended.
    Gone,
}

/// A list that is under way.
#[derive(Debug)]
struct Listing {
    stream: u32,
    begin: Instant,
    answer: Answer,
    /// Received since the last window update.
    unannounced: u32,
}

/// How a list has ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Done,
    Refused,
    Wrong(String),
}

impl Client {
    /// Connects and requests nothing.
    pub(super) fn open(
        address: SocketAddr,
        path: &str,
        message_bytes_min: usize,
        reading: Reading,
    ) -> Outcome<Self> {
        let window = match reading {
            Reading::Always | Reading::Never => frame::WINDOW_MAX,
            Reading::FirstWindow => frame::WINDOW_DEFAULT,
        };
        let mut wire = Wire::open(address, path, None, window)?;
        wire.forbid_header_table();
        let bytes_min = (message_bytes_min + GRPC_HEAD_BYTES) as u64;
        Ok(Self { wire, reading, bytes_min, next_stream: 1, state: State::Idle(Instant::now()) })
    }

    /// Appends the request for a list to the output if one is due, and writes the output.
    pub(super) fn proceed(&mut self, message: &[u8], now: Instant, tally: &mut Tally) {
        if let State::Idle(due) = self.state
            && due <= now
            && self.wire.send_window() >= message.len() as u64
        {
            let stream = self.next_stream;
            self.next_stream += 2;
            self.wire.begin(stream);
            self.wire.send(stream, message, true);
            let answer = Answer::default();
            self.state = State::Listing(Listing { stream, begin: now, answer, unannounced: 0 });
        }
        if !self.is_gone()
            && let Err(error) = self.wire.flush()
        {
            self.lose(&error.to_string(), tally);
        }
    }

    /// Are there bytes that the socket did not take?
    pub(super) fn is_clogged(&self) -> bool {
        self.wire.is_clogged() && !self.is_gone()
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Reads once and counts what it says.
    pub(super) fn receive(&mut self, tally: &mut Tally) {
        if self.is_gone() {
            return;
        }
        let Self { wire, state, bytes_min, .. } = self;
        let mut widened = None;
        let mut ended = None;
        let received = wire.receive(|head, payload, now| {
            let State::Listing(listing) = state else { return Ok(()) };
            if head.stream == listing.stream && ended.is_none() {
                ended = listing.frame(head, payload, now, *bytes_min, tally);
                widened = listing.widen().or(widened);
                if ended == Some(End::Done) {
                    tally.done(listing.answer.bytes(), now - listing.begin);
                }
            }
            Ok(())
        });
        if let Err(error) = received {
            return self.lose(&error.to_string(), tally);
        }
        match ended {
            Some(end) => self.end(end, tally),
            None => {
                if let (Some((stream, increment)), Reading::Always) = (widened, self.reading) {
                    self.wire.widen(stream, increment);
                }
            }
        }
    }

    fn end(&mut self, end: End, tally: &mut Tally) {
        let now = Instant::now();
        let next = match end {
            End::Done => now,
            End::Refused => {
                tally.n_refused += 1;
                now + RETRY_TIME
            }
            End::Wrong(fault) if self.reading == Reading::Always => {
                tally.fail(|| fault);
                now + RETRY_TIME
            }
            // It is right to drop a client that does not read.
            End::Wrong(_) => {
                tally.n_dropped += 1;
                self.state = State::Gone;
                return;
            }
        };
        self.state = State::Idle(next);
    }

    /// Takes in that the connection has ended.
    fn lose(&mut self, error: &str, tally: &mut Tally) {
        if self.reading == Reading::Always {
            tally.fail(|| format!("a connection of a client that lists has ended: {error}"));
        } else {
            tally.n_dropped += 1;
        }
        self.state = State::Gone;
    }
}

impl Listing {
    /// Takes in a frame of the stream; how the list ends, if it does.
    fn frame(
        &mut self,
        head: Head,
        payload: &[u8],
        now: Instant,
        bytes_min: u64,
        tally: &mut Tally,
    ) -> Option<End> {
        let wrong = |text: &str| Some(End::Wrong(text.to_owned()));
        let ends = head.flags & frame::END_STREAM != 0;
        match head.kind {
            frame::DATA if head.flags & frame::PADDED != 0 => {
                wrong("a frame is padded, which this client does not understand")
            }
            frame::DATA => {
                if self.answer.bytes() == 0 && !payload.is_empty() {
                    tally.first_byte(now - self.begin);
                }
                tally.bytes += payload.len() as u64;
                self.unannounced += payload.len() as u32;
                match self.answer.feed(payload) {
                    Ok(()) if ends => wrong("a list has ended without a status"),
                    Ok(()) => None,
                    Err(_) => wrong("the server has sent something that is no answer to a list"),
                }
            }
            frame::HEADERS if ends => Some(match grpc_status(payload) {
                Some(0) if !self.answer.is_whole() || self.answer.bytes() < bytes_min => {
                    End::Wrong(format!("a list has ended after {} bytes", self.answer.bytes()))
                }
                Some(0) => End::Done,
                Some(RESOURCE_EXHAUSTED) => End::Refused,
                Some(status) => End::Wrong(format!("a list has ended with status {status}")),
                None => End::Wrong("a list has ended with a status that cannot be read".to_owned()),
            }),
            frame::RST_STREAM => wrong("the server has reset a list"),
            _ => None,
        }
    }

    /// The stream and by how much to top up its window, if that is due.
    fn widen(&mut self) -> Option<(u32, u32)> {
        (self.unannounced >= STREAM_STEP).then(|| (self.stream, std::mem::take(&mut self.unannounced)))
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wire.as_fd()
    }
}
