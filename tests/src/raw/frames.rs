//! HTTP/2 frames written by hand (RFC 9113, RFC 7541).

use std::io;

use bytes::{BufMut as _, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;

pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

/// What begins a connection: the preface, and settings that leave everything as it is.
pub(super) fn begin() -> BytesMut {
    let mut out = BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
    put_frame(&mut out, SETTINGS, 0, 0, &[]);
    out
}

/// A frame of the server.
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) async fn read(socket: &mut TcpStream) -> io::Result<Self> {
        let (mut head, mut length) = ([0; 9], [0; 4]);
        socket.read_exact(&mut head).await?;
        length[1..].copy_from_slice(&head[..3]);
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut payload).await?;
        Ok(Self { kind: head[3], flags: head[4], payload })
    }

    /// Whether it is the response to a frame of this kind.
    pub(super) fn acknowledges(&self, kind: u8) -> bool {
        self.kind == kind && self.flags & ACK != 0
    }

    /// The reason that a GOAWAY has.
    pub(super) fn reason(&self) -> Option<String> {
        (self.kind == GOAWAY).then(|| String::from_utf8_lossy(&self.payload[8..]).into_owned())
    }
}

pub(super) fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
}

/// The headers of an rpc, compressed only by the names of the static table.
pub(super) fn header_block(authority: &str, path: &str) -> BytesMut {
    let mut out = BytesMut::new();
    let text = |out: &mut BytesMut, text: &str| {
        out.put_u8(u8::try_from(text.len()).ok().filter(|&length| length < 127).expect("short header texts"));
        out.put_slice(text.as_bytes());
    };
    // :method POST and :scheme http are whole entries, 3 and 6, of the static table.
    out.put_slice(&[0x83, 0x86]);
    // Literals without indexing: :authority is name 1, :path 4, content-type 31 (15 and 16 more).
    out.put_u8(0x01);
    text(&mut out, authority);
    out.put_u8(0x04);
    text(&mut out, path);
    out.put_slice(&[0x0f, 0x10]);
    text(&mut out, "application/grpc");
    out.put_u8(0x00);
    text(&mut out, "te");
    text(&mut out, "trailers");
    out
}
