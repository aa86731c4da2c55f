//! Just enough HTTP/1.1 (RFC 9112) for a load generator: one connection, requests as bytes, responses in parts.

use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::{Outcome, socket};

/// Room for many small parts; the head of a response has to fit in.
const INBOX_BYTES: usize = 64 * 1024;
/// A server that is still opening its data accepts connections at once, so that this is long.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(300);
const LINE_END: &[u8] = b"\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

/// One connection. Responses come in the order of the requests.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: TcpStream,
    inbox: Box<[u8]>,
    /// Bytes at the front of `inbox` that are not parsed yet: less than a head, or than a line, between calls.
    filled: usize,
    /// Encoded and not written yet.
    outbox: Vec<u8>,
    next: Next,
}

/// A part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// The status code.
    Head(u16),
    /// Some of the body.
    Data(&'a [u8]),
    End,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Head,
    /// The body, of which so many bytes are left.
    Body(usize),
    /// The line before a chunk.
    ChunkHead,
    /// A chunk, of which so many bytes are left, and the end of its line.
    Chunk(usize),
    /// The empty line behind the last chunk.
    LastLine,
}

impl Wire {
    pub(crate) fn open(address: SocketAddr) -> Outcome<Self> {
        let socket = TcpStream::connect_timeout(&address, CONNECT_TIME_MAX)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let inbox = vec![0; INBOX_BYTES].into_boxed_slice();
        Ok(Self { socket, inbox, filled: 0, outbox: Vec::new(), next: Next::Head })
    }

    /// Are there bytes that the socket did not take?
    pub(crate) fn is_clogged(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Appends a whole request to what the next [`Self::flush`] writes.
    pub(crate) fn send(&mut self, request: &[u8]) {
        self.outbox.extend_from_slice(request);
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&mut self) -> Outcome<()> {
        socket::write(&mut self.socket, &mut self.outbox)
    }

    /// Reads once and gives each part to `on_part`, with the time at which its bytes had been read. The number of
    /// bytes that were read.
    pub(crate) fn receive(
        &mut self,
        mut on_part: impl FnMut(Part<'_>, Instant) -> Outcome<()>,
    ) -> Outcome<usize> {
        let Some(n_read) = socket::read(&mut self.socket, &mut self.inbox[self.filled..])? else {
            return Ok(0);
        };
        let now = Instant::now();
        self.filled += n_read;
        let mut parsed = 0;
        while let Some(taken) = self.next.take(&self.inbox[parsed..self.filled], |part| on_part(part, now))? {
            parsed += taken;
        }
        self.inbox.copy_within(parsed..self.filled, 0);
        self.filled -= parsed;
        if self.filled == self.inbox.len() {
            return Err("the head of a response does not end".into());
        }
        Ok(n_read)
    }
}

impl Next {
    /// Takes the next piece off the front of `bytes`; how long it is, or `None` if it is not whole.
    fn take(
        &mut self,
        bytes: &[u8],
        mut on_part: impl FnMut(Part<'_>) -> Outcome<()>,
    ) -> Outcome<Option<usize>> {
        // A body without bytes ends at once.
        if *self == Next::Body(0) {
            *self = Next::Head;
            on_part(Part::End)?;
            return Ok(Some(0));
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let taken = match *self {
            Next::Head => {
                let Some(end) = find(bytes, HEAD_END) else { return Ok(None) };
                let (status, next) = read_head(&bytes[..end])?;
                *self = next;
                on_part(Part::Head(status))?;
                end + HEAD_END.len()
            }
            Next::Body(left) => {
                let data = &bytes[..left.min(bytes.len())];
                *self = Next::Body(left - data.len());
                on_part(Part::Data(data))?;
                data.len()
            }
            Next::ChunkHead => {
                let Some(end) = find(bytes, LINE_END) else { return Ok(None) };
                let length = str::from_utf8(&bytes[..end]).ok();
                let length = length.and_then(|length| usize::from_str_radix(length, 16).ok());
                *self = match length.ok_or("a chunk has no length that can be read")? {
                    0 => Next::LastLine,
                    length => Next::Chunk(length),
                };
                end + LINE_END.len()
            }
            Next::Chunk(0) => {
                if bytes.len() < LINE_END.len() {
                    return Ok(None);
                }
                *self = Next::ChunkHead;
                LINE_END.len()
            }
            Next::Chunk(left) => {
                let data = &bytes[..left.min(bytes.len())];
                *self = Next::Chunk(left - data.len());
                on_part(Part::Data(data))?;
                data.len()
            }
            Next::LastLine => {
                if bytes.len() < LINE_END.len() {
                    return Ok(None);
                }
                if !bytes.starts_with(LINE_END) {
                    return Err("a response has trailers, which this client does not understand".into());
                }
                *self = Next::Head;
                on_part(Part::End)?;
                LINE_END.len()
            }
        };
        Ok(Some(taken))
    }
}

/// The status, and what follows the head.
fn read_head(head: &[u8]) -> Outcome<(u16, Next)> {
    let head = str::from_utf8(head)?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or("a response without a status line of HTTP/1.1")?;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok((status, Next::Body(value.trim().parse()?)));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && value.trim() == "chunked" {
            return Ok((status, Next::ChunkHead));
        }
    }
    Err("a response does not say how long it is".into())
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The responses in `bytes`, which arrive in pieces of at most `step`.
    fn responses(bytes: &[u8], step: usize) -> Outcome<Vec<(u16, String)>> {
        let (mut next, mut found, mut current) = (Next::Head, Vec::new(), None);
        let (mut parsed, mut filled) = (0, 0);
        while filled < bytes.len() {
            filled = bytes.len().min(filled + step);
            while let Some(taken) = next.take(&bytes[parsed..filled], |part| {
                match part {
                    Part::Head(status) => current = Some((status, String::new())),
                    Part::Data(data) => current.as_mut().unwrap().1.push_str(str::from_utf8(data).unwrap()),
                    Part::End => found.push(current.take().unwrap()),
                }
                Ok(())
            })? {
                parsed += taken;
            }
        }
        assert!(current.is_none() && parsed == filled, "what is whole is taken");
        Ok(found)
    }

    #[test]
    fn responses_are_the_same_however_they_are_cut() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\n\r\nhello\
            HTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n";
        let expected = [(200, "hello"), (404, ""), (200, "ab\r\n0123456789")]
            .map(|(status, body)| (status, body.to_owned()));
        for step in 1..=bytes.len() {
            assert_eq!(responses(bytes, step).unwrap(), expected, "in steps of {step}");
        }
    }

    #[test]
    fn what_is_no_response_is_an_error() {
        for bytes in [
            "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
        ] {
            assert!(responses(bytes.as_bytes(), bytes.len()).is_err(), "{bytes:?}");
        }
    }
}
