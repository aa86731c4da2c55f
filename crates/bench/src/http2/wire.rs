//! One HTTP/2 connection of a client: frames in, bytes out.
//!
//! What belongs to the connection as a whole is dealt with here (settings, pings, the windows of the
//! connection); frames of streams go to the caller. What is sent is appended to a buffer that goes out with one
//! write.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::frame::{self, Blocks, HEAD_BYTES, Head, PAYLOAD_BYTES_MAX};
use crate::{Outcome, socket};

/// Room for many small responses, or for some frames of a large one.
const INBOX_BYTES: usize = 256 * 1024;
/// The peer's send window is topped up after this much.
const WINDOW_STEP: u32 = 8 << 20;
/// A server that is still opening its data accepts connections but does not speak.
const GREETING_TIME_MAX: Duration = Duration::from_secs(300);
const _: () = assert!(INBOX_BYTES > HEAD_BYTES + PAYLOAD_BYTES_MAX);

#[derive(Debug)]
pub(crate) struct Wire {
    socket: TcpStream,
    inbox: Box<[u8]>,
    /// Bytes at the front of `inbox` that are not parsed yet: less than a frame, between calls.
    filled: usize,
    /// The other direction; apart from the inbox, because replies to frames borrowed from there are written here.
    sender: Sender,
    /// Received since the last window update.
    unannounced: u32,
}

/// What the client sends, and what the server allows it to.
#[derive(Debug)]
struct Sender {
    /// Encoded and not written yet.
    outbox: Vec<u8>,
    /// The block of the first call is empty after it.
    blocks: Blocks,
    /// Bytes of DATA that the server takes now on all streams together.
    window: u64,
    /// Bytes of DATA that it takes on a new stream.
    stream_window: u32,
    n_streams_max: u32,
    greeted: bool,
}

impl Wire {
    /// Connects and waits for the server's greeting. All calls go to `path`, with the user's `token` if there is one;
    /// the server may send `window` bytes on each stream before it has to wait for [`Self::widen`], and never has to
    /// wait for the connection.
    pub(crate) fn open(address: SocketAddr, path: &str, token: Option<&str>, window: u32) -> Outcome<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(GREETING_TIME_MAX))?;
        let mut sender = Sender {
            outbox: Vec::with_capacity(64 * 1024),
            blocks: Blocks::new(path, &address.to_string(), token),
            window: frame::WINDOW_DEFAULT.into(),
            stream_window: frame::WINDOW_DEFAULT,
            n_streams_max: u32::MAX,
            greeted: false,
        };
        frame::write_preface(&mut sender.outbox, window);
        let inbox = vec![0; INBOX_BYTES].into_boxed_slice();
        let mut wire = Self { socket, inbox, filled: 0, sender, unannounced: 0 };
        wire.flush()?;
        let begin = Instant::now();
        while !wire.sender.greeted {
            wire.receive(|_, _, _| Ok(()))?;
            if begin.elapsed() >= GREETING_TIME_MAX {
                return Err("the server accepts connections but does not speak HTTP/2".into());
            }
        }
        wire.flush()?;
        wire.socket.set_nonblocking(true)?;
        Ok(wire)
    }

    /// Streams that the server allows to be open at a time.
    pub(crate) fn n_streams_max(&self) -> usize {
        self.sender.n_streams_max as usize
    }

    /// Bytes of DATA that the server takes on a new stream.
    pub(crate) fn stream_window(&self) -> usize {
        self.sender.stream_window as usize
    }

    /// Bytes of DATA that may be sent now.
    pub(crate) fn send_window(&self) -> u64 {
        self.sender.window
    }

    /// Are there bytes that the socket did not take?
    pub(crate) fn is_clogged(&self) -> bool {
        !self.sender.outbox.is_empty()
    }

    /// Makes the server write out the headers of responses from the next call on, instead of naming earlier ones by
    /// number, so that [`super::grpc_status`] finds the status.
    pub(crate) fn forbid_header_table(&mut self) {
        frame::write_settings(&mut self.sender.outbox, &[(frame::HEADER_TABLE_SIZE, 0)]);
    }

    /// Begins a call: the next odd number.
    pub(crate) fn begin(&mut self, stream: u32) {
        let Sender { outbox, blocks: Blocks { first, later }, .. } = &mut self.sender;
        let block = if first.is_empty() { later } else { &*first };
        Head { length: block.len(), kind: frame::HEADERS, flags: frame::END_HEADERS, stream }.write(outbox);
        outbox.extend_from_slice(block);
        first.clear();
    }

    /// Sends a message, for which the window has to be wide enough.
    pub(crate) fn send(&mut self, stream: u32, message: &[u8], is_last: bool) {
        let out = &mut self.sender.outbox;
        let mut rest = message;
        while let Some((part, after)) = rest.split_at_checked(PAYLOAD_BYTES_MAX)
            && !after.is_empty()
        {
            Head { length: part.len(), kind: frame::DATA, flags: 0, stream }.write(out);
            out.extend_from_slice(part);
            rest = after;
        }
        let flags = if is_last { frame::END_STREAM } else { 0 };
        Head { length: rest.len(), kind: frame::DATA, flags, stream }.write(out);
        out.extend_from_slice(rest);
        self.sender.window -= message.len() as u64;
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) -> Outcome<()> {
        socket::write(&mut self.socket, &mut self.sender.outbox)
    }

    /// Reads once and gives each frame of a stream to `on_frame`, with the time at which its bytes had been read.
    /// The number of bytes that were read; with a full inbox there may be more.
    pub(crate) fn receive(
        &mut self,
        mut on_frame: impl FnMut(Head, &[u8], Instant) -> Outcome<()>,
    ) -> Outcome<usize> {
        let Some(n_read) = socket::read(&mut self.socket, &mut self.inbox[self.filled..])? else {
            return Ok(0);
        };
        self.filled += n_read;
        let now = Instant::now();
        let mut parsed = 0;
        while let Some(head) = self.inbox[parsed..self.filled].first_chunk::<HEAD_BYTES>() {
            let head = Head::read(head);
            if head.length > PAYLOAD_BYTES_MAX {
                return Err(format!("a frame of {} bytes, more than allowed", head.length).into());
            }
            let payload = parsed + HEAD_BYTES;
            let end = payload + head.length;
            if end > self.filled {
                break;
            }
            let payload = &self.inbox[payload..end];
            if head.kind == frame::DATA {
                self.unannounced += head.length as u32;
            }
            if head.stream == 0 {
                self.sender.control(head, payload)?;
            } else {
                on_frame(head, payload, now)?;
            }
            parsed = end;
        }
        self.inbox.copy_within(parsed..self.filled, 0);
        self.filled -= parsed;
        if self.unannounced >= WINDOW_STEP {
            self.widen(0, self.unannounced);
            self.unannounced = 0;
        }
        Ok(n_read)
    }

    /// Lets the server send that much more on a stream, or with 0 on all of them together.
    pub(crate) fn widen(&mut self, stream: u32, increment: u32) {
        frame::write_window_update(&mut self.sender.outbox, stream, increment);
    }
}

impl Sender {
    /// Takes in a frame that belongs to no stream.
    fn control(&mut self, head: Head, payload: &[u8]) -> Outcome<()> {
        match head.kind {
            frame::SETTINGS if head.flags & frame::ACK == 0 => self.settings(payload)?,
            frame::PING if head.flags & frame::ACK == 0 => {
                Head { flags: frame::ACK, ..head }.write(&mut self.outbox);
                self.outbox.extend_from_slice(payload);
            }
            frame::WINDOW_UPDATE => {
                let increment = *payload.first_chunk().ok_or("a window update without a number")?;
                self.window += u64::from(u32::from_be_bytes(increment));
            }
            frame::GOAWAY => {
                let reason = String::from_utf8_lossy(payload.get(8..).unwrap_or_default()).into_owned();
                return Err(format!("the server sends this connection away: {reason}").into());
            }
            _ => {}
        }
        Ok(())
    }

    fn settings(&mut self, payload: &[u8]) -> Outcome<()> {
        for (name, value) in frame::settings(payload) {
            match name {
                frame::MAX_CONCURRENT_STREAMS => self.n_streams_max = value,
                frame::INITIAL_WINDOW_SIZE => self.stream_window = value,
                frame::HEADER_TABLE_SIZE if value < 4096 => {
                    return Err("the server's header table is smaller than the default".into());
                }
                _ => {}
            }
        }
        Head { length: 0, kind: frame::SETTINGS, flags: frame::ACK, stream: 0 }.write(&mut self.outbox);
        self.greeted = true;
        Ok(())
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
