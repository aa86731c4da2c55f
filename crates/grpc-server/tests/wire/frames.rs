//! A client that spells out every byte.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::*;

const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
/// The largest payload of a frame.
const FRAME_BYTES_MAX: usize = 16 << 10;

/// What came back on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The blocks of headers, as they were sent.
    pub(crate) headers: Vec<Bytes>,
    pub(crate) data: BytesMut,
    pub(crate) is_ended: bool,
    /// The code of RST_STREAM.
    pub(crate) reset: Option<u32>,
}

impl Answer {
    /// Whether a message came, and the end of the call.
    pub(crate) fn is_served(&self) -> bool {
        !self.data.is_empty() && self.is_ended && self.reset.is_none()
    }
}

/// A connection without windows of its own: responses are small.
pub(crate) struct RawClient {
    socket: TcpStream,
    next_stream: u32,
    pub(crate) answers: BTreeMap<u32, Answer>,
    /// The reason of GOAWAY.
    pub(crate) goaway: Option<String>,
}

impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).await.expect("the server accepts");
        let mut out = BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
        put_frame(&mut out, SETTINGS, 0, 0, &[]);
        // The server's windows hold from the moment on at which its settings are acknowledged.
        put_frame(&mut out, SETTINGS, ACK, 0, &[]);
        socket.write_all(&out).await.expect("the server reads");
        let mut client = Self { socket, next_stream: 1, answers: BTreeMap::new(), goaway: None };
        while !soon("a frame", client.read()).await {}
        client.call(&fields("/nowhere"), &[]).await;
        client
    }

    /// Sends a call with this block of headers and returns what came back.
    pub(crate) async fn call(&mut self, block: &[u8], body: &[u8]) -> Answer {
        let frames = in_frames(block);
        self.call_in_frames(&frames, body).await
    }

    /// The same with the kind, the flags and the payload of each frame of the block.
    pub(crate) async fn call_in_frames(&mut self, frames: &[(u8, u8, Vec<u8>)], body: &[u8]) -> Answer {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut out = BytesMut::new();
        for (kind, flags, payload) in frames {
            put_frame(&mut out, *kind, *flags, stream, payload);
        }
        put_frame(&mut out, DATA, END_STREAM, stream, body);
        // Behind all that the server sends at once to a stream that it rejects.
        put_frame(&mut out, SETTINGS, 0, 0, &[]);
        self.socket.write_all(&out).await.expect("the server reads");
        let mut is_read = false;
        loop {
            let answer = self.answers.entry(stream).or_default();
            let is_over = answer.is_ended || answer.reset.is_some();
            if (is_read && is_over) || self.goaway.is_some() {
                return answer.clone();
            }
            is_read |= soon("a frame", self.read()).await;
        }
    }

    /// Begins a request and sends a part of its body.
    pub(crate) async fn begin(&mut self, block: &[u8], body: &[u8]) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        let mut out = BytesMut::new();
        put_frame(&mut out, HEADERS, END_HEADERS, stream, block);
        put_body(&mut out, stream, body, 0);
        self.socket.write_all(&out).await.expect("the server reads");
        stream
    }

    /// Sends the rest of a body, and returns what came back when the server has read it.
    pub(crate) async fn finish(&mut self, stream: u32, body: &[u8]) -> Answer {
        let mut out = BytesMut::new();
        put_body(&mut out, stream, body, END_STREAM);
        put_frame(&mut out, SETTINGS, 0, 0, &[]);
        self.socket.write_all(&out).await.expect("the server reads");
        while !soon("a frame", self.read()).await {}
        self.answers.entry(stream).or_default().clone()
    }

    /// Waits for the end of a response.
    pub(crate) async fn response(&mut self, stream: u32) -> Answer {
        loop {
            let answer = self.answers.entry(stream).or_default();
            if answer.is_ended || answer.reset.is_some() {
                return answer.clone();
            }
            soon("a frame", self.read()).await;
        }
    }

    /// Reads a frame; true if it is the response to settings. Pings, which have one as well, are counted by the server.
    async fn read(&mut self) -> bool {
        let (mut head, mut length) = ([0; 9], [0; 4]);
        self.socket.read_exact(&mut head).await.expect("the connection is open");
        length[1..].copy_from_slice(&head[..3]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes(head[5..].try_into().expect("four bytes"));
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        self.socket.read_exact(&mut payload).await.expect("the connection is open");
        let answer = self.answers.entry(stream).or_default();
        match kind {
            HEADERS => answer.headers.push(payload.into()),
            DATA => answer.data.put_slice(&payload),
            RST_STREAM => answer.reset = Some(u32::from_be_bytes(payload.try_into().expect("four bytes"))),
            SETTINGS => return flags & ACK != 0,
            GOAWAY => self.goaway = Some(String::from_utf8_lossy(&payload[8..]).into_owned()),
            _ => {}
        }
        answer.is_ended |= matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
        false
    }
}

fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
}

/// DATA frames, of which the last has `flags`.
fn put_body(out: &mut BytesMut, stream: u32, body: &[u8], flags: u8) {
    let (parts, last) = body.split_at(body.len() / FRAME_BYTES_MAX * FRAME_BYTES_MAX);
    for part in parts.chunks(FRAME_BYTES_MAX) {
        put_frame(out, DATA, 0, stream, part);
    }
    put_frame(out, DATA, flags, stream, last);
}

/// A block in as many frames as it needs.
fn in_frames(block: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let parts: Vec<_> = block.chunks(FRAME_BYTES_MAX).collect();
    let frame = |(n, part): (usize, &&[u8])| {
        let kind = if n == 0 { HEADERS } else { CONTINUATION };
        (kind, if n + 1 == parts.len() { END_HEADERS } else { 0 }, part.to_vec())
    };
    parts.iter().enumerate().map(frame).collect()
}

/// A text without compression, with its length in front.
pub(crate) fn text(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match text.len() {
        short @ ..0x7f => out.push(short as u8),
        long => {
            out.push(0x7f);
            let mut rest = long - 0x7f;
            while rest >= 0x80 {
                out.push(0x80 | (rest & 0x7f) as u8);
                rest >>= 7;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(text);
    out
}

/// The fields of a call besides its authority, without compression but by the static table.
pub(crate) fn fields(path: &str) -> Vec<u8> {
    let mut out = vec![0x83, 0x86, 0x04];
    out.extend(text(path.as_bytes()));
    out.extend([0x0f, 0x10]);
    out.extend(text(b"application/grpc"));
    out.push(0);
    out.extend(text(b"te"));
    out.extend(text(b"trailers"));
    out
}
