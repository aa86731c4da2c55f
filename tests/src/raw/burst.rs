//! HTTP/2 frames written by hand (RFC 9113, RFC 7541), so that many calls and their ends arrive as one piece.

use std::io;

use bytes::{BufMut as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// The error code CANCEL.
const CANCEL: u32 = 8;

/// Begins rpcs and cancels each at once, all in a single write, as a client does when the common context of many
/// rpcs ends. Returns the reason if the server closes the connection, none if it goes on serving it.
pub async fn cancelled_at_once(endpoint: &str, path: &str, calls: u32) -> io::Result<Option<String>> {
    let authority = endpoint.trim_start_matches("http://");
    let headers = header_block(authority, path);
    let mut out = BytesMut::from(&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..]);
    put_frame(&mut out, SETTINGS, 0, 0, &[]);
    for call in 0..calls {
        let stream = 2 * call + 1;
        put_frame(&mut out, HEADERS, END_HEADERS, stream, &headers);
        put_frame(&mut out, RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
    }
    // The ping's acknowledgement shows that everything before it was read.
    put_frame(&mut out, PING, 0, 0, &[0; 8]);
    let mut socket = TcpStream::connect(authority).await?;
    socket.write_all(&out).await?;
    loop {
        let (mut head, mut length) = ([0; 9], [0; 4]);
        socket.read_exact(&mut head).await?;
        length[1..].copy_from_slice(&head[..3]);
        let (kind, flags) = (head[3], head[4]);
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        socket.read_exact(&mut payload).await?;
        match kind {
            PING if flags & ACK != 0 => return Ok(None),
            GOAWAY => return Ok(Some(String::from_utf8_lossy(&payload[8..]).into_owned())),
            _ => {}
        }
    }
}

fn put_frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_uint(payload.len() as u64, 3);
    out.put_u8(kind);
    out.put_u8(flags);
    out.put_u32(stream);
    out.put_slice(payload);
}

/// The headers of an rpc, compressed only by the names of the static table.
fn header_block(authority: &str, path: &str) -> BytesMut {
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
